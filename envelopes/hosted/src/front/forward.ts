/** Forwards requests to the tenants' processes, over kept connections, with a limit on concurrent requests for each tenant. */
import { setTimeout as sleep } from 'node:timers/promises'
import { Problem } from '@service-fs/wire/problem'
import { splitTarget } from '@service-fs/wire/request'
import { HostedError } from '@service-fs/http/errors'
import type { Identity } from '@service-fs/http/http'
import type { ClientRequest } from './client-request.ts'
import { Exchange, type Outcome } from './exchange.ts'
import { framingOf, requestHead } from './fields.ts'
import { refusedByHead } from './head-refusal.ts'
import { TenantConnections, type TenantConnection } from './tenant-connections.ts'

/** The tenants that the front forwards to. The host that runs their processes implements this interface. */
export interface Tenants {
  /** Reports whether a tenant has that name. */
  has(moduleId: string): boolean
  /**
   * Returns the path of the socket of the tenant's process. Starts the process if it is not running.
   * @throws HostedError `no-tenant`, `tenant-unavailable`
   */
  reach(moduleId: string): Promise<string>
  /** Returns the path of the tenant's socket if the host believes that the process runs. */
  reached?(moduleId: string): string | undefined
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
  pool: TenantConnections | undefined
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
    request: ClientRequest,
    moduleId: string,
    identity: Identity,
    streams: () => void,
  ): Promise<Problem | undefined> {
    const path = pathOf(request.url)
    if (path === undefined) return new Problem('no-route', 'expected a path that begins with /')
    const load = this.#loadOf(moduleId)
    if (load.underWay >= this.#limits.maxUnderWay) return busy('requests under way')
    load.underWay += 1
    this.#tenants.began(moduleId)
    const errand = new Errand(moduleId, path, identity, load, streams)
    try {
      const sent = this.#sendAtOnce(request, errand) ?? this.#tryUntilSent(request, errand)
      return problemOfOutcome(await sent, request)
    } finally {
      errand.leave()
      this.#tenants.ended(moduleId)
    }
  }

  /** Ends the event streams, and refuses new ones. */
  stop(): void {
    this.#isStopping = true
    for (const { streams } of this.#loads.values()) for (const stream of streams) stream.endStream()
  }

  close(): void {
    for (const { pool } of this.#loads.values()) pool?.destroy()
    this.#loads.clear()
  }

  #loadOf(moduleId: string): Load {
    let load = this.#loads.get(moduleId)
    if (load === undefined) {
      load = { pool: undefined, underWay: 0, streams: new Set() }
      this.#loads.set(moduleId, load)
    }
    return load
  }

  /** Sends the request if the tenant's process runs and has a free connection; otherwise returns undefined. */
  #sendAtOnce(request: ClientRequest, errand: Errand): Promise<Outcome> | Problem | undefined {
    if (request.isOver) return Promise.resolve('client-gone')
    const { pool } = errand.load
    if (pool === undefined || this.#tenants.reached?.(errand.moduleId) !== pool.path) return undefined
    const refused = this.#overItsLimit(request, errand)
    if (refused !== undefined) return refused
    const connection = pool.unused()
    return connection === undefined ? undefined : this.#exchange(request, pool, connection, errand)
  }

  /** Retries while nothing was sent: after a process dies, its socket refuses connections until the next process listens. */
  async #tryUntilSent(request: ClientRequest, errand: Errand): Promise<Outcome | Problem> {
    const deadline = Date.now() + this.#limits.reachTimeout
    for (;;) {
      const pool = await this.#poolOf(errand.moduleId, errand.load)
      if (pool instanceof Problem) return pool
      const refused = this.#overItsLimit(request, errand)
      if (refused !== undefined) return refused
      const connection = pool.unused() ?? (await pool.open().catch(() => undefined))
      if (request.isOver) {
        if (connection !== undefined) pool.release(connection, true)
        return 'client-gone'
      }
      if (connection !== undefined) return this.#exchange(request, pool, connection, errand)
      if (Date.now() >= deadline) return unavailable('its process accepts no connections')
      await sleep(RETRY_MS)
    }
  }

  /** Checks the request against the limits of the tenant's process, which the front learns when it reaches the process. */
  #overItsLimit(request: ClientRequest, { moduleId, identity }: Errand): Problem | undefined {
    const maxPayload = this.#tenants.maxPayload?.(moduleId)
    return maxPayload === undefined ? undefined : refusedByHead(request, moduleId, identity, maxPayload)
  }

  async #poolOf(moduleId: string, load: Load): Promise<TenantConnections | Problem> {
    let socket: string
    try {
      socket = await this.#tenants.reach(moduleId)
    } catch (error) {
      if (!(error instanceof HostedError)) throw error
      if (error.code === 'no-tenant') return new Problem('no-tenant', 'no such tenant here')
      return unavailable('its process does not start')
    }
    if (load.pool?.path === socket) return load.pool
    load.pool?.retire()
    return (load.pool = new TenantConnections(socket))
  }

  #exchange(
    request: ClientRequest,
    pool: TenantConnections,
    connection: TenantConnection,
    errand: Errand,
  ): Promise<Outcome> {
    const { moduleId, path, identity } = errand
    const framing = framingOf(request)
    const head = requestHead(request, path, identity, moduleId, framing)
    if (head === undefined) {
      pool.release(connection, true)
      return Promise.resolve('malformed')
    }
    const mayStream = (exchange: Exchange): boolean =>
      errand.turnsStream(exchange, this.#isStopping ? 0 : this.#limits.maxStreams)
    const exchange = new Exchange(request, mayStream, pool, connection)
    exchange.send(head, framing)
    return exchange.outcome
  }
}

/** A request to a tenant, and its place within the tenant's limits. An event stream counts against a separate limit. */
class Errand {
  readonly moduleId: string
  readonly path: string
  readonly identity: Identity
  readonly load: Load
  readonly #streams: () => void
  #stream: Exchange | undefined

  constructor(moduleId: string, path: string, identity: Identity, load: Load, streams: () => void) {
    this.moduleId = moduleId
    this.path = path
    this.identity = identity
    this.load = load
    this.#streams = streams
  }

  /** Reports whether the response may be an event stream: the tenant has fewer than `limit` of them. */
  turnsStream(exchange: Exchange, limit: number): boolean {
    const { load } = this
    if (load.streams.size >= limit) return false
    load.streams.add(exchange)
    load.underWay -= 1
    this.#stream = exchange
    this.#streams()
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

function problemOfOutcome(outcome: Outcome | Problem, request: ClientRequest): Problem | undefined {
  if (outcome instanceof Problem) return outcome
  if (outcome === 'refused') return busy('event streams')
  if (outcome === 'malformed')
    return new Problem('bad-request', 'the request is malformed and cannot be forwarded')
  if (outcome !== 'lost') return undefined
  if (request.status === undefined)
    return unavailable(
      'its process ended before it answered; an append may or may not be recorded, and sending it again is safe',
    )
  // A truncated response must not look complete.
  request.destroy()
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
