/** Forwards requests to the tenants' processes, with a connection pool and a limit on concurrent requests for each tenant. */
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

/** The tenants that the front forwards to. The host that runs their processes implements it. */
export interface Tenants {
  /** Reports whether a tenant has that name. */
  has(moduleId: string): boolean
  /**
   * Returns the path of the socket of the tenant's process. Starts the process if it is not running.
   * @throws HostedError `no-tenant`, `tenant-unavailable`
   */
  reach(moduleId: string): Promise<string>
  /** Returns the largest payload that the tenant's process accepts, in bytes; undefined for the default. */
  maxPayload?(moduleId: string): number | undefined
  /** Called when a request to the tenant begins, and when it ends. The host may stop a tenant without requests. */
  began(moduleId: string): void
  ended(moduleId: string): void
}

export interface ForwardLimits {
  /** The most concurrent requests of one tenant, and the most event streams. Clients beyond these limits receive 503 `busy`. */
  maxUnderWay?: number
  maxStreams?: number
  /** How long to retry a process that refuses connections, in milliseconds. */
  reachTimeout?: number
}

const DEFAULTS = { maxUnderWay: 256, maxStreams: 1024, reachTimeout: 5000 }
const RETRY_MS = 50

/** The running requests and streams of one tenant. */
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

  /**
   * Forwards the request, and calls `streams` when the response is an event stream. If it returns a Problem, the caller answers
   * the client.
   */
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

  /** Ends the event streams, and refuses new ones. */
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

  /** Retries while nothing was sent: after a process dies, its socket refuses connections until the next process listens. */
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
      if (Date.now() >= deadline) return unavailable('its process accepts no connections')
      await sleep(RETRY_MS)
    }
  }

  /** Checks the request against the limits of the tenant's process, which the front learns when it reaches the process. */
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
    // The wire ignores the bodies of other requests.
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

/** The place of one request within its tenant's limits. An event stream counts against a separate limit. */
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

/** Returns the path and query, without the authority of an absolute target; undefined if the target has no path. */
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
  if (outcome === 'refused') return busy('event streams')
  if (outcome === 'malformed')
    return new Problem('bad-request', 'the request is malformed and cannot be forwarded')
  if (outcome !== 'lost') return undefined
  if (!out.headersSent)
    return unavailable(
      'its process ended before it answered; an append may or may not be recorded, and sending it again is safe',
    )
  // A truncated response must not look complete.
  out.destroy()
  return undefined
}

function busy(what: string): Problem {
  return new Problem(
    'busy',
    `this tenant has too many ${what}: try again later; this request was not recorded`,
  )
}

function unavailable(why: string): Problem {
  return new Problem('tenant-unavailable', why)
}
