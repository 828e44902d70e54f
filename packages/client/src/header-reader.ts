/** Reads the parts of entry headers that a verification needs: the times, and the fingerprints of the identifiers. */
import { SIGNATURE_FIELD, SIGNATURE_OF_FIELD } from '@service-fs/format/author'
import { DUTY_FIELD, RETAIN_FIELD } from '@service-fs/format/duty'
import { parseEntry, type EntryHeader } from '@service-fs/format/entry'
import { PlainEntry, PRINTABLE } from '@service-fs/format/plain-entry'
import { isTime, timeRank } from '@service-fs/format/time'
import { TREE_TYPE } from '@service-fs/format/tree-binding'
import { nativeCodec } from '@service-fs/native/native'
import { fingerprint, type FingerprintKey } from './fingerprint.ts'

const TREE_TYPE_BYTES = nativeCodec.utf8Encode(TREE_TYPE)

/** Reads the header of one entry after another. Each result is valid until the next call. */
export class HeaderReader {
  /** A number that orders the times of entries: {@link timeRank}. */
  rank = 0
  /** The offset of the 24 characters of the time within the given bytes. */
  time = 0
  readonly #key: FingerprintKey
  readonly #plain = new PlainEntry(PRINTABLE)

  constructor(key: FingerprintKey) {
    this.#key = key
  }

  /**
   * Reads the header of the entry from `from` up to, but not including, `to`, and writes the fingerprint of its identifier into two words of
   * `words` at `at`. Returns false if `parseEntry` does not accept the entry as a whole record, or if the entry needs more checks: a duty
   * entry, a signed record or its signature, a record with a bad `retain-until`, or the binding of a second tree.
   */
  read(bytes: Uint8Array, from: number, to: number, words: Uint32Array, at: number): boolean {
    const plain = this.#plain
    if (!plain.read(bytes, from, to)) return this.#other(bytes, from, to, words, at)
    if (bindsTree(bytes, plain.type, plain.typeEnd)) return false
    this.rank = plain.rank
    this.time = plain.time
    fingerprint(bytes, plain.id, plain.idEnd, this.#key, words, at)
    return true
  }

  /** Reads a header with more fields or with characters beyond ASCII. */
  #other(bytes: Uint8Array, from: number, to: number, words: Uint32Array, at: number): boolean {
    try {
      const { header, split, continuation } = parseEntry(bytes.subarray(from, to), nativeCodec)
      if (split !== undefined || continuation !== undefined || needsCheck(header)) return false
      const id = nativeCodec.utf8Encode(header.id)
      const before = `service-fs/entry/v1\nid: ${header.id}\ntype: ${header.type}\ntime: `
      this.time = from + nativeCodec.utf8Encode(before).length
      this.rank = timeRank(bytes, this.time)
      fingerprint(id, 0, id.length, this.#key, words, at)
      return this.rank >= 0
    } catch {
      return false
    }
  }
}

function bindsTree(bytes: Uint8Array, from: number, end: number): boolean {
  if (end - from !== TREE_TYPE_BYTES.length) return false
  return TREE_TYPE_BYTES.every((byte, i) => bytes[from + i] === byte)
}

const CHECKED: ReadonlySet<string> = new Set([DUTY_FIELD, SIGNATURE_FIELD, SIGNATURE_OF_FIELD])

function needsCheck({ fields, type }: EntryHeader): boolean {
  if (type === TREE_TYPE) return true
  return fields.some(([name, value]) => CHECKED.has(name) || (name === RETAIN_FIELD && !isTime(value)))
}
