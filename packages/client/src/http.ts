/**
 * A connection to one ledger over HTTP: where it is, who asks, and what to do when the answer does not come.
 *
 * All requests may be repeated: reads change nothing, and an append that names its payload_id is answered with the first
 * one's cursor when it comes twice.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { gunzipSync } from 'node:zlib'
import { Pool, type Dispatcher } from 'undici'
import { codeOf, messageOf } from '@service-fs/format/errors'
import { ClientError } from './errors.ts'

/** Texts in PEM. */
export interface TlsOptions {
  /** Who may vouch for the server, instead of the system's authorities. */
  ca?: string
  /** The client's certificate and its key. */
  cert?: string
  key?: string
}

export interface ConnectionOptions {
  /** Sent as X-Foundry-Module-ID. Not needed when the URL has the prefix `/t/<moduleId>/`. */
  moduleId?: string | undefined
  /** A bearer token. */
  token?: string | undefined
  tls?: TlsOptions | undefined
  /** How often a request is repeated when no connection can be made or it breaks (default 5: about 3 seconds). */
  retries?: number
  /** How long a busy ledger (429, 502, 503, 504) is asked again, in milliseconds (default 60,000). */
  patience?: number
  /** Connections kept open (default 8). */
  connections?: number
}

export interface Question {
  method?: 'GET' | 'POST'
  headers?: Record<string, string>
  body?: Uint8Array | string
  /** Milliseconds that the answer may be silent in the middle (default 300,000). */
  silence?: number
  /** Upper bound of the answer's body in bytes (default 64 MiB). */
  limit?: number
}

export interface Answer {
  status: number
  /** A header's value, by its name in lower case. */
  header(name: string): string | undefined
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
/** What undici says, at times without a code, of a body in chunks whose last one did not come. */
const UNFINISHED = 'Invalid EOF state'

/** Node's codes of a certificate that does not hold, and OpenSSL's. */
const TLS = /^(?:ERR_TLS_|ERR_SSL_|CERT_|UNABLE_TO_|(?:DEPTH_ZERO_)?SELF_SIGNED_|HOSTNAME_MISMATCH|INVALID_)/

/** Those of a certificate that another authority would make hold. */
const UNKNOWN_AUTHORITY: ReadonlySet<string> = new Set([
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
])

/** A ledger's base URL, without query and with a closing slash. @throws ClientError `usage` */
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

/** Reports whether a place is the URL of a ledger, which begins with http:// or https://. Any other place is a path. */
export function isUrl(place: string): boolean {
  return /^https?:\/\//.test(place)
}

export class Connection {
  /** The base URL, with a closing slash. */
  readonly url: string
  readonly #pool: Pool
  readonly #base: string
  readonly #headers: Record<string, string>
  readonly #retries: number
  readonly #patience: number

  /** @throws ClientError `usage` for a URL that can't be a ledger's */
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

  /** The audit sub-ledger, by the same connections. */
  audit(): Connection {
    return new Connection(this.url + 'audit/', this.#options, this.#pool)
  }

  /**
   * Asks for `path` (relative to the base URL) and reads the whole answer, which has the status 200: a ledger gives no
   * other to what it takes, so a redirection or an answer in part is not the ledger's.
   * @throws ClientError `connection`, `malformed` (larger than the limit, broken gzip), or the problem document's code
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

  /** As `ask`, for the text of the answer. @throws ClientError as `ask`, and `malformed` when it is not UTF-8 */
  async askText(path: string, question: Question = {}): Promise<string> {
    return utf8((await this.ask(path, question)).body, path)
  }

  /** As `ask`, for the JSON value of the answer. @throws ClientError as `ask`, and `malformed` when it is not JSON */
  async askJson(path: string, question: Question = {}): Promise<unknown> {
    const text = await this.askText(path, {
      ...question,
      headers: { accept: 'application/json', ...question.headers },
    })
    return parseJson(text, path)
  }

  /**
   * The lines of an answer as they come. Nothing is repeated once the first byte is there.
   * @throws ClientError `connection` when the connection breaks in the middle
   */
  async *askLines(path: string, question: Question = {}): AsyncGenerator<string> {
    yield* splitLines(await this.askStream(path, question))
  }

  /**
   * The bytes of an answer as they come, once it has begun. Nothing is repeated then.
   * @throws ClientError as `ask`; `connection`, while they are read, when the connection breaks or is silent for too long
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

  /** Repeats what broke or was turned away for now, with growing pauses. */
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

/** Connects to the ledger at `url`, runs `work`, and closes the connection. @throws ClientError `usage` for a URL that can't be a ledger's */
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

/** A refusal that says when to come back. */
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

/** Milliseconds: what Retry-After says, at most 10 s, else 100 ms and doubling, at most 5 s. */
function pauseAfter(tries: number, retryAfter: number | undefined): number {
  if (retryAfter !== undefined) return Math.min(Math.max(retryAfter * 1000, 50), 10_000)
  return Math.min(100 * 2 ** tries, 5_000)
}

function isBroken(error: unknown): boolean {
  if (BROKEN.has(codeOf(error) ?? '')) return true
  return !(error instanceof ClientError) && messageOf(error).includes(UNFINISHED)
}

function broken(url: string, error: unknown): ClientError {
  const hint = UNKNOWN_AUTHORITY.has(codeOf(error) ?? '') ? ' (--cacert names who vouches for it)' : ''
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
      throw new ClientError('malformed', `answer: expected at most ${limit} bytes, found more`)
    chunks.push(chunk)
  }
  return chunks.length === 1 ? (chunks[0] as Uint8Array) : Buffer.concat(chunks)
}

function gunzip(bytes: Uint8Array, limit: number): Uint8Array {
  try {
    return gunzipSync(bytes, { maxOutputLength: limit })
  } catch (error) {
    throw new ClientError('malformed', `answer: expected gzip of at most ${limit} bytes: ${messageOf(error)}`)
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
    throw new ClientError('connection', 'answer: expected a line feed at its end: it was cut off')
}

/** The error that an answer other than 200 stands for (RFC 9457 when it is a problem document). */
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

/** `value` as an object with unknown members, or an empty one. */
export function membersOf(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : {}
}

function stringOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined
}
