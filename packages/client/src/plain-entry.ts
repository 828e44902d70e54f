/** Reads the headers of entries from bytes, without making text of them. */
import { MAX_ID_BYTES, MAX_TYPE_BYTES, parseEntry } from '@service-fs/format/entry'
import { TIME_LENGTH, timeRank } from '@service-fs/format/time'
import { nativeCodec } from '@service-fs/native/native'
import { fingerprint, type FingerprintKey } from './fingerprint.ts'

const NEWLINE = 0x0a

const START = ascii('service-fs/entry/v1\nid: ')
const TYPE = ascii('type: ')
const TIME = ascii('time: ')

function ascii(text: string): Uint8Array {
  return nativeCodec.asciiEncode(text)
}

/** Reads the header of one entry after another. Each result is valid until the next call. */
export class HeaderReader {
  /** Orders the times of entries: {@link timeRank}. */
  rank = 0
  /** The offset of the 24 characters of the time, in the bytes given. */
  time = 0
  readonly #key: FingerprintKey

  constructor(key: FingerprintKey) {
    this.#key = key
  }

  /**
   * Reads the header of the entry from `from` up to, but not including, `to`, and writes the fingerprint of its identifier into two words of
   * `words` at `at`. Returns false unless `parseEntry` accepts the entry as a whole record.
   */
  read(bytes: Uint8Array, from: number, to: number, words: Uint32Array, at: number): boolean {
    const id = from + START.length
    if (!has(bytes, from, to, START)) return false
    const idEnd = textEnd(bytes, id, Math.min(to, id + MAX_ID_BYTES + 1))
    const type = idEnd + 1 + TYPE.length
    if (idEnd < 0 || !has(bytes, idEnd + 1, to, TYPE)) return this.#other(bytes, from, to, words, at)
    const typeEnd = textEnd(bytes, type, Math.min(to, type + MAX_TYPE_BYTES + 1))
    const time = typeEnd + 1 + TIME.length
    const end = time + TIME_LENGTH
    const isPlain =
      typeEnd >= 0 &&
      end + 2 <= to &&
      bytes[end] === NEWLINE &&
      bytes[end + 1] === NEWLINE &&
      has(bytes, typeEnd + 1, to, TIME)
    if (!isPlain) return this.#other(bytes, from, to, words, at)
    this.rank = timeRank(bytes, time)
    this.time = time
    if (this.rank < 0) return false
    fingerprint(bytes, id, idEnd, this.#key, words, at)
    return true
  }

  /** Reads a header with more fields or with characters beyond ASCII. */
  #other(bytes: Uint8Array, from: number, to: number, words: Uint32Array, at: number): boolean {
    try {
      const entry = bytes.subarray(from, to)
      const { header, split, continuation } = parseEntry(entry, nativeCodec)
      if (split !== undefined || continuation !== undefined) return false
      const id = nativeCodec.utf8Encode(header.id)
      const before = nativeCodec.utf8Encode(`id: ${header.id}\ntype: ${header.type}\ntime: `).length
      this.time = from + START.length - 'id: '.length + before
      this.rank = timeRank(bytes, this.time)
      fingerprint(id, 0, id.length, this.#key, words, at)
      return this.rank >= 0
    } catch {
      return false
    }
  }
}

function has(bytes: Uint8Array, at: number, to: number, text: Uint8Array): boolean {
  if (at + text.length > to) return false
  for (let i = 0; i < text.length; i++) if (bytes[at + i] !== text[i]) return false
  return true
}

/** Returns the offset of the newline after one or more printable ASCII characters; -1 when anything else is found before `limit`. */
function textEnd(bytes: Uint8Array, from: number, limit: number): number {
  let at = from
  while (at < limit && bytes[at]! >= 0x20 && bytes[at]! < 0x7f) at += 1
  return at > from && at < limit && bytes[at] === NEWLINE ? at : -1
}
