/** From the front to the tenants' processes: a pool of connections for each, and how many requests each may have under way. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { Pool } from 'undici'
import { Problem } from '@service-fs/wire/problem'
import { splitTarget } from '@service-fs/wire/request'
import { HostedError } from '@service-fs/http/errors'
import { expectsContinue } from '@service-fs/http/head'
import type { Identity } from '@service-fs/http/http'
import { Exchange, type Outcome } from './exchange.ts'
import { requestFields } from './fields.ts'
import { refusedByHead } from './head-refusal.ts'
import { RequestBody } from './request-body.ts'

/** What the front knows of the tenants: where each one's process listens. Who runs them implements it. */
export interface Tenants {
  /** Whether there is a tenant of that name. */
  has(moduleId: string): boolean
  /**
   * The path of the socket on which its process answers; starts the process when it does not run.
   * @throws HostedError `no-tenant`, `tenant-unavailable`
   */
  reach(moduleId: string): Promise<string>
  /** The most that a record's payload may have at the process that was reached last; undefined: the default. */
  maxPayload?(moduleId: string): number | undefined
  /** A request to it is under way, and is over: a tenant without any may be stopped. */
  began(moduleId: string): void
  ended(moduleId: string): void
}

export interface ForwardLimits {
  /** Requests of one tenant under way, beyond which its clients are told 503 `busy`; and answers without an end (server-sent events). */
  maxUnderWay?: number
  maxStreams?: number
  /** Milliseconds for which a process that refuses connections is tried again. */
  reachTimeout?: number
}

const DEFAULTS = { maxUnderWay: 256, maxStreams: 1024, reachTimeout: 5000 }
const RETRY_MS = 50

/** What one tenant has under way. */
interface Load {
  socket: string | undefined
  pool: Pool | undefined
  underWay: number
  streams: Set<Exchange>
}

export class Forwarder {
  readonly #tenants: Tenants
  readonly #limits: Required<ForwardLimits>
  readonly #loads = new Map<string, Load>()
  #isStopping = false

  constructor(tenants: Tenants, limits: ForwardLimits = {}) {
    this.#tenants = tenants
    this.#limits = { ...DEFAULTS, ...limits }
  }

  /** Has the tenant answer the request; `streams` is told of an answer without an end. A Problem: it was not answered, and the caller does. */
  async forward(
    raw: IncomingMessage,
    out: ServerResponse,
    moduleId: string,
    identity: Identity,
    streams: () => void,
  ): Promise<Problem | undefined> {
    const path = pathOf(raw.url ?? '')
    if (path === undefined) return new Problem('no-route', 'expected a path that begins with /')
    const load = this.#loadOf(moduleId)
    if (load.underWay >= this.#limits.maxUnderWay) return busy('requests under way')
    load.underWay += 1
    this.#tenants.began(moduleId)
    const place = new Place(load)
    try {
      return await this.#tryUntilSent(raw, out, { moduleId, path, identity, place, streams })
    } finally {
      place.leave()
      this.#tenants.ended(moduleId)
    }
  }

  /** Answers without an end are ended. */
  stop(): void {
    this.#isStopping = true
    for (const { streams } of this.#loads.values()) for (const stream of streams) stream.endStream()
  }

  async close(): Promise<void> {
    for (const { pool } of this.#loads.values()) await pool?.destroy()
    this.#loads.clear()
  }

  #loadOf(moduleId: string): Load {
    let load = this.#loads.get(moduleId)
    if (load === undefined) {
      load = { socket: undefined, pool: undefined, underWay: 0, streams: new Set() }
      this.#loads.set(moduleId, load)
    }
    return load
  }

  /** A process that has just died refuses connections until another one is there: then nothing was sent, and it is tried again. */
  async #tryUntilSent(
    raw: IncomingMessage,
    out: ServerResponse,
    errand: Errand,
  ): Promise<Problem | undefined> {
    const deadline = Date.now() + this.#limits.reachTimeout
    for (;;) {
      const pool = await this.#poolOf(errand.moduleId, errand.place.load)
      if (pool instanceof Problem) return pool
      const refused = this.#overItsLimit(raw, errand)
      if (refused !== undefined) return refused
      if (out.destroyed) return undefined
      const outcome = await this.#exchange(raw, out, pool, errand)
      if (outcome !== 'unsent') return problemOfOutcome(outcome, out)
      if (Date.now() >= deadline) return unavailable('its process takes no connections')
      await sleep(RETRY_MS)
    }
  }

  /** The process has the limits that it was started with: they are known once it is reached. */
  #overItsLimit(raw: IncomingMessage, { moduleId, identity }: Errand): Problem | undefined {
    const maxPayload = this.#tenants.maxPayload?.(moduleId)
    return maxPayload === undefined ? undefined : refusedByHead(raw, moduleId, identity, maxPayload)
  }

