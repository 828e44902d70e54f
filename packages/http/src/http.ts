/** Serves the wire over HTTP/1.1: passes each request to `wire.handle` and sends its response. */
import { addressKey, type Listen } from './address.ts'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { performance } from 'node:perf_hooks'
import { getHeapStatistics } from 'node:v8'
import { Budget } from '@service-fs/wire/body-limits'
import { contentCoding } from '@service-fs/wire/body-meaning'
import type { Wire } from '@service-fs/wire/handle'
import { hostName } from '@service-fs/wire/host-name'
import { Problem, problemOf, problemResponse } from '@service-fs/wire/problem'
import { splitTarget, type Coding, type WireRequest } from '@service-fs/wire/request'
import type { Role } from '@service-fs/wire/roles'
import { isWhole, sendAnswer } from './answer.ts'
import { AnswerRoom } from './answer-room.ts'
import { readBody } from './body.ts'
import type { Connections } from './connections.ts'
import { CODINGS, gunzipBody } from './gunzip-body.ts'
import { hostOf } from './head.ts'
import { startListener, type Handle, type HttpServer, type ListenerOptions } from './listener.ts'

export interface Identity {
  /** The subject in the audit entry; `anonymous` when no credentials are configured. */
  readonly subject: string
  /** Undefined when no credentials are configured: then everything is allowed. */
  readonly roles: readonly Role[] | undefined
}

export type { HttpServer } from './listener.ts'

export interface WireHttpOptions {
  wire: Wire
  /** The path prefix of every route, such as `/log`. The wire receives targets without it. Default: none. */
  prefix?: string
  /** Maximum bytes of all request bodies in memory; beyond that requests get 503. Default 256 MiB, less when Node.js has less than 1.5 GiB of heap. */
  maxBodyBytes?: number
  /** Maximum bytes of unread responses; further requests wait, and get 503 after `answerPatience` milliseconds. Defaults: as for bodies; 10 s. */
  maxAnswerBytes?: number
  answerPatience?: number
  /** Reports whether a request may name this host (without a port). Default: any. */
  accepts?(host: string): boolean
  /**
   * Returns the identity behind a request, or the problem to answer, before the body is read. Absent: no credentials are
   * configured.
   */
  authenticate?(raw: IncomingMessage): Promise<Identity | Problem> | Identity | Problem
  /** The listener's connections; this server notes which of them carry valid credentials. */
  connections?: Connections
  /** Called for every response. */
  answered?(method: string, status: number, seconds: number): void
}

export interface HttpOptions extends ListenerOptions, WireHttpOptions {}

/** Starts the server. @throws HostedError `listen` */
export function startHttp(listen: Listen, options: HttpOptions): Promise<HttpServer> {
  return startListener(listen, options, wireHandler(options))
}

const MIB = 2 ** 20
/** A sixth of Node.js's heap limit, and at least room for the largest body. */
const MEMORY = Math.min(256 * MIB, Math.max(64 * MIB, getHeapStatistics().heap_size_limit / 6))
const DEFAULTS = { maxBodyBytes: MEMORY, maxAnswerBytes: MEMORY, answerPatience: 10_000 }

/** Returns a handler that answers requests with the wire. */
export function wireHandler(options: WireHttpOptions): Handle {
  const settings = { ...DEFAULTS, ...options }
  const budget = new Budget(settings.maxBodyBytes)
  const room = new AnswerRoom(settings.maxAnswerBytes, settings.answerPatience)
  return (raw, out) => respond(raw, out, options, { budget, room })
}

interface Memory {
  /** For request bodies. */
  budget: Budget
  room: AnswerRoom
}

const EMPTY = new Uint8Array(0)

class Request implements WireRequest {
  readonly method: string
  readonly target: string
  body: Uint8Array = EMPTY
  decoded?: Coding
  subject?: string
  roles?: readonly Role[]
  readonly address?: string
  readonly #raw: IncomingMessage
  readonly #out: ServerResponse
  readonly #room: AnswerRoom
  /** Bytes of the budget that the response holds. */
  #held = 0
  #isMaking = false

  constructor(raw: IncomingMessage, out: ServerResponse, room: AnswerRoom, prefix = '') {
    this.method = raw.method ?? ''
    this.target = withoutPrefix(raw.url ?? '', prefix)
    const { remoteAddress } = raw.socket
    // A unix socket carries many clients.
    if (remoteAddress !== undefined) this.address = addressKey(remoteAddress)
    this.#raw = raw
    this.#out = out
    this.#room = room
  }

  header(name: string): string | undefined {
    const value = this.#raw.headers[name]
    return Array.isArray(value) ? value.join(', ') : value
  }

