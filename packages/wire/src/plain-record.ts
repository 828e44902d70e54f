/**
 * Reads a record from the bytes of `{"payload_id":"…","payload":…,"type":"…"}` in one pass, if the text is as a careful client writes
 * it: without white space, the members in this order (`type` is optional), and the payload in its RFC 8785 form. It rejects every other
 * text, valid or not, which the caller then parses.
 *
 * A compiled engine scans bytes faster than it makes values and writes them again. An interpreter does not.
 */
import type { Codec } from '@service-fs/tlog/codec'
import { numberText } from './numbers.ts'

export interface PlainRecord {
  readonly id: string
  readonly type: string | undefined
  /** A view of the bytes. */
  readonly payload: Uint8Array
}

/** The deepest nesting that is read. The parser accepts more. */
const MAX_DEPTH = 64
/** Integers of so many digits are safe: their text is canonical. */
const SAFE_DIGITS = 15

const ID = bytesOf('{"payload_id":"')
const PAYLOAD = bytesOf('","payload":')
const TYPE = bytesOf(',"type":"')
const TRUE = bytesOf('true')
const FALSE = bytesOf('false')
const NULL = bytesOf('null')

function bytesOf(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0))
}

/** Returns the record in `bytes` from `start` to `end`, which are valid UTF-8; undefined if they have another form. */
export function plainRecord(
  bytes: Uint8Array,
  start: number,
  end: number,
  codec: Codec,
): PlainRecord | undefined {
  const id = after(ID, bytes, start)
  const idEnd = id < 0 ? -1 : unescaped(bytes, id)
  const payload = idEnd < 0 ? -1 : after(PAYLOAD, bytes, idEnd)
  const payloadEnd = payload < 0 ? -1 : value(bytes, payload, 0)
  if (payloadEnd < 0) return undefined
  const type = after(TYPE, bytes, payloadEnd)
  const typeEnd = type < 0 ? -1 : unescaped(bytes, type)
  const last = type < 0 ? payloadEnd : typeEnd + 1
  if (last === 0 || bytes[last] !== CLOSE_OBJECT || last + 1 !== end) return undefined
  return {
    id: codec.utf8Decode(bytes.subarray(id, idEnd)),
    type: type < 0 ? undefined : codec.utf8Decode(bytes.subarray(type, typeEnd)),
    payload: bytes.subarray(payload, payloadEnd),
  }
}

// Each function below returns the position after what it reads, or -1. No token has a byte below 0x20, so none reads beyond its line.

function after(expected: Uint8Array, bytes: Uint8Array, at: number): number {
  for (let i = 0; i < expected.length; i++) if (bytes[at + i] !== expected[i]) return -1
  return at + expected.length
}

/** Returns the position of the quote that ends a string without escapes. */
function unescaped(bytes: Uint8Array, start: number): number {
  for (let at = start; at < bytes.length; at++) {
    const byte = bytes[at] as number
    if (byte === QUOTE) return at
    if (byte < SPACE || byte === BACKSLASH) return -1
  }
  return -1
}

function value(bytes: Uint8Array, at: number, depth: number): number {
  switch (bytes[at]) {
    case QUOTE:
      return string(bytes, at + 1)
    case OPEN_OBJECT:
      return depth === MAX_DEPTH ? -1 : object(bytes, at + 1, depth)
    case OPEN_ARRAY:
      return depth === MAX_DEPTH ? -1 : array(bytes, at + 1, depth)
    case LETTER_T:
      return after(TRUE, bytes, at)
    case LETTER_F:
      return after(FALSE, bytes, at)
    case LETTER_N:
      return after(NULL, bytes, at)
    default:
      return number(bytes, at)
  }
}

function string(bytes: Uint8Array, start: number): number {
  for (let at = start; at < bytes.length; at++) {
    const byte = bytes[at] as number
    if (byte === QUOTE) return at + 1
    if (byte < SPACE) return -1
    if (byte === BACKSLASH && !SHORT_ESCAPES.includes(bytes[++at] as number)) return -1
  }
  return -1
}

