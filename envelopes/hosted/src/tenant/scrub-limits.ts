/** Limits of the background check's settings. */

/** The longest period in days. */
export const MAX_SCRUB_DAYS = 3650

/** The lowest and the highest rate, in bytes per second. A bundle of the largest entries has 22 MB. */
export const MIN_SCRUB_RATE = 10_000
export const MAX_SCRUB_RATE = 1_000_000_000
