/** Appends records. One request is one commit: the ledger takes all of its records or none. */
import { entriesOf } from '@service-fs/format/entry'
import { nativeCodec, nativeHasher, sha256Hex } from '@service-fs/native/native'
import type { Hash } from '@service-fs/tlog/hash'
import { ClientError } from './errors.ts'
import { membersOf, type Connection } from './http.ts'

/** A record to append. */
export interface NewRecord {
  /** The record's identifier, unique in the ledger: 1 to 256 bytes of UTF-8 without control characters. */
  id: string
  /** The media type. */
  type: string
  payload: Uint8Array
}

/** The ledger's receipt for one record. */
export interface AppendedRecord {
  id: string
  /** Index of the record's first entry, plus 1. */
  cursor: number
  /** Index of the record's first entry in the log. */
  index: number
  /** Entries that the record takes: 1, or more for a split record. */
  parts: number
  /** Leaf hash of the record's first entry (RFC 6962 §2.1), in base64. */
  leafHash: Hash
  /** RFC 3339 in UTC: the ledger's clock when it accepted the record. */
  time: string
  /** The ledger already had the same record, and appended nothing. */
  duplicate: boolean
}

/** The most that one append request may hold. */
export interface AppendLimits {
  /** Records in one request. */
  lines: number
  /** Bytes of one request's body. */
  bytes: number
  /** Bytes of one payload. */
  payload: number
}

export interface AppendOptions {
  /** Default: {@link DEFAULT_LIMITS}. */
  limits?: AppendLimits
  /** Requests in flight at once (default 4). */
  inFlight?: number
  /**
   * Called for each committed request with its receipts, the records that were sent, in the same order, and the signed checkpoint of
   * the commit. An exception ends the append.
   */
  appended?(receipts: AppendedRecord[], sent: readonly NewRecord[], checkpoint: string): void
  /** Called for each record that the ledger refuses. The other records are still appended. Without it, a refusal ends the append. */
  refused?(record: NewRecord, error: ClientError): void
}

/** The limits of a request when the ledger's contract sets none or higher ones. */
export const DEFAULT_LIMITS: AppendLimits = {
  lines: 1_000,
  bytes: 4 * 1024 * 1024,
  payload: 16 * 1024 * 1024,
}

/** Error codes that a single record causes: the ledger may take the rest of the batch without it. */
const ONE_RECORDS_FAULT: ReadonlySet<string> = new Set(['bad-request', 'bad-record', 'conflict', 'too-large'])

/** Returns a record as one NDJSON line of `POST /v1/append`, with its line feed. */
export function appendLine(content: NewRecord): string {
  const payload = nativeCodec.base64Encode(content.payload)
  const value = { payload_id: content.id, type: content.type, payload_base64: payload }
  return JSON.stringify(value) + '\n'
}

/**
 * Appends `records` in one commit, all or none, and returns their receipts and the signed checkpoint. Several records are sent as
 * NDJSON. One record is sent as JSON, because only the limit of a JSON body has room for the largest payload.
 * @throws ClientError with the problem document's code; `malformed` when the receipts do not match the records
 */
export async function appendBatch(
  connection: Connection,
  records: readonly NewRecord[],
): Promise<{ entries: AppendedRecord[]; checkpoint: string }> {
  const body = records.map(appendLine).join('')
  const single = records.length === 1
  const type = single ? 'application/json' : 'application/x-ndjson'
  const question = { method: 'POST', body, headers: { 'content-type': type } } as const
  const answer = membersOf(await connection.askJson('v1/append', question))
  const entries = single ? [answer] : answer['entries']
  const { checkpoint } = answer
  if (!Array.isArray(entries) || entries.length !== records.length || typeof checkpoint !== 'string') {
    throw new ClientError('malformed', `v1/append: expected ${records.length} entries and a checkpoint`)
  }
  return {
    entries: entries.map((entry, i) => parseAppended(entry, (records[i] as NewRecord).id)),
    checkpoint,
  }
}

function parseAppended(value: unknown, id: string): AppendedRecord {
  const { cursor, payload_id: found, index, parts, leaf_hash: leafHash, time, duplicate } = membersOf(value)
  const numbers = typeof cursor === 'number' && typeof index === 'number' && typeof parts === 'number'
  if (!numbers || typeof leafHash !== 'string' || typeof time !== 'string' || found !== id) {
    throw new ClientError('malformed', `v1/append: expected the receipt of ${JSON.stringify(id)}`)
  }
  return { id, cursor, index, parts, leafHash, time, duplicate: duplicate === true }
}

