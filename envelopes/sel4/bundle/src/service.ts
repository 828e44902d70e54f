/** The bundle: storage, ledgers, wire and HTTP over a host. */
import { StorageError } from '@service-fs/storage/errors'
import { PsdbClient } from '@service-fs/storage-psdb/client'
import { openPsdbStorage } from '@service-fs/storage-psdb/storage'
import { isLocalName } from '@service-fs/wire/host-name'
import type { Config, Host, Limits, ServiceFs } from './host.ts'
import { HttpServer } from './http-server.ts'
import { DEFAULT_LIMITS } from './limits.ts'
import { logLine } from './log-line.ts'
import { Marks } from './marks.ts'
import { Requests } from './metrics.ts'
import { hostPort } from './port.ts'
import { hostRuntime } from './runtime.ts'
import { Signatures } from './signing.ts'
import { openTenant, type Storage, type Tenant } from './tenant.ts'
import { Timers } from './timers.ts'

/** The parts that exist once the ledgers are open. */
interface Running {
  readonly tenant: Tenant
  readonly http: HttpServer
}

/** Returns the bundle's functions. Tests pass `storages` to replace those of PSDB. */
export function createService(host: Host, storages?: { main: Storage; audit: Storage }): ServiceFs {
  return new Service(host, storages)
}

class Service implements ServiceFs {
  readonly #host: Host
  readonly #storages: { main: Storage; audit: Storage } | undefined
  readonly #timers: Timers
  readonly #signatures: Signatures
  readonly #marks: Marks
  #psdb: PsdbClient | undefined
  #running: Running | undefined
  #limits: Limits = DEFAULT_LIMITS
  #isStopping = false

  constructor(host: Host, storages: { main: Storage; audit: Storage } | undefined) {
    this.#host = host
    this.#storages = storages
    this.#timers = new Timers(host)
    this.#signatures = new Signatures(host)
    this.#marks = new Marks(host)
  }

  start(text: string): void {
    const host = this.#host
    const config = JSON.parse(text) as Config
    this.#limits = { ...DEFAULT_LIMITS, ...config.limits }
    this.#psdb = new PsdbClient(hostPort(host, config.regionBytes), () => host.now())
    this.#open(config, this.#psdb).then(
      (running) => {
        this.#running = running
        if (this.#isStopping) this.#stop()
        else host.started()
      },
      (error: unknown) => host.stopped(error instanceof Error ? error.message : String(error)),
    )
  }

  async #open(config: Config, psdb: PsdbClient): Promise<Running> {
    const host = this.#host
    const runtime = hostRuntime(host, this.#timers)
    const requests = new Requests()
    const report = (error: unknown, requestId?: string): void =>
      host.log(logLine(host.now(), error, requestId))
    let http: HttpServer | undefined
    const tenant = await openTenant({
      host,
      config,
      limits: this.#limits,
      runtime,
      signatures: this.#signatures,
      marks: this.#marks,
      main: this.#storages?.main ?? openPsdbStorage(psdb, 'main'),
      audit: this.#storages?.audit ?? openPsdbStorage(psdb, 'audit'),
      requests,
      connections: () => http?.connections ?? 0,
      report,
    })
    http = new HttpServer({
      wire: tenant.wire,
      net: host,
      codec: runtime.codec,
      limits: this.#limits,
      now: () => host.now(),
      monotonic: () => host.monotonic(),
      after: (ms, run) => this.#timers.after(ms, run),
      accepts: config.anyHostName === true ? () => true : isLocalName,
      answered: (method, status, milliseconds) => requests.answered(method, status, milliseconds),
      report,
    })
    return { tenant, http }
  }

  psdb(message: ArrayBuffer): void {
    this.#psdb?.received(new Uint8Array(message))
  }

  opened(connection: number): void {
    if (this.#running === undefined) this.#host.netClose(connection)
    else this.#running.http.opened(connection)
  }

  data(connection: number, bytes: ArrayBuffer): void {
    this.#running?.http.data(connection, new Uint8Array(bytes))
  }

  closed(connection: number): void {
    this.#running?.http.closed(connection)
  }

  writable(connection: number): void {
    this.#running?.http.writable(connection)
  }

  tick(): void {
    this.#timers.tick()
  }

  signed(id: number, lines: string | undefined, error?: string): void {
    this.#signatures.signed(id, lines, error)
  }

  noted(id: number, error?: string): void {
    this.#marks.noted(id, error)
  }

  stop(): void {
    if (this.#isStopping) return
    this.#isStopping = true
    if (this.#running !== undefined) this.#stop()
  }

  #stop(): void {
    this.#shutDown().then(
      () => this.#host.stopped(),
      (error: unknown) => this.#host.stopped(error instanceof Error ? error.message : String(error)),
    )
  }

  async #shutDown(): Promise<void> {
    const { tenant, http } = this.#running as Running
    tenant.wire.drain()
    await http.stop(this.#limits.drainTimeout)
    await tenant.close()
    this.#psdb?.failed(new StorageError('closed', 'the ledgers are closed'))
  }
}
