/** The ledger's receipts for appended records. */
import { authorFields, type Author } from '@service-fs/format/author'
import { RETAIN_FIELD } from '@service-fs/format/duty'
import { entriesOf, type Field } from '@service-fs/format/entry'
import { nativeCodec, nativeHasher, sha256Hex } from '@service-fs/native/native'
import type { Hash } from '@service-fs/tlog/hash'
import type { NewRecord } from './append-body.ts'
import { signatureBytes } from './author.ts'
import { ClientError } from './errors.ts'

/** The ledger's receipt for one record. */
export interface AppendedRecord {
  id: string
  /** The index of the record's first entry, plus 1. */
  cursor: number
  /** The index of the record's first entry in the log. */
  index: number
  /** The number of entries that the record takes; more than 1 for a split record. */
  parts: number
  /** The leaf hash of the record's first entry (RFC 6962 §2.1), in base64. */
  leafHash: Hash
  /** The time at which the ledger accepted the record, by its clock, in RFC 3339 and UTC. */
  time: string
  /** Whether the ledger already had the same record, and therefore appended nothing. */
  duplicate: boolean
  /** The author that the record's header names, if the record is signed. */
  author?: Author
}

/**
 * Checks that a receipt is for the record that was sent: encodes `content` with the receipt's time, then compares the leaf hash and
 * the number of entries.
 * @throws ClientError `false` when they differ
 */
export function checkReceipt(receipt: AppendedRecord, content: NewRecord): void {
  const { id, type, payload, retainUntil } = content
  checkAuthor(receipt, content)
  const { author } = receipt
  const fields: Field[] = author === undefined ? [] : [...authorFields(author)]
  if (retainUntil !== undefined) fields.push([RETAIN_FIELD, retainUntil])
  const entries = entriesOf({ id, type, payload, fields, time: receipt.time }, sha256Hex, nativeCodec)
  const expected = nativeHasher.leaf(entries[0] as Uint8Array)
  if (receipt.leafHash === expected && receipt.parts === entries.length) return
  throw new ClientError(
    'false',
    `receipt of ${JSON.stringify(receipt.id)}: expected leaf hash ${expected}, found ${receipt.leafHash}`,
  )
}

/**
 * Checks that the receipt of a signed record names the author, and that the signature is the one that was sent.
 * @throws ClientError `false`
 */
function checkAuthor({ id, author }: AppendedRecord, { signature }: NewRecord): void {
  const sent = signature === undefined ? 'none' : sha256Hex(signatureBytes(signature))
  const found = author === undefined ? 'none' : author.signature
  if (sent !== found)
    throw new ClientError(
      'false',
      `receipt of ${JSON.stringify(id)}: expected the signature ${sent}, found ${found}`,
    )
}
