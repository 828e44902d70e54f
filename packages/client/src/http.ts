/**
 * A connection to one ledger over HTTP: its URL, the caller's credentials, and how to retry.
 *
 * Every request may be retried: a read changes nothing, and an append with a payload_id returns the first append's cursor when it is
 * repeated.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { gunzipSync } from 'node:zlib'
import { Pool, type Dispatcher } from 'undici'
import { codeOf, messageOf } from '@service-fs/format/errors'
import { ClientError } from './errors.ts'

/** Certificates and keys, as PEM text. */
export interface TlsOptions {
  /** The certificate authorities to trust, instead of the system's. */
  ca?: string
  /** The client's certificate. */
  cert?: string
  /** The private key of the client's certificate. */
  key?: string
}

export interface ConnectionOptions {
  /** Sent as X-Foundry-Module-ID. Not needed when the URL has the prefix `/t/<moduleId>/`. */
  moduleId?: string | undefined
  /** A bearer token (RFC 6750). */
  token?: string | undefined
  tls?: TlsOptions | undefined
  /** Retries after a connection fails or breaks (default 5, which takes about 3 seconds). */
  retries?: number
  /** Milliseconds during which to retry when the ledger is busy (429, 502, 503, 504; default 60,000). */
  patience?: number
  /** Connections kept open (default 8). */
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
  /** Returns the value of a header, whose name is given in lower case. */
  header(name: string): string | undefined
  /** The body, decompressed. */
  body: Uint8Array
}

const DEFAULT_LIMIT = 64 * 1024 * 1024
const BUSY: ReadonlySet<number> = new Set([429, 502, 503, 504])
const BROKEN: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'EPIPE',
  'ETIMEDOUT',
  'EAI_AGAIN',
  'UND_ERR_SOCKET',
  'UND_ERR_CONNECT_TIMEOUT',
  'UND_ERR_HEADERS_TIMEOUT',
  'UND_ERR_BODY_TIMEOUT',
  'HPE_INVALID_EOF_STATE',
])
/** undici's message, sometimes without a code, when a chunked body lacks its last chunk. */
const UNFINISHED = 'Invalid EOF state'

/** The codes of Node.js and OpenSSL for a certificate that does not verify. */
const TLS = /^(?:ERR_TLS_|ERR_SSL_|CERT_|UNABLE_TO_|(?:DEPTH_ZERO_)?SELF_SIGNED_|HOSTNAME_MISMATCH|INVALID_)/

/** The codes for a certificate whose authority is not trusted; `--cacert` can name it. */
const UNKNOWN_AUTHORITY: ReadonlySet<string> = new Set([
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
])

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

/** Sends requests to one ledger. Close it when done: it keeps connections open. */
export class Connection {
  /** The base URL, with a closing slash. */
  readonly url: string
  readonly #pool: Pool
  readonly #base: string
  readonly #headers: Record<string, string>
  readonly #retries: number
  readonly #patience: number

  /**
   * Connects at the first request.
   * @param url the ledger, `http://host:port`, or one tenant, `http://host:port/t/<moduleId>/`
   * @param shared the pool of another connection to the same origin
   * @throws ClientError `usage` for a URL that can't be a ledger's
   */
  constructor(url: string, options: ConnectionOptions = {}, shared?: Pool) {
    const base = parseBaseUrl(url)
    this.url = base.href
    this.#base = base.pathname
    this.#pool =
      shared ??
      new Pool(base.origin, {
        connections: options.connections ?? 8,
        keepAliveTimeout: 4_000,
        connect: { ...options.tls },
      })
    this.#headers = {}
    if (options.moduleId !== undefined) this.#headers['x-foundry-module-id'] = options.moduleId
    if (options.token !== undefined) this.#headers['authorization'] = `Bearer ${options.token}`
    this.#retries = options.retries ?? 5
    this.#patience = options.patience ?? 60_000
    this.#options = options
  }

  readonly #options: ConnectionOptions

