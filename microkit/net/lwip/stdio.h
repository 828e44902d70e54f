/* lwIP includes it, and prints nothing. */
