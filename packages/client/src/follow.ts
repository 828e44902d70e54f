/**
 * Following a ledger: `/v1/follow`, server-sent events (WHATWG HTML, section 9.2). A stream that ends or breaks is gone on with where
 * it was. Each record comes once, in the order of the ledger, and none is left out: that is checked by the cursors. What is
 * followed is not verified otherwise; `get` and `verify` verify.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { TextDecoder } from 'node:util'
import { createParser, type EventSourceMessage } from 'eventsource-parser'
import { entriesOf } from '@service-fs/format/entry'
import { nativeCodec, sha256Hex } from '@service-fs/native/native'
import { ClientError } from './errors.ts'
import { membersOf, type Connection } from './http.ts'
import { parseRecord, type ReadRecord } from './read.ts'

export interface FollowOptions {
  /** Records whose first entry has this index or a later one (default 0). */
  since?: number
  /** Ends after so many records (default: never). */
  limit?: number
  /** Told when a stream was lost, and in how many milliseconds it is gone on with. */
  lost?: (error: ClientError | undefined, pause: number) => void
  /** Milliseconds between two attempts: the first pause after an error, doubled each time, and the longest (default 250 and 10,000). */
  pauses?: { first: number; longest: number }
  /** Milliseconds without any sign of life after which a stream counts as lost (default 45,000: the server gives one every 15 s). */
  silence?: number
}

export interface Followed {
  record: ReadRecord
  /** The record as it came: a JSON object on one line. */
  text: string
}

/** An event is at most a record of 16 MiB in base64. */
const MAX_EVENT_CHARACTERS = 64 * 2 ** 20

/**
 * The records of a ledger from `since` on, and those that are appended. Streams that are lost are gone on with, without end, once one
 * has begun.
 * @throws ClientError what the first attempt fails with; `false` when a record is missing, out of order, or the ledger has less than
 *   it showed; refusals that repeating does not change
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
    // Not all who were cut off at once come back at once.
    await sleep(pause * (0.5 + Math.random() / 2))
  }
}

/** Whether trying again later may help: a broken connection, a server that is busy or being started. */
function mayPass({ code, status }: ClientError): boolean {
  return code === 'connection' || status === 429 || (status ?? 0) >= 500
}

/** A ledger that has less than what it has shown lost records. */
function shrunk({ code, message }: ClientError, { cursor, hasSeen }: Order): ClientError | undefined {
  if (code !== 'range' || !hasSeen) return undefined
  return new ClientError(
    'false',
    `the ledger has shown the record ${cursor} and has not so many entries now: ${message}`,
  )
}

class Stream {
  readonly #connection: Connection
  readonly #silence: number
  /** Whether a stream has ever been had. */
  hasBegun = false
  /** Milliseconds after which the server wants to be asked again. */
  retry = 1000

  constructor(connection: Connection, silence: number) {
    this.#connection = connection
    this.#silence = silence
  }

  /** The record events of one stream. @throws ClientError as the connection does, and the code of a problem event */
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

function decoded(decoder: TextDecoder, chunk: Uint8Array): string {
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
    typeof detail === 'string' ? detail : 'the server could not go on',
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

/** Where one is, and which cursor has to be the next. */
class Order {
  readonly #connection: Connection
  /** Of the last record, or where it began. */
  cursor: number
  hasSeen = false
  /** Cursor of the next record. */
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
      throw new ClientError('false', `v1/follow: expected the id ${cursor} of its record, found ${id}`)
    if (cursor !== this.#next && !(await this.#isWithinOne(cursor)))
      throw new ClientError('false', `v1/follow: expected the record ${this.#next}, found ${cursor}`)
    this.cursor = cursor
    this.hasSeen = true
    this.#next = cursor + partsOf(found)
  }

  /** Whether all entries that were passed over are parts of the record before: it began in the middle, or has more header than is shown. */
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

/** How many entries a record takes. */
function partsOf({ id, type, time, payload }: ReadRecord): number {
  return entriesOf({ id, type, time, payload }, sha256Hex, nativeCodec).length
}