  async reserve(bytes: number): Promise<void> {
    this.#held += await this.#room.take(bytes)
    if (this.#out.closed) {
      this.made(0)
      throw new Problem('timeout', 'the client disconnected before there was room for its response')
    }
    this.#isMaking = true
    this.#out.once('close', () => this.#leave())
  }

  made(bytes: number): void {
    const spare = this.#held - bytes
    if (spare <= 0) return
    this.#held = bytes
    this.#room.release(spare)
  }

  /** Records that the response is made, or that there is none. */
  done(): void {
    this.#isMaking = false
    if (this.#out.closed) this.#leave()
  }

  /** Releases the room when the client disconnects, but not while the response is still being made. */
  #leave(): void {
    if (!this.#isMaking) this.made(0)
  }
}

async function respond(
  raw: IncomingMessage,
  out: ServerResponse,
  options: WireHttpOptions,
  { budget, room }: Memory,
): Promise<void> {
  const started = performance.now()
  const request = new Request(raw, out, room, options.prefix)
  const { wire } = options
  let refusal = misdirected(raw, options)
  if (refusal === undefined && options.authenticate !== undefined)
    refusal = note(request, await options.authenticate(raw))
  if (refusal === undefined && isProof(request))
    options.connections?.proved(raw.socket, provenSubject(request))
  const answered = (status: number): void =>
    options.answered?.(request.method, status, (performance.now() - started) / 1000)
  let held = 0
  // The wire refuses some requests by their head alone; their bodies are not read.
  if (request.method === 'POST' && refusal === undefined && wire.refusal(request) === undefined) {
    const read = await readCoded(raw, out, request, wire.bodyLimit(request), budget)
    if (read instanceof Problem) refusal = read
    else request.body = read
    held = request.body.length
  }
  try {
    const response = refusal === undefined ? await wire.handle(request) : problemResponse(refusal)
    request.done()
    const { status, body } = response
    // A stream's duration is not a latency, so count its response when it begins.
    if (isWhole(body)) request.made(body.length)
    else answered(status)
    await sendAnswer(raw, out, response)
    if (isWhole(body)) answered(status)
  } finally {
    budget.release(held)
  }
}

/**
 * Returns the body without its content coding, or the problem to answer. Both forms have at most `limit` bytes. The caller releases
 * the body's bytes.
 */
async function readCoded(
  raw: IncomingMessage,
  out: ServerResponse,
  request: Request,
  limit: number,
  budget: Budget,
): Promise<Uint8Array | Problem> {
  let coding: Coding | undefined
  try {
    coding = contentCoding(request, CODINGS)
  } catch (error) {
    return problemOf(error)
  }
  // After this pause, Node.js has parsed all bytes that came with the head: the whole body of most requests.
  await Promise.resolve()
  const read = await readBody(raw, out, limit, budget)
  if (coding === undefined || read instanceof Problem) return read
  request.decoded = coding
  try {
    return await gunzipBody(read, limit, budget)
  } finally {
    budget.release(read.length)
  }
}

/** Returns the target as the wire sees it. A target without the prefix stays unchanged and matches no route. */
function withoutPrefix(target: string, prefix: string): string {
  if (prefix === '') return target
  const { path, query } = splitTarget(target)
  if (!path.startsWith(prefix)) return target
  return `${path.slice(prefix.length) || '/'}${query === '' ? '' : `?${query}`}`
}

/** Reports whether a request proves its connection: it has valid credentials, or none are configured. A public route grants no roles. */
export function isProof({ roles }: { readonly roles?: readonly Role[] | undefined }): boolean {
  return roles === undefined || roles.length > 0
}

/** Returns the subject of a request's credentials; undefined when none are configured. */
export function provenSubject({
  roles,
  subject,
}: Partial<Pick<Identity, 'subject' | 'roles'>>): string | undefined {
  return roles === undefined ? undefined : subject
}

/** Stores the identity in the request, or returns the problem to answer. */
function note(request: Request, identity: Identity | Problem): Problem | undefined {
  if (identity instanceof Problem) return identity
  request.subject = identity.subject
  if (identity.roles !== undefined) request.roles = identity.roles
  return undefined
}

/** Rejects other host names, so that a web page whose name resolves to this address cannot read the ledger (DNS rebinding). */
export function misdirected(
  raw: Pick<IncomingMessage, 'headers' | 'url'>,
  options: Pick<WireHttpOptions, 'accepts'>,
): Problem | undefined {
  if (options.accepts === undefined) return undefined
  const host = hostName(hostOf(raw))
  if (options.accepts(host)) return undefined
  return new Problem(
    'misdirected',
    `Host: expected a loopback address or localhost, found ${host.slice(0, 100)}`,
  )
}
