/**
 * Finds the parts of an entry without decoding it, when its header is of the common form: `id`, `type` and `time` alone, and in id and type
 * only ASCII characters that JSON does not escape. For every other entry, valid or not, use parseEntry().
 */
import { MAX_ID_BYTES, MAX_TYPE_BYTES } from './entry.ts'

/** Where the parts of an entry are, as positions in its bytes. The payload has all bytes from `payload` on. */
export interface PlainEntry {
  readonly id: number
  readonly idEnd: number
  readonly type: number
  readonly typeEnd: number
  readonly time: number
  readonly timeEnd: number
  readonly payload: number
}

const ascii = (text: string): Uint8Array => Uint8Array.from(text, (letter) => letter.charCodeAt(0))

const BEFORE_ID = ascii('service-fs/entry/v1\nid: ')
const BEFORE_TYPE = ascii('\ntype: ')
const BEFORE_TIME = ascii('\ntime: ')
const AFTER_TIME = ascii('\n\n')
/** `d` stands for a digit. */
const TIME = ascii('dddd-dd-ddTdd:dd:dd.dddZ')
const DIGIT = 0x64
const DIGIT_0 = 0x30

/** By byte: 1 for ASCII without controls, quote and backslash. */
const PLAIN = new Uint8Array(256)
for (let byte = 0x20; byte < 0x7f; byte++) if (byte !== 0x22 && byte !== 0x5c) PLAIN[byte] = 1

const DAYS = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]

/** Returns the parts of an entry of the common form; undefined for any other. */
export function plainEntry(bytes: Uint8Array): PlainEntry | undefined {
  if (!hasAt(bytes, 0, BEFORE_ID)) return undefined
  const id = BEFORE_ID.length
  const idEnd = plainEnd(bytes, id, MAX_ID_BYTES)
  if (idEnd === id || !hasAt(bytes, idEnd, BEFORE_TYPE)) return undefined
  const type = idEnd + BEFORE_TYPE.length
  const typeEnd = plainEnd(bytes, type, MAX_TYPE_BYTES)
  if (typeEnd === type || !hasAt(bytes, typeEnd, BEFORE_TIME)) return undefined
  const time = typeEnd + BEFORE_TIME.length
  const timeEnd = time + TIME.length
  if (!isTimeAt(bytes, time) || !hasAt(bytes, timeEnd, AFTER_TIME)) return undefined
  return { id, idEnd, type, typeEnd, time, timeEnd, payload: timeEnd + AFTER_TIME.length }
}

function hasAt(bytes: Uint8Array, at: number, wanted: Uint8Array): boolean {
  if (at + wanted.length > bytes.length) return false
  for (let i = 0; i < wanted.length; i++) if (bytes[at + i] !== wanted[i]) return false
  return true
}

/** Returns the end of the plain characters from `start` on, of which there may be `max`. */
function plainEnd(bytes: Uint8Array, start: number, max: number): number {
  const limit = Math.min(bytes.length, start + max)
  let at = start
  while (at < limit && PLAIN[bytes[at] as number] === 1) at += 1
  return at
}

/** Reports whether an RFC 3339 time in UTC with milliseconds, on a day that exists, is at `at`. */
function isTimeAt(bytes: Uint8Array, at: number): boolean {
  if (at + TIME.length > bytes.length) return false
  for (let i = 0; i < TIME.length; i++) {
    const byte = bytes[at + i] as number
    if (TIME[i] === DIGIT ? byte < DIGIT_0 || byte > DIGIT_0 + 9 : byte !== TIME[i]) return false
  }
  const month = two(bytes, at + 5)
  if (month < 1 || month > 12) return false
  const day = two(bytes, at + 8)
  const isLeapDay = month === 2 && day === 29 && isLeap(two(bytes, at) * 100 + two(bytes, at + 2))
  if (day < 1 || (day > (DAYS[month - 1] as number) && !isLeapDay)) return false
  return two(bytes, at + 11) < 24 && two(bytes, at + 14) < 60 && two(bytes, at + 17) < 60
}

function two(bytes: Uint8Array, at: number): number {
  return ((bytes[at] as number) - DIGIT_0) * 10 + (bytes[at + 1] as number) - DIGIT_0
}

function isLeap(year: number): boolean {
  return year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0)
}
