/**
 * Follows a ledger over `/v1/follow`, a stream of server-sent events (WHATWG HTML, section 9.2). A stream that ends or breaks is
 * resumed after the last record. The cursors show that each record arrives once and in order, and that none is missing. This file verifies
 * nothing else; `getRecord` and `verifyUrl` verify records.
 */
import { createParser, type EventSourceMessage } from 'eventsource-parser'
import { entriesOf } from '@service-fs/format/entry'
import { nativeCodec, sha256Hex } from '@service-fs/native/native'
import { ClientError } from './errors.ts'
import { membersOf, sleep, type Connection } from './http.ts'
import { parseRecord, type ReadRecord } from './read.ts'

export interface FollowOptions {
  /** Start at the first record whose first entry has at least this index (default 0). */
  since?: number
  /** End after this many records (default: never). */
  limit?: number
  /**
   * Called when a stream is lost, with the error (undefined when the server ended the stream) and the pause before the next
   * attempt, in ms.
   */
  lost?: (error: ClientError | undefined, pause: number) => void
  /** The pause after a first failure and the longest one, in milliseconds (default 250 and 10,000). Each failure doubles the pause. */
  pauses?: { first: number; longest: number }
  /**
   * The number of milliseconds of silence after which a stream is considered lost (default 45,000; the server sends something every 15 s).
   */
  silence?: number
}

/** A record of the stream. */
export interface Followed {
  record: ReadRecord
  /** The record in the form in which the server sent it: a JSON object on one line. */
  text: string
}

/** The largest event is a record of 16 MiB in base64. */
const MAX_EVENT_CHARACTERS = 64 * 2 ** 20

/**
 * Yields the records of a ledger from `since` on, and then each record as it is appended. After the first stream has begun, resumes
 * a lost stream any number of times. @throws ClientError when the first stream fails or the server rejects permanently; `false`
 * when a record is missing or out of order, or
 *   the ledger has lost records that it had shown
 */
export async function* follow(connection: Connection, options: FollowOptions = {}): AsyncGenerator<Followed> {
  const { lost, silence = 45_000, pauses = { first: 250, longest: 10_000 } } = options
  let left = options.limit ?? Number.POSITIVE_INFINITY
  const order = new Order(connection, options.since ?? 0)
  const stream = new Stream(connection, silence)
  for (let failures = 0; left > 0;) {
    let failure: ClientError | undefined
    try {
      for await (const { id, data } of stream.records(order.cursor, left)) {
        const found = parseRecord(parseEvent(data))
        await order.check(found, id)
        failures = 0
        left -= 1
        yield { record: found, text: data }
        if (left === 0) return
      }
    } catch (error) {
      if (!(error instanceof ClientError)) throw error
      failure = shrunk(error, order) ?? error
      if (!stream.hasBegun || !mayPass(failure)) throw failure
    }
    const pause =
      failure === undefined ? stream.retry : Math.min(pauses.first * 2 ** failures, pauses.longest)
    failures += 1
    lost?.(failure, pause)
    // Clients that lost their streams at the same time must not all reconnect at the same time.
    await sleep(pause * (0.5 + Math.random() / 2))
  }
}

/** Reports whether a retry may succeed: the connection broke, or the server is busy or starting. */
export function mayPass({ code, status }: ClientError): boolean {
  return code === 'connection' || status === 429 || (status ?? 0) >= 500
}

/** Returns an error if the server refuses a cursor that it has shown before: the ledger lost records. */
function shrunk({ code, message }: ClientError, { cursor, hasSeen }: Order): ClientError | undefined {
  if (code !== 'range' || !hasSeen) return undefined
  return new ClientError(
    'false',
    `the ledger showed record ${cursor} before, but now has fewer entries: ${message}`,
  )
}

/** Opens one stream after another. */
class Stream {
  readonly #connection: Connection
  readonly #silence: number
  /** Whether at least one stream has begun. */
  hasBegun = false
  /** The number of milliseconds that clients must wait before they reconnect, as requested by the server. */
  retry = 1000

