/** Appends records. One request is one commit: the ledger accepts all of its records or none. */
import {
  fitsFrames,
  framedBody,
  jsonBody,
  mostBytes,
  type AppendBody,
  type NewRecord,
} from './append-body.ts'
import { parseAuthor } from './author.ts'
import { ClientError } from './errors.ts'
import { membersOf, sleep, type Connection } from './http.ts'
import type { AppendedRecord } from './receipt.ts'

export type { NewRecord } from './append-body.ts'
export { checkReceipt, type AppendedRecord } from './receipt.ts'

/** The limits of one append request. */
export interface AppendLimits {
  /** The number of records in one request. */
  lines: number
  /** The number of bytes of one request's body. */
  bytes: number
  /** The number of bytes of one payload. */
  payload: number
}

export interface AppendOptions {
  /** Default: {@link DEFAULT_LIMITS}. */
  limits?: AppendLimits
  /** The number of requests in flight at once (default 4). */
  inFlight?: number
  /**
   * Whether to keep the order of the records, with only one request in flight. By default, the log has the records in the order in which
   * the requests arrive.
   */
  inOrder?: boolean
  /** The number of milliseconds to keep trying when the connection is lost after the first receipts (default 60,000). */
  patience?: number
  /**
   * Called for each committed request with its receipts, the records that were sent, in the same order, and the signed checkpoint of
   * the commit. An exception ends the append.
   */
  appended?(receipts: AppendedRecord[], sent: readonly NewRecord[], checkpoint: string): void
  /**
   * Called for each record that the ledger refuses. The other records are still appended. Without this function, a refusal ends the append.
   */
  refused?(record: NewRecord, error: ClientError): void
}

/** The limits of a request, unless the ledger's contract sets lower ones. */
export const DEFAULT_LIMITS: AppendLimits = {
  lines: 1_000,
  bytes: 4 * 1024 * 1024,
  payload: 16 * 1024 * 1024,
}

/** The codes of errors that a single record causes. The ledger may accept the rest of the batch without that record. */
const ONE_RECORDS_FAULT: ReadonlySet<string> = new Set([
  'bad-request',
  'bad-record',
  'bad-signature',
  'signature-required',
  'conflict',
  'too-large',
])

/** The connections to older servers, which accept no framed batches. */
const WITHOUT_FRAMES = new WeakSet<Connection>()

/**
 * Appends `records` in one commit, all or none, and returns their receipts and the signed checkpoint. Sends a framed batch, or JSON if the
 * server accepts no framed batches or a record has `retainUntil` or `signature`.
 * @throws ClientError with the problem document's code; `malformed` when the receipts do not match the records
 */
export async function appendBatch(
  connection: Connection,
  records: readonly NewRecord[],
): Promise<{ entries: AppendedRecord[]; checkpoint: string }> {
  if (!WITHOUT_FRAMES.has(connection) && fitsFrames(records)) {
    try {
      return await post(connection, records, framedBody(records))
    } catch (error) {
      if (!refusesType(error)) throw error
      WITHOUT_FRAMES.add(connection)
    }
  }
  return post(connection, records, jsonBody(records))
}

/** Reports whether a server refused the media type of a body. Version 0.1.0 refuses it with status 400. */
function refusesType(error: unknown): boolean {
  if (!(error instanceof ClientError)) return false
  return error.status === 415 || (error.status === 400 && error.field === 'Content-Type')
}

async function post(
  connection: Connection,
  records: readonly NewRecord[],
  { type, body, isBatch }: AppendBody,
): Promise<{ entries: AppendedRecord[]; checkpoint: string }> {
  // Receipts are mostly hashes: gzip would cost both sides more time than it saves.
  const headers = { 'content-type': type, 'accept-encoding': 'identity' }
  const answer = membersOf(await connection.askJson('v1/append', { method: 'POST', body, headers }))
  const entries = isBatch ? answer['entries'] : [answer]
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
  const author = membersOf(value)['author']
  return {
    id,
    cursor,
    index,
    parts,
    leafHash,
    time,
    duplicate: duplicate === true,
    ...(author === undefined ? {} : { author: parseAuthor(author) }),
  }
}

/**
 * Appends every record, in batches within the limits and several requests at a time. When the ledger refuses a record, the rest of
 * its batch is sent again without it. While every record is a duplicate, sends one request at a time: the ledger reads its records to
 * detect duplicates, and in this way it reads them in order. When the connection is lost after the first receipts, sends the same requests
 * again until the ledger is back: because of the identifiers, the ledger appends no record twice.
 * @throws ClientError when nothing more can be appended (no connection, not authorized, disk full)
 */
