/** Records as they are handed in, as they are answered, and as they are read. */
import type { Field } from '@service-fs/format/entry'
import type { Hash } from '@service-fs/tlog/hash'

/** A record to append. `id`: 1 to 256 bytes, `type`: a media type of 1 to 255 bytes, both without control characters. */
export interface NewRecord {
  id: string
  type: string
  payload: Uint8Array
  /** Further header fields, in the order of their names. */
  fields?: readonly Field[]
}

export interface Appended {
  /** Index of the record's first entry. */
  index: number
  parts: number
  /** Leaf hash of its first entry. */
  leafHash: Hash
  /** RFC 3339 in UTC with milliseconds. */
  time: string
  /** Whether the record was there already. */
  duplicate: boolean
}

/** What an append returns: a place for each record, in order, and the signed checkpoint that covers them. */
export interface AppendResult {
  entries: Appended[]
  checkpoint: string
}

/** A record as it was stored. */
export interface StoredRecord {
  /** Index of its first entry. */
  index: number
  /** How many entries it takes. */
  parts: number
  id: string
  type: string
  /** RFC 3339 in UTC with milliseconds. */
  time: string
  /** Header fields beyond id, type and time that were given with it. */
  fields: readonly Field[]
  payload: Uint8Array
}
