/**
 * A connection to one ledger over HTTP. It has the URL, the caller's credentials, and the rules for retries.
 *
 * Every request may be retried: a read changes nothing, and an append with a payload_id returns the first append's cursor when it is
 * repeated.
 */
import { openTransport } from '#transport'
import { ClientError } from './errors.ts'
import { joined, type Failure, type Incoming, type TlsOptions, type Transport } from './transport.ts'

export type { TlsOptions } from './transport.ts'

export interface ConnectionOptions {
  /** The tenant, sent as X-Foundry-Module-ID. It is not needed when the URL has the prefix `/t/<moduleId>/`. */
  moduleId?: string | undefined
  /** A bearer token (RFC 6750). */
  token?: string | undefined
  tls?: TlsOptions | undefined
  /** The number of retries after a connection fails or breaks (default 5, about 3 seconds). */
  retries?: number
  /** The number of milliseconds during which to retry when the ledger is busy (429, 502, 503, 504; default 60,000). */
  patience?: number
  /** The number of connections kept open (default 8). */
  connections?: number
}

/** One HTTP request, apart from its path. */
export interface Question {
  /** Default: GET. */
  method?: 'GET' | 'POST'
  headers?: Record<string, string>
  body?: Uint8Array | string
  /** The longest pause within the response, in milliseconds (default 300,000). */
  silence?: number
  /** The longest response body, in bytes (default 64 MiB). */
  limit?: number
}

/** A whole HTTP response. */
export interface Answer {
  status: number
  /** Returns the value of a header. The name must be in lower case. */
  header(name: string): string | undefined
  /** The body, decompressed. */
  body: Uint8Array
}

const DEFAULT_LIMIT = 64 * 1024 * 1024
const BUSY: ReadonlySet<number> = new Set([429, 502, 503, 504])

/** Parses a ledger's base URL and adds the closing slash. @throws ClientError `usage` for any URL that can't be a ledger's */
export function parseBaseUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
    throw new ClientError(
      'usage',
      `URL: expected http://host:port or http://host:port/t/<moduleId>/, found ${text}`,
    )
  }
  if (url.search !== '' || url.hash !== '' || url.username !== '' || url.password !== '') {
    throw new ClientError('usage', `URL: expected no user, query or fragment, found ${text}`)
  }
  if (!url.pathname.endsWith('/')) url.pathname += '/'
  return url
}

/** Reports whether a place is a URL: it begins with http:// or https://. Any other place is a path. */
export function isUrl(place: string): boolean {
  return /^https?:\/\//.test(place)
}

/** Sends requests to one ledger. Call {@link close} at the end, because a Connection keeps TCP connections open. */
export class Connection {
  /** The base URL, with a closing slash. */
  readonly url: string
  readonly #transport: Transport
  readonly #base: string
  readonly #headers: Record<string, string>
  readonly #retries: number
  readonly #patience: number

  /**
   * Creates a connection, which connects at the first request.
   * @param url the ledger, `http://host:port`, or one tenant, `http://host:port/t/<moduleId>/`
   * @param shared the transport of another connection to the same origin
   * @throws ClientError `usage` for a URL that can't be the URL of a ledger
   */
  constructor(url: string, options: ConnectionOptions = {}, shared?: Transport) {
    const base = parseBaseUrl(url)
    this.url = base.href
    this.#base = base.pathname
    this.#transport = shared ?? openTransport(base.origin, options)
    this.#headers = {}
    if (options.moduleId !== undefined) this.#headers['x-foundry-module-id'] = options.moduleId
    if (options.token !== undefined) this.#headers['authorization'] = `Bearer ${options.token}`
    this.#retries = options.retries ?? 5
    this.#patience = options.patience ?? 60_000
    this.#options = options
  }

  readonly #options: ConnectionOptions

