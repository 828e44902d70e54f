/** Appending records: one request is one commit, all or none. */
import { entriesOf } from '@service-fs/format/entry'
import { nativeCodec, nativeHasher, sha256Hex } from '@service-fs/native/native'
import type { Hash } from '@service-fs/tlog/hash'
import { ClientError } from './errors.ts'
import { membersOf, type Connection } from './http.ts'

export interface NewRecord {
  id: string
  type: string
  payload: Uint8Array
}

export interface AppendedRecord {
  id: string
  /** Index of the record's first entry, plus 1. */
  cursor: number
  index: number
  parts: number
  leafHash: Hash
  time: string
  /** The ledger had the same record before. */
  duplicate: boolean
}

export interface AppendLimits {
  /** Lines of one request. */
  lines: number
  /** Bytes of one request. */
  bytes: number
  /** Bytes of one payload. */
  payload: number
}

export interface AppendOptions {
  limits?: AppendLimits
  /** Requests in flight (default 4). */
  inFlight?: number
  /** Called for each request that was answered, with what was sent, in the same order. What it throws ends the work. */
  appended?(receipts: AppendedRecord[], sent: readonly NewRecord[], checkpoint: string): void
  /** Called for each record that the ledger does not take, with the reason. The others go on. */
  refused?(record: NewRecord, error: ClientError): void
}

/** What a request holds unless the ledger's contract says less. */
export const DEFAULT_LIMITS: AppendLimits = {
  lines: 1_000,
  bytes: 4 * 1024 * 1024,
  payload: 16 * 1024 * 1024,
}

/** An answer to a batch that one of its records caused: the others may be taken without it. */
const ONE_RECORDS_FAULT: ReadonlySet<string> = new Set(['bad-request', 'bad-record', 'conflict', 'too-large'])

/** One NDJSON line of `POST /v1/append`, with its line feed. */
export function appendLine(content: NewRecord): string {
  const payload = Buffer.from(content.payload.buffer, content.payload.byteOffset, content.payload.byteLength)
  const value = { payload_id: content.id, type: content.type, payload_base64: payload.toString('base64') }
  return JSON.stringify(value) + '\n'
}

/**
 * Appends `records` in one commit, all or none: as NDJSON, or a single one as JSON, whose limit leaves room for the largest
 * payload.
 * @throws ClientError with the problem document's code
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
 * Checks that a receipt is of the record that was sent: its leaf hash and its number of entries are those of `content` at the receipt's
 * time. @throws ClientError `false`
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
 * Appends every record: in batches by count and bytes, several in flight. A record that the ledger refuses is reported and
 * the rest of its batch is sent again without it. While the answers say that all is there already, which the ledger finds by
 * reading it, batches go one after the other, so that it reads in order.
 * @throws ClientError when nothing more can be appended (no connection, not allowed, disk full)
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

/** Groups records so that a batch stays below the limits; a record that is larger than them goes alone. */
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

/** An upper bound of an NDJSON line's bytes: an id's characters may be escaped as \uXXXX. */
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

/** What one request may hold, from `/v1/contract`; what it does not say is the default. */
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
