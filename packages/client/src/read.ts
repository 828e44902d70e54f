/** Reads records from `/v1/entries` and `/v1/records` without verifying them. To verify records, use `getRecord` or `openTree`. */
import type { Author } from '@service-fs/format/author'
import { nativeCodec } from '@service-fs/native/native'
import { parseAuthor } from './author.ts'
import { ClientError } from './errors.ts'
import { membersOf, type Connection } from './http.ts'

/** A record in the form in which the ledger returned it. */
export interface ReadRecord {
  /** The index of the record's first entry, plus 1. */
  cursor: number
  id: string
  /** The media type. */
  type: string
  /** The time at which the ledger accepted the record, by its clock, in RFC 3339 and UTC. */
  time: string
  /** The time until which the record must be kept, if the record itself states it. A policy, an extension or a hold may last longer. */
  retainUntil?: string
  /** The author that the record's header names, if the record is signed. */
  author?: Author
  /** The identifier of the signed record, if this record is its author's signature. */
  signatureOf?: string
  payload: Uint8Array
}

export interface ReadOptions {
  /** Start at the first record whose first entry has at least this index (default 0). */
  since?: number
  /** Stop before the first record whose first entry has at least this index (default: at the end). */
  until?: number
}

/** Yields the records of a ledger in order. After a broken connection, reading resumes with the next record. @throws ClientError */
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

/** Reads the record with this identifier. @throws ClientError `not-found` */
export async function readRecordById(connection: Connection, id: string): Promise<ReadRecord> {
  return parseRecord(await connection.askJson(`v1/records/${encodeURIComponent(id)}`))
}

/** Reads the record with this cursor. @throws ClientError `not-found` */
export async function readRecordAt(connection: Connection, cursor: number): Promise<ReadRecord> {
  return parseRecord(await connection.askJson(`v1/entries/${cursor}`))
}

/** Names a record by its cursor or by its identifier. */
export type RecordKey = { cursor: number } | { id: string }

/**
 * Reads one record without verifying its content.
 * @throws ClientError `not-found`; `false` when the ledger returns a record with another cursor or identifier
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

/** Returns the error for a record whose field `name` does not have the expected value. */
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
      `v1/entries: expected a line of JSON, found ${JSON.stringify(line.slice(0, 60))}`,
    )
  }
}

/** Parses a record of `/v1/entries` from its JSON value. @throws ClientError `malformed` */
export function parseRecord(value: unknown): ReadRecord {
  const {
    cursor,
    payload_id: id,
    type,
    time,
    payload,
    payload_base64: base64,
    retain_until: retainUntil,
    author,
    signature_of: signatureOf,
  } = membersOf(value)
  if (typeof cursor !== 'number' || !Number.isSafeInteger(cursor) || cursor < 1) throw missing('cursor')
  if (typeof id !== 'string') throw missing('payload_id')
  if (typeof type !== 'string') throw missing('type')
  if (typeof time !== 'string') throw missing('time')
  if (retainUntil !== undefined && typeof retainUntil !== 'string') throw missing('retain_until as text')
  if (signatureOf !== undefined && typeof signatureOf !== 'string') throw missing('signature_of as text')
  if ((payload === undefined) === (base64 === undefined)) throw missing('either payload or payload_base64')
  if (base64 !== undefined && typeof base64 !== 'string') throw missing('payload_base64 as text')
  const bytes = base64 === undefined ? nativeCodec.utf8Encode(canonicalJson(payload)) : decoded(base64)
  return {
    cursor,
    id,
    type,
    time,
    ...(retainUntil === undefined ? {} : { retainUntil }),
    ...(author === undefined ? {} : { author: parseAuthor(author) }),
    ...(signatureOf === undefined ? {} : { signatureOf }),
    payload: bytes,
  }
}

function decoded(base64: string): Uint8Array {
  try {
    return nativeCodec.base64Decode(base64)
  } catch {
    throw missing('payload_base64 in canonical base64')
  }
}

function missing(what: string): ClientError {
  return new ClientError('malformed', `record: expected ${what}`)
}

/** Formats a value from JSON.parse as canonical JSON (RFC 8785). */
export function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  const members = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))
  return `{${members.map(([name, member]) => `${JSON.stringify(name)}:${canonicalJson(member)}`).join(',')}}`
}
