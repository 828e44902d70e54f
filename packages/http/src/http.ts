/** HTTP/1.1 for the wire: every request goes to `wire.handle`, and what it answers is written as it is. */
import type { Listen } from './address.ts'
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
import type { Identity } from './identity.ts'
import { startListener, type Handle, type HttpServer, type ListenerOptions } from './listener.ts'

export type { HttpServer } from './listener.ts'

export interface WireHttpOptions {
  wire: Wire
  /** The path before every route, such as `/log`, which the wire does not see. Default: none. */
  prefix?: string
  /** Bytes of request bodies held at once; more is answered 503. Default 256 MiB, less where Node has less than 1.5 GiB of heap. */
  maxBodyBytes?: number
  /** Bytes of answers made and not fetched; more wait, and after `answerPatience` milliseconds get 503. Default as for bodies; 10 s. */
  maxAnswerBytes?: number
  answerPatience?: number
  /** Which host names (without a port) a request may be for; default: any. */
  accepts?(host: string): boolean
  /** Who asks, or why that is not believed; it is asked before a byte of the body is read. Absent: no credentials are configured. */
  authenticate?(raw: IncomingMessage): Promise<Identity | Problem> | Identity | Problem
  /** Those of the listener, which learn which of them bring valid credentials. */
  connections?: Connections
  /** Told of every answer. */
  answered?(method: string, status: number, seconds: number): void
}

export interface HttpOptions extends ListenerOptions, WireHttpOptions {}

/** Listens. @throws HostedError `listen` */
export function startHttp(listen: Listen, options: HttpOptions): Promise<HttpServer> {
  return startListener(listen, options, wireHandler(options))
}

const MIB = 2 ** 20
/** What Node gives the heap says how much memory there is; the largest body there may be has room in any case. */
const MEMORY = Math.min(256 * MIB, Math.max(64 * MIB, getHeapStatistics().heap_size_limit / 6))
const DEFAULTS = { maxBodyBytes: MEMORY, maxAnswerBytes: MEMORY, answerPatience: 10_000 }

/** What answers requests by the wire. */
export function wireHandler(options: WireHttpOptions): Handle {
  const settings = { ...DEFAULTS, ...options }
  const budget = new Budget(settings.maxBodyBytes)
  const room = new AnswerRoom(settings.maxAnswerBytes, settings.answerPatience)
  return (raw, out) => respond(raw, out, options, { budget, room })
}

interface Memory {
  /** Of request bodies. */
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
  readonly #raw: IncomingMessage
  readonly #out: ServerResponse
  readonly #room: AnswerRoom
  /** Bytes of room that the answer takes. */
  #held = 0
  #isMaking = false

  constructor(raw: IncomingMessage, out: ServerResponse, room: AnswerRoom, prefix = '') {
    this.method = raw.method ?? ''
    this.target = withoutPrefix(raw.url ?? '', prefix)
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
      throw new Problem('timeout', 'the client went away before there was room for its answer')
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

  /** The answer is made, or there is none. */
  done(): void {
    this.#isMaking = false
    if (this.#out.closed) this.#leave()
  }

  /** An answer for a client that is gone takes its room until it is made. */
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
  // What its head condemns, the wire refuses whatever the body: none is read.
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
    // How long a stream goes on says nothing: its answer counts as given when it begins.
    if (isWhole(body)) request.made(body.length)
    else answered(status)
    await sendAnswer(raw, out, response)
    if (isWhole(body)) answered(status)
  } finally {
    budget.release(held)
  }
}

/** The body without its content coding, or why it is not read; either has at most `limit` bytes. The caller releases the body's bytes. */
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
  const read = await readBody(raw, out, limit, budget)
  if (coding === undefined || read instanceof Problem) return read
  request.decoded = coding
  try {
    return await gunzipBody(read, limit, budget)
  } finally {
    budget.release(read.length)
  }
}

/** The target as the wire sees it. One without the prefix stays as it is: no route matches it. */
function withoutPrefix(target: string, prefix: string): string {
  if (prefix === '') return target
  const { path, query } = splitTarget(target)
  if (!path.startsWith(prefix)) return target
  return `${path.slice(prefix.length) || '/'}${query === '' ? '' : `?${query}`}`
}

/** Whether a request was let in by its credentials, or none are asked for: not by a route that is open to anybody, who has no roles. */
export function isProof({ roles }: { readonly roles?: readonly Role[] | undefined }): boolean {
  return roles === undefined || roles.length > 0
}

/** Whose credentials a request has; undefined where none are asked for. */
export function provenSubject({
  roles,
  subject,
}: Partial<Pick<Identity, 'subject' | 'roles'>>): string | undefined {
  return roles === undefined ? undefined : subject
}

/** Notes in the request who asks; or says why it is refused. */
function note(request: Request, identity: Identity | Problem): Problem | undefined {
  if (identity instanceof Problem) return identity
  request.subject = identity.subject
  if (identity.roles !== undefined) request.roles = identity.roles
  return undefined
}

/** A page that made its own name point here must not read the ledger with its visitor's browser (DNS rebinding). */
export function misdirected(
  raw: IncomingMessage,
  options: Pick<WireHttpOptions, 'accepts'>,
): Problem | undefined {
  const host = hostName(hostOf(raw))
  if (options.accepts?.(host) !== false) return undefined
  return new Problem(
    'misdirected',
    `Host: expected a loopback address or localhost, found ${host.slice(0, 100)}`,
  )
}
