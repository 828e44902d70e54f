/** The forms of a record: to append, appended, and stored. */
import type { Author, SignatureType } from '@service-fs/format/author'
import type { Field } from '@service-fs/format/entry'
import type { Hash } from '@service-fs/tlog/hash'

/** A record to append. `id`: 1 to 256 bytes, `type`: a media type of 1 to 255 bytes, both without control characters. */
export interface NewRecord {
  id: string
  type: string
  payload: Uint8Array
  /** Other header fields, sorted by name. */
  fields?: readonly Field[]
  /** The signature of its author, which the ledger stores with it. */
  signature?: RecordSignature | undefined
}

/** An author's signature of a record's payload. The caller has verified it; the ledger compares its times with the record's. */
export interface RecordSignature {
  readonly type: SignatureType
  readonly bytes: Uint8Array
  readonly author: Author
  /** All certificates are valid from this time to {@link notAfter}: RFC 3339 in UTC with milliseconds. */
  readonly notBefore: string
  readonly notAfter: string
}

/** The place of an appended record. */
export interface Appended {
  /** Index of the record's first entry. */
  index: number
  /** How many entries it has. */
  parts: number
  /** Leaf hash of its first entry. */
  leafHash: Hash
  /** RFC 3339 in UTC with milliseconds. */
  time: string
  /** Whether the record was in the ledger already. */
  duplicate: boolean
  /** The author that the header of a signed record names. */
  author?: Author | undefined
}

/** The result of an append: a place for each record, in order, and the signed checkpoint that covers them. */
export interface AppendResult {
  entries: Appended[]
  checkpoint: string
}

/** A record in the ledger. */
export interface StoredRecord {
  /** Index of its first entry. */
  index: number
  /** How many entries it has. */
  parts: number
  id: string
  type: string
  /** RFC 3339 in UTC with milliseconds. */
  time: string
  /** The other header fields that it was appended with. */
  fields: readonly Field[]
  payload: Uint8Array
}
