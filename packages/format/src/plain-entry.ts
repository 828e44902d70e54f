/**
 * Finds the parts of entries without decoding them, if their headers have the common form: `id`, `type` and `time` alone, with only some
 * ASCII characters in id and type. Use parseEntry() for every other entry, valid or not.
 */
import { asciiEncode } from '@service-fs/tlog/codec'
import { MAX_ID_BYTES, MAX_TYPE_BYTES } from './entry.ts'
import { TIME_LENGTH, timeRank } from './time.ts'

const BEFORE_ID = asciiEncode('service-fs/entry/v1\nid: ')
const BEFORE_TYPE = asciiEncode('\ntype: ')
const BEFORE_TIME = asciiEncode('\ntime: ')
const NEWLINE = 0x0a

/** By byte: 1 for the characters that the id and the type of a plain entry may have. */
export type Characters = Uint8Array

/** Printable ASCII. */
export const PRINTABLE: Characters = new Uint8Array(256).fill(1, 0x20, 0x7f)
/** Printable ASCII that JSON does not escape. */
export const UNESCAPED: Characters = PRINTABLE.slice()
UNESCAPED[0x22] = UNESCAPED[0x5c] = 0

/** The parts of the entry that was read last, as positions in the bytes that were given. The payload begins at `payload`. */
export class PlainEntry {
  id = 0
  idEnd = 0
  type = 0
  typeEnd = 0
  time = 0
  timeEnd = 0
  payload = 0
  /** Orders the times of entries: {@link timeRank}. */
  rank = -1
  readonly #characters: Characters

  constructor(characters: Characters) {
    this.#characters = characters
  }

  /** Reads the entry in `bytes` from `from` up to, not including, `to`. Returns false unless it is valid and has the common form. */
  read(bytes: Uint8Array, from: number, to: number): boolean {
    const characters = this.#characters
    if (!hasAt(bytes, from, to, BEFORE_ID)) return false
    const id = from + BEFORE_ID.length
    const idEnd = textEnd(bytes, id, Math.min(to, id + MAX_ID_BYTES), characters)
    if (idEnd === id || !hasAt(bytes, idEnd, to, BEFORE_TYPE)) return false
    const type = idEnd + BEFORE_TYPE.length
    const typeEnd = textEnd(bytes, type, Math.min(to, type + MAX_TYPE_BYTES), characters)
    if (typeEnd === type || !hasAt(bytes, typeEnd, to, BEFORE_TIME)) return false
    const time = typeEnd + BEFORE_TIME.length
    const timeEnd = time + TIME_LENGTH
    if (timeEnd + 2 > to || bytes[timeEnd] !== NEWLINE || bytes[timeEnd + 1] !== NEWLINE) return false
    this.rank = timeRank(bytes, time)
    this.id = id
    this.idEnd = idEnd
    this.type = type
    this.typeEnd = typeEnd
    this.time = time
    this.timeEnd = timeEnd
    this.payload = timeEnd + 2
    return this.rank >= 0
  }
}

/** Returns the end of the characters from `from` on, at most `limit`. */
function textEnd(bytes: Uint8Array, from: number, limit: number, characters: Characters): number {
  let at = from
  while (at < limit && characters[bytes[at]!] === 1) at += 1
  return at
}

function hasAt(bytes: Uint8Array, at: number, to: number, wanted: Uint8Array): boolean {
  if (at + wanted.length > to) return false
  for (let i = 0; i < wanted.length; i++) if (bytes[at + i] !== wanted[i]) return false
  return true
}