  async #poolOf(moduleId: string, load: Load): Promise<Pool | Problem> {
    let socket: string
    try {
      socket = await this.#tenants.reach(moduleId)
    } catch (error) {
      if (!(error instanceof HostedError)) throw error
      if (error.code === 'no-tenant') return new Problem('no-tenant', 'no such tenant here')
      return unavailable('its process does not start')
    }
    if (load.pool !== undefined && load.socket === socket) return load.pool
    load.pool?.close().catch(() => undefined)
    load.socket = socket
    load.pool = new Pool('http://localhost', {
      socketPath: socket,
      pipelining: 1,
      connectTimeout: 2000,
      headersTimeout: 180_000,
      bodyTimeout: 120_000,
      keepAliveTimeout: 10_000,
    })
    return load.pool
  }

  #exchange(
    raw: IncomingMessage,
    out: ServerResponse,
    pool: Pool,
    { moduleId, path, identity, place, streams }: Errand,
  ): Promise<Outcome> {
    const exchange: Exchange = new Exchange(raw, out, {
      sending: () => {
        if (expectsContinue(raw) && !raw.complete) out.writeContinue()
      },
      streams: () => {
        const isTaken = place.turnsStream(exchange, this.#isStopping ? 0 : this.#limits.maxStreams)
        if (isTaken) streams()
        return isTaken
      },
    })
    // Other bodies say nothing to the wire.
    const body = raw.method === 'POST' && isAnnounced(raw) ? new RequestBody(raw) : null
    void exchange.outcome.then(() => body?.destroy())
    pool.dispatch(
      {
        path,
        method: raw.method as 'GET',
        headers: requestFields(raw, identity, moduleId, body !== null),
        body,
      },
      exchange,
    )
    return exchange.outcome
  }
}

interface Errand {
  moduleId: string
  path: string
  identity: Identity
  place: Place
  streams: () => void
}

/** One request's place among what its tenant has under way: an answer without an end takes one of another kind. */
class Place {
  readonly load: Load
  #stream: Exchange | undefined

  constructor(load: Load) {
    this.load = load
  }

  turnsStream(exchange: Exchange, limit: number): boolean {
    const { load } = this
    if (load.streams.size >= limit) return false
    load.streams.add(exchange)
    load.underWay -= 1
    this.#stream = exchange
    return true
  }

  leave(): void {
    if (this.#stream === undefined) this.load.underWay -= 1
    else this.load.streams.delete(this.#stream)
  }
}

/** Path and query, without the authority of a target in absolute form; undefined for `*` and the like. */
function pathOf(target: string): string | undefined {
  if (target.startsWith('/')) return target
  const { path, query } = splitTarget(target)
  if (!path.startsWith('/')) return undefined
  return query === '' ? path : `${path}?${query}`
}

function isAnnounced({ headers }: IncomingMessage): boolean {
  return headers['content-length'] !== undefined || headers['transfer-encoding'] !== undefined
}

function problemOfOutcome(outcome: Outcome, out: ServerResponse): Problem | undefined {
  if (outcome === 'refused') return busy('answers without an end')
  if (outcome === 'malformed') return new Problem('bad-request', 'not a request that can be forwarded')
  if (outcome !== 'lost') return undefined
  if (!out.headersSent)
    return unavailable(
      'its process went away before it answered; an append may or may not be recorded: to send it again is safe',
    )
  // Half an answer must not look like a whole one.
  out.destroy()
  return undefined
}

function busy(what: string): Problem {
  return new Problem(
    'busy',
    `this tenant has too many ${what}: try again later; nothing of this one was recorded`,
  )
}

function unavailable(why: string): Problem {
  return new Problem('tenant-unavailable', why)
}
