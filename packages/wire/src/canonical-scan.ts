/**
 * A scan of JSON bytes that recognizes most canonical texts (RFC 8785) in one pass, without decoding or parsing them.
 *
 * It decides only what is certain from the bytes: the other texts, canonical or not, are left to parsing. So it leaves to parsing the texts
 * with `\u` escapes, and those in which RFC 8785 does not order the names of an object by their bytes.
 *
 * A compiled engine scans bytes faster than it makes values and writes them again. An interpreter does not.
 */
import { MAX_DEPTH } from './canonicaljson.ts'
import { numberText } from './numbers.ts'

/** A text of fewer bytes has fewer values and names than MAX_VALUES. */
const MAX_BYTES = 2 ** 20

/** A double keeps every decimal of 15 digits (IEEE 754 binary64). */
const MAX_DIGITS = 15
/** A number with more zeros after its point has an exponent in its shortest form (ECMA-262, Number::toString). */
const MAX_ZEROS = 5
/** The longest text of a double has 25 characters. */
const MAX_NUMBER = 32

const QUOTE = 0x22
const PLUS = 0x2b
const COMMA = 0x2c
const MINUS = 0x2d
const POINT = 0x2e
const DIGIT_0 = 0x30
const DIGIT_9 = 0x39
const COLON = 0x3a
const OPEN_ARRAY = 0x5b
const BACKSLASH = 0x5c
const CLOSE_ARRAY = 0x5d
const LETTER_E = 0x65
const OPEN_OBJECT = 0x7b
const CLOSE_OBJECT = 0x7d

/** From this byte on a name has characters whose order in UTF-16 differs from the order of their bytes: U+E000 and above. */
const UNORDERED = 0xee

/** By byte: 1 if it stands for itself in a string; 0 for controls, quote, backslash, and bytes of longer characters. */
const PLAIN = new Uint8Array(256)
for (let byte = 0x20; byte < 0x80; byte++) if (byte !== QUOTE && byte !== BACKSLASH) PLAIN[byte] = 1

/** By byte: 1 if it is the second character of an escape that canonical JSON uses, `\u` aside. */
const ESCAPED = new Uint8Array(256)
for (const letter of '"\\bfnrt') ESCAPED[letter.charCodeAt(0)] = 1

const WORDS = ['true', 'false', 'null'].map((word) => Array.from(word, (letter) => letter.charCodeAt(0)))

/** Reports whether `bytes` from `start` on are certainly a canonical JSON text. False also when only parsing can tell. */
export function isSurelyCanonical(bytes: Uint8Array, start: number): boolean {
  if (bytes.length - start >= MAX_BYTES) return false
  return canonicalEnd(bytes, start) === bytes.length
}

/**
 * Returns the end of the canonical JSON text that certainly begins at `start`, or -1. It may be followed by anything. `depth`: how many
 * arrays and objects the text is nested in.
 */
export function canonicalEnd(bytes: Uint8Array, start: number, depth = 0): number {
  return valueEnd(bytes, start, depth)
}

// Each function below returns the position after what it scanned, or -1 if that is not surely canonical. Positions beyond the end have
// no byte, which matches nothing.

function valueEnd(bytes: Uint8Array, at: number, depth: number): number {
  const first = bytes[at] as number
  if (first === QUOTE) return stringEnd(bytes, at)
  if (first === OPEN_OBJECT) return depth === MAX_DEPTH ? -1 : objectEnd(bytes, at, depth + 1)
  if (first === OPEN_ARRAY) return depth === MAX_DEPTH ? -1 : arrayEnd(bytes, at, depth + 1)
  if (first === MINUS || (first >= DIGIT_0 && first <= DIGIT_9)) return numberEnd(bytes, at)
  return wordEnd(bytes, at)
}

function objectEnd(bytes: Uint8Array, open: number, depth: number): number {
  if (bytes[open + 1] === CLOSE_OBJECT) return open + 2
  let last = 0
  let lastEnd = 0
  for (let at = open + 1; ;) {
    if (bytes[at] !== QUOTE) return -1
    const end = stringEnd(bytes, at)
    if (end < 0 || !isOrderedName(bytes, at, end)) return -1
    if (lastEnd > 0 && !isBefore(bytes, last, lastEnd, at, end)) return -1
    if (bytes[end] !== COLON) return -1
    last = at
    lastEnd = end
    const after = valueEnd(bytes, end + 1, depth)
    if (after < 0) return -1
    if (bytes[after] === CLOSE_OBJECT) return after + 1
    if (bytes[after] !== COMMA) return -1
    at = after + 1
  }
}

function arrayEnd(bytes: Uint8Array, open: number, depth: number): number {
  if (bytes[open + 1] === CLOSE_ARRAY) return open + 2
  for (let at = open + 1; ;) {
    const after = valueEnd(bytes, at, depth)
    if (after < 0) return -1
    if (bytes[after] === CLOSE_ARRAY) return after + 1
    if (bytes[after] !== COMMA) return -1
    at = after + 1
  }
}

