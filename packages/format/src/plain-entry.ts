/**
 * Finds the parts of an entry without decoding it, when its header is of the common form: `id`, `type` and `time` alone, and in id and type
 * only ASCII characters that JSON does not escape. For every other entry, valid or not, use parseEntry().
 */
import { asciiEncode } from '@service-fs/tlog/codec'
import { MAX_ID_BYTES, MAX_TYPE_BYTES } from './entry.ts'
import { TIME_LENGTH, timeRank } from './time.ts'

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

const BEFORE_ID = asciiEncode('service-fs/entry/v1\nid: ')
const BEFORE_TYPE = asciiEncode('\ntype: ')
const BEFORE_TIME = asciiEncode('\ntime: ')
const AFTER_TIME = asciiEncode('\n\n')

/** By byte: 1 for ASCII without controls, quote and backslash. */
const PLAIN = new Uint8Array(256)
for (let byte = 0x20; byte < 0x7f; byte++) if (byte !== 0x22 && byte !== 0x5c) PLAIN[byte] = 1

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
  const timeEnd = time + TIME_LENGTH
  if (timeRank(bytes, time) < 0 || !hasAt(bytes, timeEnd, AFTER_TIME)) return undefined
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
