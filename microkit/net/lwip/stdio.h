/* Empty: lwIP includes this header, but prints nothing. */
