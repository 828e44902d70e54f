/** The host's /metrics: the front's own metrics, and those of every running tenant. A scrape starts no tenant. */
import { X509Certificate } from 'node:crypto'
import { get, METHODS, STATUS_CODES, type IncomingMessage } from 'node:http'
import { Slots } from '../host/slots.ts'
import { watchProcess } from '../process/process-metrics.ts'
import { readyGauge, reasonsIn } from '../process/ready-metric.ts'
import { Counter, Gauge, Histogram, Registry, SECONDS } from '../process/prom.ts'
import { RequestTimes } from '../process/request-times.ts'
import { identityHeaders } from './identity-headers.ts'
import { tenantLines, mergeMetrics } from './merge-metrics.ts'
import type { Tenants } from './forward.ts'

export interface FrontMetricsOptions {
  /** Returns the moduleIds of all tenants, running or not. */
  tenants(): Iterable<string>
  /** Returns the sockets of the running tenants, by moduleId. */
  running(): ReadonlyMap<string, string>
  /** How long to wait for a tenant's answer, in milliseconds. Default 2000. */
  timeoutMs?: number
}

/** The most tenants to query at the same time. */
const ASKED_AT_ONCE = 16
/** How long to cache the tenants' readiness, in milliseconds. */
const KNOWN_MS = 5000
/** The most bytes of a tenant's answer. */
const MAX_BYTES = 2 ** 20

export class FrontMetrics {
  readonly #options: FrontMetricsOptions
  readonly #registry = new Registry()
  readonly #requests: RequestTimes
  readonly #unavailable: Counter<'tenant'>
  readonly #running: Gauge<'tenant'>
  readonly #up: Gauge<'tenant'>
  readonly #expires: Gauge
  /** Tenants whose process could not be reached at the last attempt. */
  readonly #unreachable = new Set<string>()
  #asked: { at: number; reasons: Promise<Record<string, number>> } | undefined

