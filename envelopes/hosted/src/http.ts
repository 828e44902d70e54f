/** HTTP/1.1 for the wire: Fastify accepts, every request goes to `wire.handle`, and what it answers is written as it is. */
import { chmod, lstat, unlink } from 'node:fs/promises'
import { METHODS, type IncomingMessage, type ServerResponse } from 'node:http'
import { connect, type Socket } from 'node:net'
import { performance } from 'node:perf_hooks'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { fastify, type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import { Budget } from '@service-fs/wire/body-limits'
import type { Wire } from '@service-fs/wire/handle'
import { hostName } from '@service-fs/wire/host-name'
import { Problem, problemResponse, type ProblemCode } from '@service-fs/wire/problem'
import type { WireRequest, WireResponse } from '@service-fs/wire/request'
import { readBody } from './body.ts'
import type { Listen } from './config.ts'
import { compress } from './compress.ts'
import { HostedError } from './errors.ts'
import { hasCode } from './keys.ts'

export interface HttpOptions {
  wire: Wire
  /** Bytes of all header fields of a request. */
  maxHeaderBytes?: number
  /** Milliseconds for the head of a request, and for all of it. */
  headersTimeout?: number
  requestTimeout?: number
  /** Milliseconds that a connection may be idle between requests, and may make no progress within one. */
  keepAliveTimeout?: number
  idleTimeout?: number
  maxConnections?: number
  /** Bytes of request bodies held at once; more is answered 503. */
  maxBodyBytes?: number
  /** Which host names (without a port) a request may be for; default: any. */
  accepts?(host: string): boolean
  /** Told of every answer. */
  answered?(method: string, status: number, seconds: number): void
  /** Told of what went wrong outside of the wire. */
  report?(error: unknown): void
}

const DEFAULTS = {
  maxHeaderBytes: 16 * 1024,
  headersTimeout: 10_000,
  requestTimeout: 120_000,
  keepAliveTimeout: 60_000,
  idleTimeout: 60_000,
  maxConnections: 4096,
  maxBodyBytes: 256 * 2 ** 20,
}

export interface HttpServer {
  /** `http://127.0.0.1:8080/` or `unix:/path`. */
  readonly url: string
  /** Accepts nothing more, and resolves when what was accepted is answered; after `ms` milliseconds the rest is cut off. */
  stop(ms: number): Promise<void>
}

/** Listens. @throws HostedError `listen` */
export async function startHttp(listen: Listen, options: HttpOptions): Promise<HttpServer> {
  const app = createApp({ ...DEFAULTS, ...options })
  if ('path' in listen) await clearStaleSocket(listen.path)
  let url: string
  try {
    url = await app.listen(listen)
    if ('path' in listen) await chmod(listen.path, 0o600)
  } catch (error) {
    const where = 'path' in listen ? listen.path : `${listen.host}:${listen.port}`
    const why = error instanceof Error ? error.message : 'failed'
    throw new HostedError('listen', `can't listen on ${where}: ${why}`, { cause: error })
  }
  return {
    url: 'path' in listen ? `unix:${listen.path}` : `${url}/`,
    stop: (ms) => stop(app, ms),
  }
}

async function stop(app: FastifyInstance, ms: number): Promise<void> {
  const timer = setTimeout(() => app.server.closeAllConnections(), ms)
  try {
    await app.close()
  } finally {
    clearTimeout(timer)
  }
}

/** Removes the socket that a killed process left; one that is answered stays. */
async function clearStaleSocket(path: string): Promise<void> {
  try {
    if (!(await lstat(path)).isSocket())
      throw new HostedError('listen', `${path}: is there, and is no socket`)
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return
    throw error
  }
  const isAnswered = await new Promise<boolean>((resolve) => {
    const socket = connect(path, () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
  if (isAnswered) throw new HostedError('listen', `${path}: another process listens there`)
  await unlink(path)
}

type Hooks = 'accepts' | 'answered' | 'report'
type Settings = Required<Omit<HttpOptions, Hooks>> & Pick<HttpOptions, Hooks>

function createApp(settings: Settings): FastifyInstance {
  const handler = new Handler(settings)
  const app = fastify({
    logger: false,
    exposeHeadRoutes: false,
    return503OnClosing: false,
    requestTimeout: settings.requestTimeout,
    keepAliveTimeout: settings.keepAliveTimeout,
    connectionTimeout: settings.idleTimeout,
    http: {
      maxHeaderSize: settings.maxHeaderBytes,
      headersTimeout: settings.headersTimeout,
      connectionsCheckingInterval: Math.min(5000, settings.headersTimeout),
    },
    // One route: the route table is the wire's.
    rewriteUrl: () => '/',
    clientErrorHandler: (error, socket) => refuse(error, socket),
  })
  const methods = METHODS.filter((method) => method !== 'CONNECT')
  for (const method of methods) app.addHttpMethod(method, { hasBody: false, overrideExisting: true })
  app.route({ method: methods, url: '/', handler: (request, reply) => handler.take(request, reply) })
  app.addHook('preClose', (done) => {
    handler.isClosing = true
    done()
  })
  app.server.maxConnections = settings.maxConnections
  // The handler says "100 Continue" once it knows that it wants the body.
  app.server.on('checkContinue', (request, response) => app.server.emit('request', request, response))
  return app
}

class Request implements WireRequest {
  readonly method: string
  readonly target: string
  body: Uint8Array = EMPTY
  readonly #raw: IncomingMessage

  constructor(raw: IncomingMessage, target: string) {
    this.method = raw.method ?? ''
    this.target = target
    this.#raw = raw
  }

  header(name: string): string | undefined {
    const value = this.#raw.headers[name]
    return Array.isArray(value) ? value.join(', ') : value
  }
}

const EMPTY = new Uint8Array(0)

class Handler {
  isClosing = false
  readonly #settings: Settings
  readonly #budget: Budget

  constructor(settings: Settings) {
    this.#settings = settings
    this.#budget = new Budget(settings.maxBodyBytes)
  }

  /** Fastify's part ends here: the answer is written to the raw response. */
  take(request: FastifyRequest, reply: FastifyReply): void {
    reply.hijack()
    this.#serve(request.raw, reply.raw, request.originalUrl).catch((error: unknown) => {
      reply.raw.destroy()
      if (!isDisconnect(error)) this.#settings.report?.(error)
    })
  }

  /** A page that made its own name point here must not read the ledger with its visitor's browser (DNS rebinding). */
  #misdirected(raw: IncomingMessage): Problem | undefined {
    const { accepts } = this.#settings
    const host = hostName(raw.headers.host ?? '')
    if (accepts === undefined || accepts(host)) return undefined
    return new Problem(
      'misdirected',
      `Host: expected a loopback address or localhost, found ${host.slice(0, 100)}`,
    )
  }

  async #serve(raw: IncomingMessage, out: ServerResponse, target: string): Promise<void> {
    const started = performance.now()
    const request = new Request(raw, target)
    const { wire } = this.#settings
    let response: WireResponse
    let refusal = this.#misdirected(raw)
    let held = 0
    if (request.method === 'POST' && refusal === undefined) {
      const read = await readBody(raw, out, wire.bodyLimit(request), this.#budget)
      if (read instanceof Problem) refusal = read
      else request.body = read
      held = request.body.length
    }
    try {
      response = refusal === undefined ? await wire.handle(request) : problemResponse(refusal)
      if (this.isClosing || !raw.complete) out.setHeader('connection', 'close')
      await send(raw, out, response)
    } finally {
      this.#budget.release(held)
    }
    this.#settings.answered?.(request.method, response.status, (performance.now() - started) / 1000)
  }
}

async function send(raw: IncomingMessage, out: ServerResponse, response: WireResponse): Promise<void> {
  const { status, headers, body } = response
  const isHead = raw.method === 'HEAD'
  if (typeof body !== 'string' && !(body instanceof Uint8Array)) {
    out.writeHead(status, headers)
    if (isHead) out.end()
    else await pipeline(Readable.from(body), out)
    return
  }
  const packed = response.compressible === true ? await compress(raw, headers, body) : body
  headers['content-length'] = String(typeof packed === 'string' ? Buffer.byteLength(packed) : packed.length)
  out.writeHead(status, headers)
  if (isHead) out.end()
  else if (raw.complete || raw.method !== 'POST') out.end(packed)
  else linger(raw, out, packed)
}

/** How long a client whose body is not wanted may go on sending it, so that it finds the answer before the connection closes. */
const LINGER_MS = 1000

function linger(raw: IncomingMessage, out: ServerResponse, body: string | Uint8Array): void {
  out.write(body)
  const timer = setTimeout(() => out.end(), LINGER_MS)
  raw.once('close', () => clearTimeout(timer))
  raw.once('end', () => {
    clearTimeout(timer)
    out.end()
  })
  raw.once('error', () => out.destroy())
  raw.resume()
}

function isDisconnect(error: unknown): boolean {
  return ['ECONNRESET', 'EPIPE', 'ERR_STREAM_PREMATURE_CLOSE'].some((code) => hasCode(error, code))
}

const REFUSALS: Readonly<Record<string, readonly [ProblemCode, string]>> = {
  HPE_HEADER_OVERFLOW: ['headers-too-large', 'the header fields of a request are limited'],
  HPE_CHUNK_EXTENSIONS_OVERFLOW: ['too-large', 'the chunk extensions of a request are limited'],
  ERR_HTTP_REQUEST_TIMEOUT: ['timeout', 'the request did not arrive in time'],
}

/** What never became a request is answered on the socket itself. */
function refuse(error: Error & { code?: string }, socket: Socket): void {
  if (!socket.writable || hasCode(error, 'ECONNRESET')) {
    socket.destroy()
    return
  }
  const [code, detail] = REFUSALS[error.code ?? ''] ?? ['bad-request', 'not an HTTP/1.1 request']
  const { status, headers, body } = problemResponse(new Problem(code, detail))
  const fields = { ...headers, 'content-length': String(Buffer.byteLength(body)), connection: 'close' }
  const head = Object.entries(fields).map(([name, value]) => `${name}: ${value}\r\n`)
  socket.end(`HTTP/1.1 ${status} ${REASONS[status] ?? 'Error'}\r\n${head.join('')}\r\n${body}`, () =>
    socket.destroy(),
  )
}

const REASONS: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  408: 'Request Timeout',
  413: 'Payload Too Large',
  431: 'Request Header Fields Too Large',
}