  /** Returns the audit sub-ledger, which shares this connection's pool. */
  audit(): Connection {
    return new Connection(this.url + 'audit/', this.#options, this.#pool)
  }

  /**
   * Requests `path`, relative to the base URL, and reads the whole response. Only the status 200 is success: a ledger sends neither
   * redirects nor partial content.
   * @throws ClientError `connection`, `malformed` (larger than the limit, or invalid gzip), or the problem document's code
   */
  async ask(path: string, question: Question = {}): Promise<Answer> {
    return this.#persist(path, async () => {
      const response = await this.#send(path, question)
      const bytes = await readAll(response.body, question.limit ?? DEFAULT_LIMIT)
      const header = headerOf(response.headers)
      const body =
        header('content-encoding') === 'gzip' ? gunzip(bytes, question.limit ?? DEFAULT_LIMIT) : bytes
      if (response.statusCode !== 200) throw errorOf(path, response.statusCode, header, body)
      return { status: response.statusCode, header, body }
    })
  }

  /** Like `ask`, and returns the body as text. @throws ClientError like `ask`, and `malformed` when it is not UTF-8 */
  async askText(path: string, question: Question = {}): Promise<string> {
    return utf8((await this.ask(path, question)).body, path)
  }

  /** Like `ask`, and parses the body as JSON. @throws ClientError like `ask`, and `malformed` when it is not JSON */
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
   * Resolves when a response has begun, and yields its bytes as they arrive. The request is not retried after that.
   * @throws ClientError like `ask`; while the bytes are read, `connection` when the connection breaks or is silent for too long
   */
  async askStream(path: string, question: Question = {}): Promise<AsyncIterable<Uint8Array>> {
    const response = await this.#persist(path, async () => {
      const found = await this.#send(path, {
        ...question,
        headers: { 'accept-encoding': 'identity', ...question.headers },
      })
      if (found.statusCode === 200) return found
      const body = await readAll(found.body, DEFAULT_LIMIT)
      throw errorOf(path, found.statusCode, headerOf(found.headers), body)
    })
    return this.#bytesOf(response.body)
  }

  async *#bytesOf(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    try {
      yield* body
    } catch (error) {
      throw isBroken(error) ? broken(this.url, error) : error
    }
  }

  /** Closes the connections. Requests that are under way fail. */
  async close(): Promise<void> {
    await this.#pool.destroy()
  }

  async #send(path: string, question: Question): Promise<Dispatcher.ResponseData> {
    return this.#pool.request({
      path: this.#base + path,
      method: question.method ?? 'GET',
      headers: { 'accept-encoding': 'gzip, identity', ...this.#headers, ...question.headers },
      body: question.body ?? null,
      ...(question.silence === undefined ? {} : { bodyTimeout: question.silence }),
    })
  }

  /** Retries a request whose connection failed or whose ledger is busy, with growing pauses. */
  async #persist<T>(path: string, attempt: () => Promise<T>): Promise<T> {
    const end = Date.now() + this.#patience
    for (let tries = 0; ; tries++) {
      try {
        return await attempt()
      } catch (error) {
        const busy = error instanceof Refusal && BUSY.has(error.status ?? 0)
        if (!busy && !isBroken(error)) throw TLS.test(codeOf(error) ?? '') ? broken(this.url, error) : error
        const pause = pauseAfter(tries, busy ? error.retryAfter : undefined)
        if (busy && Date.now() + pause > end) throw error
        if (!busy && tries >= this.#retries) throw broken(this.url, error)
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
    answer: { status: number; detail: string | undefined },
    retryAfter: number | undefined,
  ) {
    super(code, message, answer)
    this.retryAfter = retryAfter
  }
}

/** Returns the pause before a retry, in milliseconds: Retry-After, at most 10 s; without it 100 ms, doubled each time, at most 5 s. */
function pauseAfter(tries: number, retryAfter: number | undefined): number {
  if (retryAfter !== undefined) return Math.min(Math.max(retryAfter * 1000, 50), 10_000)
  return Math.min(100 * 2 ** tries, 5_000)
}

function isBroken(error: unknown): boolean {
  if (BROKEN.has(codeOf(error) ?? '')) return true
  return !(error instanceof ClientError) && messageOf(error).includes(UNFINISHED)
}

function broken(url: string, error: unknown): ClientError {
  const hint = UNKNOWN_AUTHORITY.has(codeOf(error) ?? '') ? ' (--cacert names the authority to trust)' : ''
  return new ClientError(
    'connection',
    `no answer from ${url}: ${messageOf(error) || (codeOf(error) ?? 'unknown error')}${hint}`,
  )
}

function headerOf(headers: Dispatcher.ResponseData['headers']): (name: string) => string | undefined {
  return (name) => {
    const value = headers[name]
    return Array.isArray(value) ? value[0] : value
  }
}

async function readAll(body: AsyncIterable<Uint8Array>, limit: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of body) {
    size += chunk.length
    if (size > limit)
      throw new ClientError('malformed', `response: expected at most ${limit} bytes, found more`)
    chunks.push(chunk)
  }
  return chunks.length === 1 ? (chunks[0] as Uint8Array) : Buffer.concat(chunks)
}

function gunzip(bytes: Uint8Array, limit: number): Uint8Array {
  try {
    return gunzipSync(bytes, { maxOutputLength: limit })
  } catch (error) {
    throw new ClientError(
      'malformed',
      `response: expected gzip of at most ${limit} bytes: ${messageOf(error)}`,
    )
  }
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
      const line = utf8(rest.length === 1 ? (rest[0] as Uint8Array) : Buffer.concat(rest), 'line')
      rest = []
      from = at + 1
      if (line !== '') yield line
    }
    if (from < chunk.length) rest.push(chunk.subarray(from))
  }
  const last = utf8(Buffer.concat(rest), 'line')
  if (last !== '')
    throw new ClientError('connection', 'response: expected a line feed at the end, found it cut off')
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
    return new Refusal(code, message, { status, detail }, retryAfter)
  }
  const code = status === 404 ? 'not-found' : 'http'
  return new Refusal(code, `${path}: HTTP ${status}`, { status, detail: undefined }, retryAfter)
}

/** Returns the members of a parsed JSON object; none for any other value. */
export function membersOf(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : {}
}

function stringOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined
}