function stringEnd(bytes: Uint8Array, open: number): number {
  for (let at = open + 1; ;) {
    while (PLAIN[bytes[at] as number] === 1) at += 1
    const byte = bytes[at] as number
    if (byte === QUOTE) return at + 1
    if (byte === BACKSLASH) {
      if (ESCAPED[bytes[at + 1] as number] !== 1) return -1
      at += 2
    } else {
      const length = byte >= 0x80 ? sequenceLength(bytes, at, byte) : 0
      if (length === 0) return -1
      at += length
    }
  }
}

/** Returns the bytes of the UTF-8 character at `at` (RFC 3629, section 4), or 0 when they are invalid. */
function sequenceLength(bytes: Uint8Array, at: number, first: number): number {
  const second = bytes[at + 1] as number
  if (first < 0xe0) return first >= 0xc2 && isContinuation(second) ? 2 : 0
  if (!isContinuation(second) || !isContinuation(bytes[at + 2] as number)) return 0
  if (first < 0xf0) {
    // Overlong forms, and surrogates.
    if ((first === 0xe0 && second < 0xa0) || (first === 0xed && second > 0x9f)) return 0
    return 3
  }
  if (first > 0xf4 || !isContinuation(bytes[at + 3] as number)) return 0
  if ((first === 0xf0 && second < 0x90) || (first === 0xf4 && second > 0x8f)) return 0
  return 4
}

function isContinuation(byte: number): boolean {
  return (byte & 0xc0) === 0x80
}

/** Reports whether the bytes of a name, quotes included, compare like its UTF-16 code units (RFC 8785, section 3.2.3). */
function isOrderedName(bytes: Uint8Array, from: number, to: number): boolean {
  for (let at = from; at < to; at++) {
    const byte = bytes[at] as number
    if (byte === BACKSLASH || byte >= UNORDERED) return false
  }
  return true
}

/** Reports whether a name comes before another. Both ranges include the quotes. */
function isBefore(bytes: Uint8Array, a: number, aEnd: number, b: number, bEnd: number): boolean {
  const length = Math.min(aEnd - a, bEnd - b) - 1
  for (let i = 1; i < length; i++) {
    const difference = (bytes[a + i] as number) - (bytes[b + i] as number)
    if (difference !== 0) return difference < 0
  }
  return aEnd - a < bEnd - b
}

function numberEnd(bytes: Uint8Array, first: number): number {
  const end = shortEnd(bytes, first)
  return end >= 0 && !continuesNumber(bytes[end]) ? end : exactEnd(bytes, first)
}

/** Scans a number without exponent that a double keeps: up to 15 digits, without needless zeros. */
function shortEnd(bytes: Uint8Array, first: number): number {
  const start = bytes[first] === MINUS ? first + 1 : first
  const point = digitsEnd(bytes, start)
  if (point === start) return -1
  const isZero = bytes[start] === DIGIT_0
  if (isZero && point > start + 1) return -1
  if (bytes[point] === POINT) return fractionEnd(bytes, start, point, isZero)
  // The canonical text of −0 is `0`.
  if (isZero && start > first) return -1
  return point - start > MAX_DIGITS ? -1 : point
}

function fractionEnd(bytes: Uint8Array, start: number, point: number, isZero: boolean): number {
  const end = digitsEnd(bytes, point + 1)
  if (end === point + 1 || bytes[end - 1] === DIGIT_0 || end - start - 1 > MAX_DIGITS) return -1
  if (!isZero) return end
  let zeros = 0
  while (bytes[point + 1 + zeros] === DIGIT_0) zeros += 1
  return zeros > MAX_ZEROS ? -1 : end
}

/** Scans any other number by formatting it again. */
function exactEnd(bytes: Uint8Array, first: number): number {
  let text = ''
  let at = first
  for (; continuesNumber(bytes[at]); at += 1) {
    if (text.length === MAX_NUMBER) return -1
    text += String.fromCharCode(bytes[at] as number)
  }
  return numberText(Number(text)) === text ? at : -1
}

function continuesNumber(byte: number | undefined): boolean {
  if (byte === undefined) return false
  const isDigit = byte >= DIGIT_0 && byte <= DIGIT_9
  return isDigit || byte === POINT || byte === LETTER_E || byte === MINUS || byte === PLUS
}

function digitsEnd(bytes: Uint8Array, start: number): number {
  let at = start
  while ((bytes[at] as number) >= DIGIT_0 && (bytes[at] as number) <= DIGIT_9) at += 1
  return at
}

function wordEnd(bytes: Uint8Array, start: number): number {
  for (const word of WORDS) {
    let length = 0
    while (length < word.length && bytes[start + length] === word[length]) length += 1
    if (length === word.length) return start + length
  }
  return -1
}
