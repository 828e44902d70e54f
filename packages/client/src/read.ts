/** Reading records in order, as the ledger shows them: `/v1/entries`. What is read here is not verified; `get` verifies. */
import { ClientError } from './errors.ts'
import { membersOf, type Connection } from './http.ts'

export interface ReadRecord {
  /** Index of the record's first entry, plus 1. */
  cursor: number
  id: string
  type: string
  /** RFC 3339 in UTC, the ledger's clock when it accepted the record. */
  time: string
  payload: Uint8Array
}

export interface ReadOptions {
  /** Records whose first entry has this index or a later one (default 0). */
  since?: number
  /** Stops before the record whose first entry has this index (default: none). */
  until?: number
}

/** The records of a ledger in order. A connection that breaks is made again where it broke. @throws ClientError */
export async function* readRecords(
  connection: Connection,
  options: ReadOptions = {},
): AsyncGenerator<ReadRecord> {
  const until = options.until ?? Number.MAX_SAFE_INTEGER
  let since = options.since ?? 0
  let broken = 0
  while (since < until) {
    let found = 0
    try {
      for await (const line of connection.askLines(`v1/entries?since=${since}`, {
        headers: { accept: 'application/x-ndjson' },
      })) {
        const next = parseRecord(parseLine(line))
        if (next.cursor - 1 >= until) return
        if (next.cursor <= since)
          throw new ClientError(
            'malformed',
            `v1/entries: expected a cursor above ${since}, found ${next.cursor}`,
          )
        yield next
        since = next.cursor
        found += 1
      }
      if (found === 0) return
    } catch (error) {
      if (!(error instanceof ClientError) || error.code !== 'connection' || (found === 0 && broken++ > 0))
        throw error
    }
  }
}

/** The record with this identifier. @throws ClientError `not-found` */
export async function readRecordById(connection: Connection, id: string): Promise<ReadRecord> {
  return parseRecord(await connection.askJson(`v1/records/${encodeURIComponent(id)}`))
}

/** The record with this cursor. @throws ClientError `not-found` */
export async function readRecordAt(connection: Connection, cursor: number): Promise<ReadRecord> {
  return parseRecord(await connection.askJson(`v1/entries/${cursor}`))
}

/** A record's name in its ledger: its cursor, or its identifier. */
export type RecordKey = { cursor: number } | { id: string }

/**
 * Reads one record, which must have the cursor or identifier that was asked for. Its content is not verified.
 * @throws ClientError `not-found`; `false` when the ledger answers with another record
 */
export async function readRecord(connection: Connection, key: RecordKey): Promise<ReadRecord> {
  if ('id' in key) {
    const found = await readRecordById(connection, key.id)
    if (found.id !== key.id) throw mismatch('id', key.id, found.id)
    return found
  }
  const found = await readRecordAt(connection, key.cursor)
  if (found.cursor !== key.cursor) throw mismatch('cursor', String(key.cursor), String(found.cursor))
  return found
}

/** The error for a record whose `name` is not the one expected. */
export function mismatch(name: string, expected: string, found: string): ClientError {
  return new ClientError(
    'false',
    `record: expected ${name} ${JSON.stringify(expected)}, found ${JSON.stringify(found)}`,
  )
}

function parseLine(line: string): unknown {
  try {
    return JSON.parse(line)
  } catch {
    throw new ClientError(
      'malformed',
      `v1/entries: expected a JSON value a line, found ${JSON.stringify(line.slice(0, 60))}`,
    )
  }
}

/** A record as `/v1/entries` shows it. @throws ClientError `malformed` */
export function parseRecord(value: unknown): ReadRecord {
  const { cursor, payload_id: id, type, time, payload, payload_base64: base64 } = membersOf(value)
  if (typeof cursor !== 'number' || !Number.isSafeInteger(cursor) || cursor < 1) throw missing('cursor')
  if (typeof id !== 'string') throw missing('payload_id')
  if (typeof type !== 'string') throw missing('type')
  if (typeof time !== 'string') throw missing('time')
  if ((payload === undefined) === (base64 === undefined))
    throw missing('payload or payload_base64, one of the two')
  if (base64 !== undefined && typeof base64 !== 'string') throw missing('payload_base64 as text')
  const bytes = base64 === undefined ? Buffer.from(canonicalJson(payload)) : Buffer.from(base64, 'base64')
  return { cursor, id, type, time, payload: bytes }
}

function missing(what: string): ClientError {
  return new ClientError('malformed', `record: expected ${what}`)
}

/** RFC 8785 text of a value that came from JSON.parse. */
export function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  const members = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))
  return `{${members.map(([name, member]) => `${JSON.stringify(name)}:${canonicalJson(member)}`).join(',')}}`
}
