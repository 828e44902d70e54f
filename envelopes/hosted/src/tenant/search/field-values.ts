/** The values of the declared fields in the records of one segment, in memory: hashes of their texts. */
import { createHash } from 'node:crypto'
import { joinParts, parseEntry, type Entry } from '@service-fs/format/entry'
import { jsonOf, MAX_JSON_BYTES, Pointer, type SearchField } from '@service-fs/format/json-fields'
import { nativeCodec, sha256Hex } from '@service-fs/native/native'

/**
 * Bytes of a hash: a number in JSON keeps 48 bits. If two texts have the same hash, a search reads one more entry, and
 * its hits stay the same.
 */
const HASH_BYTES = 6

/** Returns the hash of a field's text. */
export function hashOf(text: string): number {
  return createHash('sha256').update(text).digest().readUIntBE(0, HASH_BYTES)
}

/** Reports whether a field has this pointer, and this type if one is given. */
export function isFieldOf(field: SearchField, pointer: string, type: string | undefined): boolean {
  return field.pointer === pointer && (type === undefined || field.type === type)
}

export class FieldValues {
  readonly field: SearchField
  /** The hashes, and at the same positions the offsets of the records. */
  readonly hashes: number[] = []
  readonly offsets: number[] = []
  /** The offsets of the records whose values are not known. A search reads these records. */
  readonly unread: number[] = []
  readonly #pointer: Pointer

  constructor(field: SearchField) {
    this.field = field
    this.#pointer = new Pointer(field.pointer)
  }

  /** Adds a record. `document` is the parsed payload of the record. */
  add(offset: number, document: unknown): void {
    const text = this.#pointer.textAt(document)
    if (text === undefined) return
    this.hashes.push(hashOf(text))
    this.offsets.push(offset)
  }

  /** Returns the offsets of the records that may have a text, in no order. */
  offsetsOf(hash: number): number[] {
    const found = this.offsets.filter((_, i) => this.hashes[i] === hash)
    return [...found, ...this.unread]
  }
}

/** Returns the payload of the record whose first entry is at `at`; undefined if it has parts beyond these entries. */
function payloadIn(first: Entry, entries: readonly Uint8Array[], at: number): Uint8Array | undefined {
  const { payload, split } = first
  if (split === undefined) return payload
  if (at + split.parts > entries.length) return undefined
  const rest = entries.slice(at + 1, at + split.parts).map((bytes) => parseEntry(bytes, nativeCodec))
  return joinParts([first, ...rest], sha256Hex)
}

/**
 * Adds the record whose first entry is at `at` to the fields of its type. `offset` is the entry's position in the
 * segment.
 * @throws FormatError if its parts do not form a record
 */
export function addRecord(
  fields: readonly FieldValues[],
  offset: number,
  first: Entry,
  entries: readonly Uint8Array[],
  at: number,
): void {
  const ofType = fields.filter(({ field }) => field.type === first.header.type)
  const length = first.split?.length ?? first.payload.length
  if (ofType.length === 0 || length > MAX_JSON_BYTES) return
  const payload = payloadIn(first, entries, at)
  if (payload === undefined) return ofType.forEach(({ unread }) => unread.push(offset))
  const document = jsonOf(payload, nativeCodec)
  for (const values of ofType) values.add(offset, document)
}