  /** Returns the audit sub-ledger, which shares this connection's transport. */
  audit(): Connection {
    return new Connection(this.url + 'audit/', this.#options, this.#transport)
  }

  /**
   * Requests `path`, relative to the base URL, and reads the whole response. Only the status 200 is success: a ledger sends neither
   * redirects nor partial content.
   * @throws ClientError `connection`, `malformed` (larger than the limit, or invalid gzip), or the problem document's code
   */
  async ask(path: string, question: Question = {}): Promise<Answer> {
    return this.#persist(path, async () => {
      const { status, header, ...response } = await this.#send(path, question)
      const body = await response.whole(question.limit ?? DEFAULT_LIMIT)
      if (status !== 200) throw errorOf(path, status, header, body)
      return { status, header, body }
    })
  }

  /** Sends a request like `ask`, and returns the body as text. @throws ClientError like `ask`, and `malformed` when it is not UTF-8 */
  async askText(path: string, question: Question = {}): Promise<string> {
    return utf8((await this.ask(path, question)).body, path)
  }

  /** Sends a request like `ask`, and parses the body as JSON. @throws ClientError like `ask`, and `malformed` when it is not JSON */
  async askJson(path: string, question: Question = {}): Promise<unknown> {
    const text = await this.askText(path, {
      ...question,
      headers: { accept: 'application/json', ...question.headers },
    })
    return parseJson(text, path)
  }

  /**
   * Yields the lines of a response as they arrive. The request is not retried once the response has begun.
   * @throws ClientError like `ask`; `connection` when the connection breaks in the middle
   */
  async *askLines(path: string, question: Question = {}): AsyncGenerator<string> {
    yield* splitLines(await this.askStream(path, question))
  }

  /**
   * Resolves when a response has begun, and then yields the bytes of the response as they arrive. The request is not retried after that.
   * @throws ClientError like `ask`; while the bytes are read, `connection` when the connection breaks or is silent for too long
   */
  async askStream(path: string, question: Question = {}): Promise<AsyncIterable<Uint8Array>> {
    const response = await this.#persist(path, async () => {
      const found = await this.#send(path, {
        ...question,
        headers: { 'accept-encoding': 'identity', ...question.headers },
      })
      if (found.status === 200) return found
      throw errorOf(path, found.status, found.header, await found.whole(DEFAULT_LIMIT))
    })
    return this.#bytesOf(response.chunks)
  }

  async *#bytesOf(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    try {
      yield* body
    } catch (error) {
      const failure = this.#transport.failureOf(error)
      throw failure === undefined ? error : this.#lost(failure)
    }
  }

  /** Closes the connections. Running requests fail. */
  async close(): Promise<void> {
    await this.#transport.close()
  }

  #send(path: string, question: Question): Promise<Incoming> {
    return this.#transport.send(this.#base + path, {
      method: question.method ?? 'GET',
      headers: { 'accept-encoding': 'gzip, identity', ...this.#headers, ...question.headers },
      body: question.body,
      silence: question.silence,
    })
  }

  #lost({ text }: Failure): ClientError {
    return new ClientError('connection', `no answer from ${this.url}: ${text}`)
  }

  /** Retries a request whose connection failed or whose ledger is busy, with growing pauses. */
  async #persist<T>(path: string, attempt: () => Promise<T>): Promise<T> {
    const end = Date.now() + this.#patience
    for (let tries = 0; ; tries++) {
      try {
        return await attempt()
      } catch (error) {
        const busy = error instanceof Refusal && BUSY.has(error.status ?? 0)
        const failure = this.#transport.failureOf(error)
        if (!busy && failure === undefined) throw error
        const pause = pauseAfter(tries, busy ? error.retryAfter : undefined)
        if (busy && Date.now() + pause > end) throw error
        if (failure !== undefined && (!failure.mayPass || tries >= this.#retries)) throw this.#lost(failure)
        await sleep(pause)
      }
    }
  }
}

/** Connects to the ledger at `url`, runs `work`, and closes the connection. @throws ClientError `usage` for an invalid URL */
export async function withConnection<T>(
  url: string,
  options: ConnectionOptions,
  work: (connection: Connection) => Promise<T>,
): Promise<T> {
  const connection = new Connection(url, options)
  try {
    return await work(connection)
  } finally {
    await connection.close()
  }
}

/** An error response, with its Retry-After in seconds. */
class Refusal extends ClientError {
  readonly retryAfter: number | undefined

  constructor(
    code: string,
    message: string,
    answer: { status: number; detail?: string | undefined; field?: string | undefined },
    retryAfter: number | undefined,
  ) {
    super(code, message, answer)
    this.retryAfter = retryAfter
  }
}

/**
 * Returns the pause before a retry in milliseconds: Retry-After, at most 10 s. Without Retry-After it is 100 ms, doubled each time, at most
 * 5 s.
 */
function pauseAfter(tries: number, retryAfter: number | undefined): number {
  if (retryAfter !== undefined) return Math.min(Math.max(retryAfter * 1000, 50), 10_000)
  return Math.min(100 * 2 ** tries, 5_000)
}

/** Resolves after a pause in milliseconds. */
export function sleep(pause: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, pause))
}

function utf8(bytes: Uint8Array, what: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    throw new ClientError('malformed', `${what}: expected UTF-8`)
  }
}

function parseJson(text: string, what: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new ClientError('malformed', `${what}: expected JSON, found ${JSON.stringify(text.slice(0, 60))}`)
  }
}

async function* splitLines(body: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  let rest: Uint8Array[] = []
  for await (const chunk of body) {
    let from = 0
    for (let at = chunk.indexOf(10); at >= 0; at = chunk.indexOf(10, from)) {
      rest.push(chunk.subarray(from, at))
      const line = utf8(joined(rest), 'line')
      rest = []
      from = at + 1
      if (line !== '') yield line
    }
    if (from < chunk.length) rest.push(chunk.subarray(from))
  }
  const last = utf8(joined(rest), 'line')
  if (last !== '')
    throw new ClientError('connection', 'response: expected a line feed at the end, found a truncated line')
}

/** Returns the error that a response other than 200 reports, from its problem document (RFC 9457) if it has one. */
function errorOf(
  path: string,
  status: number,
  header: (name: string) => string | undefined,
  body: Uint8Array,
): ClientError {
  const seconds = header('retry-after')
  const retryAfter = seconds !== undefined && /^\d{1,6}$/.test(seconds) ? Number(seconds) : undefined
  if (header('content-type')?.startsWith('application/problem+json') === true) {
    const problem = membersOf(parseJson(utf8(body, path), path))
    const code = stringOf(problem['code']) ?? 'http'
    const detail = stringOf(problem['detail'])
    const message = detail ?? stringOf(problem['title']) ?? `HTTP ${status}`
    return new Refusal(code, message, { status, detail, field: stringOf(problem['field']) }, retryAfter)
  }
  const code = status === 404 ? 'not-found' : 'http'
  return new Refusal(code, `${path}: HTTP ${status}`, { status }, retryAfter)
}

/** Returns the members of a parsed JSON object. For any other value, returns no members. */
export function membersOf(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : {}
}

function stringOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined
}