function object(bytes: Uint8Array, start: number, depth: number): number {
  if (bytes[start] === CLOSE_OBJECT) return start + 1
  let [last, lastEnd] = [start, start]
  for (let at = start; ;) {
    if (bytes[at] !== QUOTE) return -1
    const name = at + 1
    const nameEnd = plainName(bytes, name)
    // RFC 8785 §3.2.3; ascending names are also unique.
    if (nameEnd < 0 || (at !== start && !isBelow(bytes, last, lastEnd, name, nameEnd))) return -1
    if (bytes[nameEnd + 1] !== COLON) return -1
    at = value(bytes, nameEnd + 2, depth + 1)
    if (at < 0) return -1
    if (bytes[at] === CLOSE_OBJECT) return at + 1
    if (bytes[at] !== COMMA) return -1
    at += 1
    last = name
    lastEnd = nameEnd
  }
}

function array(bytes: Uint8Array, start: number, depth: number): number {
  if (bytes[start] === CLOSE_ARRAY) return start + 1
  for (let at = start; ;) {
    at = value(bytes, at, depth + 1)
    if (at < 0) return -1
    if (bytes[at] === CLOSE_ARRAY) return at + 1
    if (bytes[at] !== COMMA) return -1
    at += 1
  }
}

/** Returns the position of the quote that ends a name of ASCII without escapes. Only for ASCII is the order of bytes that of UTF-16. */
function plainName(bytes: Uint8Array, start: number): number {
  for (let at = start; at < bytes.length; at++) {
    const byte = bytes[at] as number
    if (byte === QUOTE) return at
    if (byte < SPACE || byte === BACKSLASH || byte > ASCII) return -1
  }
  return -1
}

/** Reports whether one name is before another. */
function isBelow(bytes: Uint8Array, a: number, aEnd: number, b: number, bEnd: number): boolean {
  const length = Math.min(aEnd - a, bEnd - b)
  for (let i = 0; i < length; i++) {
    const difference = (bytes[a + i] as number) - (bytes[b + i] as number)
    if (difference !== 0) return difference < 0
  }
  return aEnd - a < bEnd - b
}

function number(bytes: Uint8Array, start: number): number {
  const first = bytes[start] === MINUS ? start + 1 : start
  let at = first
  while (isDigit(bytes[at])) at++
  const digits = at - first
  const isInteger = bytes[at] !== DOT && bytes[at] !== LETTER_E
  if (isInteger && digits <= SAFE_DIGITS && bytes[first] !== DIGIT_0) return digits === 0 ? -1 : at
  if (isInteger && digits === 1 && first === start) return at
  return canonicalNumber(bytes, start)
}

/** Reads a number whose text RFC 8785 may write in another way. */
function canonicalNumber(bytes: Uint8Array, start: number): number {
  let text = ''
  for (let at = start; ; at++) {
    const byte = bytes[at]
    if (isDigit(byte) || byte === DOT || byte === LETTER_E || byte === MINUS || byte === PLUS) {
      text += String.fromCharCode(byte as number)
      // The longest canonical text has fewer characters.
      if (text.length > 32) return -1
    } else return text !== '' && numberText(Number(text)) === text ? at : -1
  }
}

function isDigit(byte: number | undefined): boolean {
  return byte !== undefined && byte >= DIGIT_0 && byte <= DIGIT_9
}

const SPACE = 0x20
const QUOTE = 0x22
const PLUS = 0x2b
const COMMA = 0x2c
const MINUS = 0x2d
const DOT = 0x2e
const DIGIT_0 = 0x30
const DIGIT_9 = 0x39
const COLON = 0x3a
const OPEN_ARRAY = 0x5b
const BACKSLASH = 0x5c
const CLOSE_ARRAY = 0x5d
const LETTER_E = 0x65
const LETTER_F = 0x66
const LETTER_N = 0x6e
const LETTER_T = 0x74
const OPEN_OBJECT = 0x7b
const CLOSE_OBJECT = 0x7d
const ASCII = 0x7f
/** What may follow a backslash in canonical text, besides `u` (RFC 8785 §3.2.2.2): `"`, `\`, b, f, n, r, t. */
const SHORT_ESCAPES: readonly number[] = [QUOTE, BACKSLASH, 0x62, LETTER_F, LETTER_N, 0x72, LETTER_T]