  constructor(connection: Connection, silence: number) {
    this.#connection = connection
    this.#silence = silence
  }

  /** Yields the record events of one stream. @throws ClientError like the connection, or with the code of a problem event */
  async *records(since: number, limit: number): AsyncGenerator<EventSourceMessage> {
    const most = Number.isFinite(limit) ? `&limit=${limit}` : ''
    const bytes = await this.#connection.askStream(`v1/follow?since=${since}${most}`, {
      headers: { accept: 'text/event-stream', 'last-event-id': String(since) },
      silence: this.#silence,
    })
    this.hasBegun = true
    let events: EventSourceMessage[] = []
    const parser = createParser({
      onEvent: (event) => void events.push(event),
      onRetry: (ms) => (this.retry = Math.min(Math.max(ms, 100), 60_000)),
      maxBufferSize: MAX_EVENT_CHARACTERS,
      onError: (error) => {
        throw new ClientError('malformed', `v1/follow: ${error.message}`)
      },
    })
    const decoder = new TextDecoder('utf-8', { fatal: true })
    for await (const chunk of bytes) {
      parser.feed(decoded(decoder, chunk))
      const came = events
      events = []
      for (const event of came) {
        if (event.event === 'problem') throw problemOf(event.data)
        if (event.event === 'record') yield event
      }
    }
  }
}

function decoded(decoder: InstanceType<typeof TextDecoder>, chunk: Uint8Array): string {
  try {
    return decoder.decode(chunk, { stream: true })
  } catch {
    throw new ClientError('malformed', 'v1/follow: expected UTF-8')
  }
}

function problemOf(data: string): ClientError {
  const { code, detail, status } = membersOf(parseEvent(data))
  return new ClientError(
    typeof code === 'string' ? code : 'http',
    typeof detail === 'string' ? detail : 'the server ended the stream with a problem',
    { status: typeof status === 'number' ? status : 500 },
  )
}

function parseEvent(data: string): unknown {
  try {
    return JSON.parse(data)
  } catch {
    throw new ClientError('malformed', `v1/follow: expected JSON, found ${JSON.stringify(data.slice(0, 60))}`)
  }
}

/** Checks that each record is the next one of the ledger. */
class Order {
  readonly #connection: Connection
  /** The cursor of the last record; before the first record, the start of the stream. */
  cursor: number
  hasSeen = false
  /** The expected cursor of the next record. */
  #next: number

  constructor(connection: Connection, since: number) {
    this.#connection = connection
    this.cursor = since
    this.#next = since + 1
  }

  /** @throws ClientError `false` unless this is the next record */
  async check(found: ReadRecord, id: string | undefined): Promise<void> {
    const { cursor } = found
    if (id !== String(cursor))
      throw new ClientError(
        'false',
        `v1/follow: expected event id ${cursor}, the record's cursor, found ${id}`,
      )
    if (cursor !== this.#next && !(await this.#isWithinOne(cursor)))
      throw new ClientError('false', `v1/follow: expected record ${this.#next}, found ${cursor}`)
    this.cursor = cursor
    this.hasSeen = true
    this.#next = cursor + partsOf(found)
  }

  /**
   * Reports whether all skipped entries are later parts of the previous record. `partsOf` cannot decide this if the stream began
   * within that record, or if the record's header has fields that the event does not show.
   */
  async #isWithinOne(cursor: number): Promise<boolean> {
    if (cursor < this.#next) return false
    for (const passed of new Set([this.#next, cursor - 1])) {
      const answer = await this.#connection.askText(`v1/entries/${passed}`).catch((error: unknown) => error)
      if (!(answer instanceof ClientError)) return false
      if (answer.code !== 'not-a-record') throw answer
    }
    return true
  }
}

/** Returns the number of entries that a record takes, if its header has no other fields. */
function partsOf({ id, type, time, payload }: ReadRecord): number {
  return entriesOf({ id, type, time, payload }, sha256Hex, nativeCodec).length
}