export async function appendAll(
  connection: Connection,
  records: AsyncIterable<NewRecord>,
  options: AppendOptions = {},
): Promise<void> {
  return appendBatches(connection, batches(records, options.limits ?? DEFAULT_LIMITS), options)
}

/** Appends batches of records like {@link appendAll}. Each batch must be within the limits of the ledger. */
export async function appendBatches(
  connection: Connection,
  records: AsyncIterable<readonly NewRecord[]>,
  options: AppendOptions = {},
): Promise<void> {
  const { inOrder = false, inFlight = 4 } = options
  const flights = new Set<Promise<void>>()
  const progress: Progress = { hasAppended: false, allThere: true }
  let failure: unknown
  try {
    for await (const batch of records) {
      const most = inOrder || progress.allThere ? 1 : inFlight
      while (flights.size >= most) await Promise.race(flights)
      if (failure !== undefined) break
      const flight = appendOrSplit(connection, batch, options, progress)
        .catch((error: unknown) => void (failure ??= error))
        .finally(() => flights.delete(flight))
      flights.add(flight)
    }
  } finally {
    await Promise.all(flights)
  }
  if (failure !== undefined) throw failure
}

interface Progress {
  /** Whether the ledger has answered with receipts. */
  hasAppended: boolean
  /** Whether all records of the latest answer were duplicates. */
  allThere: boolean
}

/** Groups records into batches within the limits. A record larger than the limits is a separate batch. */
export async function* batches(
  records: AsyncIterable<NewRecord>,
  limits: AppendLimits,
): AsyncGenerator<NewRecord[]> {
  const batcher = new Batcher(limits)
  for await (const next of records) {
    const full = batcher.add(next)
    if (full !== undefined) yield full
  }
  if (!batcher.isEmpty) yield batcher.take()
}

/** Collects records in batches within the limits. A record larger than the limits is a separate batch. */
export class Batcher {
  readonly #limits: AppendLimits
  #batch: NewRecord[] = []
  #bytes = 0

  constructor(limits: AppendLimits) {
    this.#limits = limits
  }

  get isEmpty(): boolean {
    return this.#batch.length === 0
  }

  /** Adds a record. Returns the batch before it if there is no room for the record. */
  add(record: NewRecord): NewRecord[] | undefined {
    const size = mostBytes(record)
    const { lines, bytes } = this.#limits
    const isFull = this.#batch.length >= lines || this.#bytes + size > bytes
    const full = isFull && !this.isEmpty ? this.take() : undefined
    this.#batch.push(record)
    this.#bytes += size
    return full
  }

  /** Returns the records that were added after the last batch. */
  take(): NewRecord[] {
    const batch = this.#batch
    this.#batch = []
    this.#bytes = 0
    return batch
  }
}

async function appendOrSplit(
  connection: Connection,
  batch: readonly NewRecord[],
  options: AppendOptions,
  progress: Progress,
): Promise<void> {
  try {
    const { entries, checkpoint } = await appendUntilBack(connection, batch, options, progress)
    progress.hasAppended = true
    progress.allThere = entries.every(({ duplicate }) => duplicate)
    options.appended?.(entries, batch, checkpoint)
  } catch (error) {
    if (!(error instanceof ClientError) || !ONE_RECORDS_FAULT.has(error.code)) throw error
    const [only] = batch
    if (batch.length === 1 && only !== undefined) return refuse(only, error, options)
    const half = Math.ceil(batch.length / 2)
    await appendOrSplit(connection, batch.slice(0, half), options, progress)
    await appendOrSplit(connection, batch.slice(half), options, progress)
  }
}

/** The number of milliseconds between two attempts to reach a ledger that was lost. */
const LOST_PAUSE = 500

/** Appends a batch. If the ledger is lost after it has appended records, tries again until `options.patience` has passed. */
async function appendUntilBack(
  connection: Connection,
  batch: readonly NewRecord[],
  { patience = 60_000 }: AppendOptions,
  progress: Progress,
): ReturnType<typeof appendBatch> {
  const start = Date.now()
  for (;;) {
    try {
      return await appendBatch(connection, batch)
    } catch (error) {
      const isLost = error instanceof ClientError && error.code === 'connection'
      if (!isLost || !progress.hasAppended || Date.now() - start > patience) throw error
      await sleep(LOST_PAUSE)
    }
  }
}

function refuse(content: NewRecord, error: ClientError, options: AppendOptions): void {
  if (options.refused === undefined) throw error
  options.refused(content, error)
}

/**
 * Reads the limits of a request from `/v1/contract`. If the contract does not state a limit, the limit in {@link DEFAULT_LIMITS} applies.
 */
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