  constructor(options: FrontMetricsOptions) {
    this.#options = options
    watchProcess(this.#registry)
    const registers = [this.#registry]
    this.#requests = new RequestTimes(
      new Histogram({
        name: 'service_fs_front_request_seconds',
        help: 'Time from the head of a request at the front until its response is sent.',
        labelNames: ['method', 'status'],
        buckets: SECONDS,
        registers,
      }),
    )
    const labelNames: 'tenant'[] = ['tenant']
    this.#unavailable = new Counter({
      name: 'service_fs_tenant_unavailable_total',
      help: 'Requests whose tenant had no process: it did not start, or ended at every start.',
      labelNames,
      registers,
    })
    this.#running = new Gauge({
      name: 'service_fs_tenant_running',
      help: '1 while the tenant has a process. An idle tenant may have none.',
      labelNames,
      registers,
    })
    this.#up = new Gauge({
      name: 'service_fs_tenant_up',
      help: '1 when the tenant runs and has answered this scrape.',
      labelNames,
      registers,
    })
    readyGauge(this.#registry, (shown) => {
      for (const tenant of options.tenants())
        if (this.#isUnreachable(tenant)) shown.set({ tenant, ledger: 'main', reason: 'unavailable' }, 0)
    })
    this.#expires = new Gauge({
      name: 'service_fs_certificate_expires_seconds',
      help: 'When the certificate that clients receive expires, in seconds since 1970; 0 without a certificate.',
      registers,
    })
  }

  /** The registry, to which the front's listeners add their metrics. */
  get registry(): Registry {
    return this.#registry
  }

  /** Sets the certificate that clients receive from now on: the first certificate in a PEM text. */
  certificate(pem: string | undefined): void {
    this.#expires.set(pem === undefined ? 0 : Date.parse(new X509Certificate(pem).validTo) / 1000)
  }

  answered(method: string, status: number, seconds: number): void {
    // A client may send any method, and a tenant any status, so bound the number of series.
    const known = METHODS.includes(method) ? method : 'other'
    this.#requests.observe(known, status in STATUS_CODES ? String(status) : 'other', seconds)
  }

  /** Wraps the tenants to count those that cannot be reached. */
  watched(tenants: Tenants): Tenants {
    return {
      has: (moduleId) => tenants.has(moduleId),
      maxPayload: (moduleId) => tenants.maxPayload?.(moduleId),
      began: (moduleId) => tenants.began(moduleId),
      ended: (moduleId) => tenants.ended(moduleId),
      reached: (moduleId) => {
        const socket = tenants.reached?.(moduleId)
        if (socket !== undefined) this.#unreachable.delete(moduleId)
        return socket
      },
      reach: async (moduleId) => {
        try {
          const socket = await tenants.reach(moduleId)
          this.#unreachable.delete(moduleId)
          return socket
        } catch (error) {
          if (tenants.has(moduleId)) {
            this.#unavailable.inc({ tenant: moduleId })
            this.#unreachable.add(moduleId)
          }
          throw error
        }
      },
    }
  }

  /**
   * Returns how many of the running or unreachable tenants are not ready, by reason and without names. The result is
   * cached for five seconds.
   */
  notReady(): Promise<Record<string, number>> {
    const now = performance.now()
    if (this.#asked === undefined || now - this.#asked.at > KNOWN_MS)
      this.#asked = { at: now, reasons: this.#askNotReady() }
    return this.#asked.reasons
  }

  async #askNotReady(): Promise<Record<string, number>> {
    const found = await this.#texts()
    const reasons = found.flatMap(([, text]) =>
      text === undefined ? ['silent'] : reasonsIn(text).slice(0, 1),
    )
    for (const moduleId of this.#options.tenants())
      if (this.#isUnreachable(moduleId)) reasons.push('unavailable')
    const counts: Record<string, number> = {}
    for (const reason of reasons) counts[reason] = (counts[reason] ?? 0) + 1
    return counts
  }

  #isUnreachable(moduleId: string): boolean {
    return this.#unreachable.has(moduleId) && !this.#options.running().has(moduleId)
  }

  /** Returns the metrics of each running tenant; undefined for a tenant that does not answer in time. */
  #texts(): Promise<(readonly [string, string | undefined])[]> {
    const { timeoutMs = 2000 } = this.#options
    const slots = new Slots(ASKED_AT_ONCE)
    return Promise.all(
      [...this.#options.running()].map(async ([tenant, socket]) => {
        const ask = async (): Promise<string> =>
          tenantLines(await metricsOf(tenant, socket, timeoutMs), tenant)
        return [tenant, await slots.with(ask).catch(() => undefined)] as const
      }),
    )
  }

  /** Returns the response of /metrics: the metrics of the front and of the running tenants. */
  async all(): Promise<{ contentType: string; text: string }> {
    const found = await this.#texts()
    this.#running.reset()
    this.#up.reset()
    for (const tenant of this.#options.tenants()) {
      this.#running.set({ tenant }, 0)
      this.#up.set({ tenant }, 0)
    }
    for (const [tenant, text] of found) {
      this.#running.set({ tenant }, 1)
      this.#up.set({ tenant }, text === undefined ? 0 : 1)
    }
    const answered = found.flatMap(([, text]) => (text === undefined ? [] : [text]))
    const text = mergeMetrics([await this.#registry.metrics(), ...answered])
    return { contentType: this.#registry.contentType, text }
  }
}

/** The identity of the front in its requests to tenants. */
const FRONT = { subject: 'front', roles: ['operate'] } as const

/** Returns the text of `GET /metrics` at that socket. Rejects after a timeout, for a status other than 200, and for too long a text. */
function metricsOf(moduleId: string, socketPath: string, timeoutMs: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const signal = AbortSignal.timeout(timeoutMs)
    const headers = ['host', 'localhost', 'connection', 'close', ...identityHeaders(FRONT, moduleId)]
    const request = get({ socketPath, path: '/metrics', headers, agent: false, signal }, (response) => {
      textOf(response).then(resolve, reject)
    })
    request.once('error', reject)
  })
}

async function textOf(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of response as AsyncIterable<Buffer>) {
    length += chunk.length
    if (length > MAX_BYTES) throw new Error(`/metrics: more than ${MAX_BYTES} bytes`)
    chunks.push(chunk)
  }
  if (response.statusCode !== 200) throw new Error(`/metrics: expected 200, found ${response.statusCode}`)
  return Buffer.concat(chunks).toString()
}
