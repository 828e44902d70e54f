/** Times of entries: RFC 3339 in UTC with milliseconds, such as `2026-11-22T18:43:00.123Z`. */

/** Characters of a time. */
export const TIME_LENGTH = 24

const ZERO = 0x30
const DAYS = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]

/** Returns the number in two decimal digits; -1 when one of them is not a digit. */
function two(bytes: Uint8Array, at: number): number {
  const tens = bytes[at]! - ZERO
  const ones = bytes[at + 1]! - ZERO
  return tens >= 0 && tens <= 9 && ones >= 0 && ones <= 9 ? tens * 10 + ones : -1
}

function daysOf(year: number, month: number): number {
  if (month === 2 && year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0)) return 29
  return DAYS[month - 1]!
}

/**
 * Reads the time in the 24 ASCII bytes at `at`. Returns a number that orders times as their text does, or -1 when the bytes are not a time on
 * a day of the Gregorian calendar.
 */
export function timeRank(bytes: Uint8Array, at: number): number {
  const century = two(bytes, at)
  const yearOfCentury = two(bytes, at + 2)
  const month = two(bytes, at + 5)
  const day = two(bytes, at + 8)
  const hour = two(bytes, at + 11)
  const minute = two(bytes, at + 14)
  const second = two(bytes, at + 17)
  const hundredths = two(bytes, at + 20)
  const thousandth = bytes[at + 22]! - ZERO
  const inRange =
    (century | yearOfCentury | minute | second | hundredths) >= 0 &&
    month >= 1 &&
    month <= 12 &&
    hour >= 0 &&
    hour <= 23 &&
    minute <= 59 &&
    second <= 59 &&
    thousandth >= 0 &&
    thousandth <= 9
  // The characters - - T : : . Z
  const isMarked =
    bytes[at + 4] === 0x2d &&
    bytes[at + 7] === 0x2d &&
    bytes[at + 10] === 0x54 &&
    bytes[at + 13] === 0x3a &&
    bytes[at + 16] === 0x3a &&
    bytes[at + 19] === 0x2e &&
    bytes[at + 23] === 0x5a
  if (!inRange || !isMarked) return -1
  const year = century * 100 + yearOfCentury
  if (day < 1 || day > daysOf(year, month)) return -1
  const minutes = (((year * 12 + month - 1) * 31 + day - 1) * 24 + hour) * 60 + minute
  return (minutes * 60 + second) * 1000 + hundredths * 10 + thousandth
}

const scratch = new Uint8Array(TIME_LENGTH)

/** Reports whether `text` is a time on a day of the Gregorian calendar. */
export function isTime(text: string): boolean {
  if (text.length !== TIME_LENGTH) return false
  for (let i = 0; i < TIME_LENGTH; i++) {
    const code = text.charCodeAt(i)
    scratch[i] = code < 128 ? code : 0
  }
  return timeRank(scratch, 0) >= 0
}
