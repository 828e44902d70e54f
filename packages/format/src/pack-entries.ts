/** Makes the entries of many records at once, in one array. */
import { asciiEncode, type Codec } from '@service-fs/tlog/codec'
import type { PackedEntries } from '@service-fs/tlog/kernel/kernel'
import {
  eachEntryOf,
  MAX_ENTRY_BYTES,
  MAX_ID_BYTES,
  PART_BYTES,
  type RecordContent,
  type Sha256Hex,
} from './entry.ts'

/** A record without its time. */
export type UntimedRecord = Omit<RecordContent, 'time'>

/** The entries of records. */
export interface PackedRecords extends PackedEntries {
  /** For each record, the number of its first entry. */
  starts: readonly number[]
}

/**
 * Returns the entries that {@link entriesOf} makes from each record, with the same time for all records.
 * @throws FormatError like {@link entriesOf}
 */
export function packEntries(
  records: readonly UntimedRecord[],
  time: string,
  sha256Hex: Sha256Hex,
  codec: Codec,
): PackedRecords {
  const entriesFor = (record: UntimedRecord): Iterable<Uint8Array> =>
    eachEntryOf({ ...record, time }, sha256Hex, codec)
  const [first] = records
  // The record fits one entry, whatever its header.
  if (records.length === 1 && first !== undefined && first.payload.length <= PART_BYTES) {
    const [entry] = [...entriesFor(first)] as [Uint8Array]
    return { bytes: entry, offsets: Uint32Array.of(0, entry.length), starts: [0] }
  }
  const packer = new Packer(sizeOf(records), (type) => codec.utf8Encode(`\ntype: ${type}\ntime: ${time}\n\n`))
  for (const record of records) if (!packer.addPlain(record)) packer.add(record.type, entriesFor(record))
  return packer.packed()
}

const PREFIX = asciiEncode('service-fs/entry/v1\nid: ')
/** The number of bytes that the names, the time and the line feeds after the identifier take. */
const SUFFIX_BYTES = '\ntype: \ntime: 2026-11-22T18:43:00.123Z\n\n'.length

/** The number of bytes reserved for the fields in the entries of a split record. */
const SPLIT_BYTES = 256

/** Returns the bytes of the entries, or somewhat more, for records with an ASCII identifier and type and without fields. */
function sizeOf(records: readonly UntimedRecord[]): number {
  let bytes = 0
  for (const { id, type, payload } of records) {
    const header = PREFIX.length + id.length + type.length + SUFFIX_BYTES
    bytes += header + payload.length
    if (header + payload.length > MAX_ENTRY_BYTES)
      bytes += Math.ceil(payload.length / PART_BYTES) * (header + SPLIT_BYTES)
  }
  return bytes
}

class Packer {
  readonly #starts: number[] = []
  readonly #suffixOf: (type: string) => Uint8Array
  readonly #ends: number[] = [0]
  #bytes: Uint8Array
  #length = 0
  /** A type that entriesOf() has accepted, and the end of a header of this type without other fields. */
  #type: string | undefined
  #suffix: Uint8Array = new Uint8Array()

  constructor(bytes: number, suffixOf: (type: string) => Uint8Array) {
    this.#bytes = new Uint8Array(bytes)
    this.#suffixOf = suffixOf
  }

  packed(): PackedRecords {
    const bytes = this.#bytes.subarray(0, this.#length)
    return { bytes, offsets: Uint32Array.from(this.#ends), starts: this.#starts }
  }

  /** Adds the entries of a record of this type. */
  add(type: string, entries: Iterable<Uint8Array>): void {
    this.#starts.push(this.#ends.length - 1)
    for (const entry of entries) {
      this.#reserve(entry.length)
      this.#bytes.set(entry, this.#length)
      this.#end(entry.length)
    }
    if (type === this.#type) return
    this.#type = type
    this.#suffix = this.#suffixOf(type)
  }

  /**
   * Adds a record with the same type as the previous record, if it has no other fields, fits one entry, and its identifier is printable
   * ASCII. Returns false for every other record.
   */
  addPlain({ id, type, payload, fields }: UntimedRecord): boolean {
    if (type !== this.#type || (fields !== undefined && fields.length > 0)) return false
    const suffix = this.#suffix
    const header = PREFIX.length + id.length + suffix.length
    if (header + payload.length > MAX_ENTRY_BYTES) return false
    this.#reserve(header + payload.length)
    const bytes = this.#bytes
    const at = this.#length
    if (!writePlainId(id, bytes, at + PREFIX.length)) return false
    bytes.set(PREFIX, at)
    bytes.set(suffix, at + header - suffix.length)
    bytes.set(payload, at + header)
    this.#starts.push(this.#ends.length - 1)
    this.#end(header + payload.length)
    return true
  }

  #reserve(bytes: number): void {
    if (this.#length + bytes <= this.#bytes.length) return
    // Grow by a half only: a batch may take a large part of an engine's memory.
    const larger = new Uint8Array(Math.ceil(1.5 * (this.#length + bytes)))
    larger.set(this.#bytes.subarray(0, this.#length))
    this.#bytes = larger
  }

  #end(bytes: number): void {
    this.#length += bytes
    this.#ends.push(this.#length)
  }
}

/** Writes a valid identifier of printable ASCII to `bytes`. Returns false for every other identifier, after writing a part of it. */
function writePlainId(id: string, bytes: Uint8Array, at: number): boolean {
  if (id.length === 0 || id.length > MAX_ID_BYTES) return false
  for (let i = 0; i < id.length; i++) {
    const unit = id.charCodeAt(i)
    if (unit < 0x20 || unit > 0x7e) return false
    bytes[at + i] = unit
  }
  return true
}