/**
 * Checks that a receipt is for the record that was sent: encodes `content` with the receipt's time, then compares the leaf hash and
 * the number of entries.
 * @throws ClientError `false` when they differ
 */
export function checkReceipt(receipt: AppendedRecord, content: NewRecord): void {
  const entries = entriesOf({ ...content, time: receipt.time }, sha256Hex, nativeCodec)
  const expected = nativeHasher.leaf(entries[0] as Uint8Array)
  if (receipt.leafHash === expected && receipt.parts === entries.length) return
  throw new ClientError(
    'false',
    `receipt of ${JSON.stringify(receipt.id)}: expected leaf hash ${expected}, found ${receipt.leafHash}`,
  )
}

/**
 * Appends every record, in batches within the limits and several requests at a time. When the ledger refuses a record, the rest of
 * its batch is sent again without it. While every record is a duplicate, sends one request at a time: to detect duplicates, the
 * ledger reads its records, and this way it reads them in order.
 * @throws ClientError when nothing more can be appended (no connection, not authorized, disk full)
 */
export async function appendAll(
  connection: Connection,
  records: AsyncIterable<NewRecord>,
  options: AppendOptions = {},
): Promise<void> {
  const flights = new Set<Promise<void>>()
  let failure: unknown
  let allThere = true
  const appended: NonNullable<AppendOptions['appended']> = (receipts, sent, checkpoint) => {
    allThere = receipts.every(({ duplicate }) => duplicate)
    options.appended?.(receipts, sent, checkpoint)
  }
  try {
    for await (const batch of batches(records, options.limits ?? DEFAULT_LIMITS)) {
      while (flights.size >= (allThere ? 1 : (options.inFlight ?? 4))) await Promise.race(flights)
      if (failure !== undefined) break
      const flight = appendOrSplit(connection, batch, { ...options, appended })
        .catch((error: unknown) => void (failure ??= error))
        .finally(() => flights.delete(flight))
      flights.add(flight)
    }
  } finally {
    await Promise.all(flights)
  }
  if (failure !== undefined) throw failure
}

/** Groups records into batches within the limits. A record larger than the limits is a separate batch. */
export async function* batches(
  records: AsyncIterable<NewRecord>,
  limits: AppendLimits,
): AsyncGenerator<NewRecord[]> {
  let batch: NewRecord[] = []
  let bytes = 0
  for await (const next of records) {
    const size = lineBytes(next)
    if (batch.length > 0 && (batch.length >= limits.lines || bytes + size > limits.bytes)) {
      yield batch
      batch = []
      bytes = 0
    }
    batch.push(next)
    bytes += size
  }
  if (batch.length > 0) yield batch
}

/** Returns an upper bound of the bytes of a record's NDJSON line. JSON may escape each character of an id as \uXXXX. */
function lineBytes(content: NewRecord): number {
  return Math.ceil(content.payload.length / 3) * 4 + 6 * (content.id.length + content.type.length) + 64
}

async function appendOrSplit(
  connection: Connection,
  batch: readonly NewRecord[],
  options: AppendOptions,
): Promise<void> {
  try {
    const { entries, checkpoint } = await appendBatch(connection, batch)
    options.appended?.(entries, batch, checkpoint)
  } catch (error) {
    if (!(error instanceof ClientError) || !ONE_RECORDS_FAULT.has(error.code)) throw error
    const [only] = batch
    if (batch.length === 1 && only !== undefined) return refuse(only, error, options)
    const half = Math.ceil(batch.length / 2)
    await appendOrSplit(connection, batch.slice(0, half), options)
    await appendOrSplit(connection, batch.slice(half), options)
  }
}

function refuse(content: NewRecord, error: ClientError, options: AppendOptions): void {
  if (options.refused === undefined) throw error
  options.refused(content, error)
}

/** Reads the limits of a request from `/v1/contract`. {@link DEFAULT_LIMITS} holds for each one that the contract does not state. */
export async function appendLimits(connection: Connection): Promise<AppendLimits> {
  const contract = membersOf(await connection.askJson('v1/contract'))
  const limits = membersOf(contract['limits'])
  const at = (name: string, fallback: number): number => {
    const value = limits[name]
    return typeof value === 'number' && value > 0 ? value : fallback
  }
  return {
    lines: Math.min(DEFAULT_LIMITS.lines, at('append_lines', DEFAULT_LIMITS.lines)),
    bytes: Math.min(DEFAULT_LIMITS.bytes, at('append_bytes', DEFAULT_LIMITS.bytes)),
    payload: at('payload_bytes', DEFAULT_LIMITS.payload),
  }
}
