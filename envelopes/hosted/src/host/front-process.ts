/** `service-fs front`, which only the supervisor starts. It gets its settings over the channel and serves until the supervisor ends it. */
import type { Command } from 'commander'
import type { Io } from '@service-fs/cli/io'
import { perform } from '@service-fs/cli/perform'
import { parseListen, type Listen } from '@service-fs/http/address'
import { createAccess, type Access } from '@service-fs/access/access'
import type { AccessSettings } from '@service-fs/access/settings'
import { HostedError } from '@service-fs/http/errors'
import { failedCredentials, type FailedCredentials } from '../process/failed-credentials.ts'
import { startFront } from '../front/front.ts'
import { startMetricsListener } from '../front/metrics-listener.ts'
import { FrontMetrics } from '../front/metrics.ts'
import type { HttpServer } from '@service-fs/http/listener'
import { createLog } from '../process/log.ts'
import { connectionsFor, openFilesLimit } from '@service-fs/http/open-files'
import { watchedConnections, type WatchedConnections } from '../process/watched-connections.ts'
import type { FrontMessage, FrontSettings } from './front-link.ts'
import { FrontTenants } from './front-tenants.ts'

export function addFront(program: Command, io: Io): void {
  program
    .command('front', { hidden: true })
    .description("a host's front, started by the host")
    .action(() => perform(io, true, () => runFront((urls) => io.out(`${JSON.stringify({ urls })}\n`))))
}

/** The number of files that the front itself needs, and of files per connection: the client's socket and the tenant's. */
const OWN_FILES = 256
const FILES_EACH = 2

/** How long a stop waits for requests in progress, in milliseconds. */
const DRAIN_MS = 10_000

/** Runs until SIGTERM or until the supervisor ends. Calls `greet` with the URLs. @throws HostedError */
export async function runFront(greet: (urls: string[]) => Promise<void>): Promise<void> {
  if (process.send === undefined) throw new HostedError('usage', 'front: `service-fs host` starts it')
  process.umask(0o077)
  const stopped = new Promise<void>((resolve) => {
    process.once('SIGTERM', () => resolve())
    process.once('disconnect', () => resolve())
    // Ignore Ctrl-C: the supervisor ends the front first and the tenants after it.
    process.on('SIGINT', () => undefined)
  })
  const inbox = new Inbox()
  try {
    const front = await Front.start(await inbox.settings)
    inbox.deliver((message) => front.take(message))
    await greet(front.urls)
    await stopped
    await front.stop()
  } finally {
    // A listener on the channel keeps the process alive.
    process.channel?.unref()
  }
}

/** Receives the supervisor's messages, and queues those that arrive before the front has started. */
class Inbox {
  readonly settings: Promise<FrontSettings>
  readonly #kept: FrontMessage[] = []
  #take: ((message: FrontMessage) => void) | undefined

  constructor() {
    this.settings = new Promise((resolve) => {
      process.on('message', (message: FrontMessage) => {
        if (message.kind === 'settings') resolve(message.settings)
        else if (this.#take === undefined) this.#kept.push(message)
        else this.#take(message)
      })
    })
  }

  deliver(take: (message: FrontMessage) => void): void {
    for (const message of this.#kept.splice(0)) take(message)
    this.#take = take
  }
}

function placesOf({ given, listen }: FrontSettings): Listen[] {
  return given === undefined ? listen.map(parseListen) : given.listen
}

function metricsPlaceOf({ given, metrics }: FrontSettings): Listen | undefined {
  return given?.metrics ?? (metrics === undefined ? undefined : parseListen(metrics))
}

interface Parts {
  access: Access
  tenants: FrontTenants
  servers: readonly HttpServer[]
  metrics: FrontMetrics
  /** The listener that serves metrics without credentials. */
  own: HttpServer | undefined
  report: (error: unknown) => void
  crowd: WatchedConnections
  failures: FailedCredentials
}

/** Sends a message to the supervisor. Ignores errors: the supervisor has ended, and the front soon ends too. */
function say(message: unknown): void {
  process.send?.(message, undefined, {}, () => undefined)
}

class Front {
  readonly urls: string[]
  readonly #access: Access
  readonly #tenants: FrontTenants
  readonly #servers: readonly HttpServer[]
  readonly #metrics: FrontMetrics
  readonly #own: HttpServer | undefined
  readonly #sweeper: NodeJS.Timeout | undefined
  readonly #report: (error: unknown) => void
  readonly #crowd: WatchedConnections
  readonly #failures: FailedCredentials

  static async start(settings: FrontSettings): Promise<Front> {
    const log = createLog({ name: 'front' })
    const report = (error: unknown): void => log.error(error)
    const tenants = new FrontTenants(settings.tenants, say)
    const metrics = new FrontMetrics({ tenants: () => tenants.known(), running: () => tenants.running() })
    const failures = failedCredentials(log, metrics.registry)
    const access = createAccess(settings.access, { report, failed: failures.add })
    const most = connectionsFor(openFilesLimit(), OWN_FILES, FILES_EACH)
    const crowd = watchedConnections(settings.access.connections, log, metrics.registry, most)
    const shared = {
      access,
      connections: crowd.connections,
      tenants: metrics.watched(tenants),
      report,
      metrics: () => metrics.all(),
      async readiness() {
        const reasons = await metrics.notReady()
        return Object.keys(reasons).length === 0 ? {} : { not_ready: reasons }
      },
      answered: (method: string, status: number, seconds: number) =>
        metrics.answered(method, status, seconds),
      ...(settings.access.tls === undefined ? {} : { tls: settings.access.tls }),
    }
    const servers: HttpServer[] = []
    try {
      for (const listen of placesOf(settings)) servers.push(await startFront({ ...shared, listen }))
      const place = metricsPlaceOf(settings)
      const own =
        place === undefined ? undefined : await startMetricsListener(place, () => metrics.all(), report)
      metrics.certificate(settings.access.tls?.certificate)
      return new Front(settings, { access, tenants, servers, metrics, own, report, crowd, failures })
    } catch (error) {
      for (const server of servers) await server.stop(0)
      throw error
    }
  }

  private constructor({ idleMs }: FrontSettings, parts: Parts) {
    const { access, tenants, servers, metrics, own, report, crowd, failures } = parts
    this.urls = servers.map(({ url }) => url)
    this.#access = access
    this.#tenants = tenants
    this.#servers = servers
    this.#metrics = metrics
    this.#own = own
    this.#report = report
    this.#crowd = crowd
    this.#failures = failures
    if (idleMs > 0)
      this.#sweeper = setInterval(() => tenants.sweep(Date.now(), idleMs), Math.min(idleMs / 4, 10_000))
  }

  async stop(): Promise<void> {
    clearInterval(this.#sweeper)
    await Promise.all(this.#servers.map((server) => server.stop(DRAIN_MS)))
    await this.#own?.stop(0)
    this.#crowd.close()
    this.#failures.close()
  }

  take(message: FrontMessage): void {
    if (message.kind === 'access') this.#update(message.access)
    else this.#tenants.take(message)
  }

  #update(settings: AccessSettings): void {
    try {
      this.#access.update(settings)
      this.#crowd.connections.update(settings.connections)
      const { tls } = settings
      if (tls !== undefined) for (const server of this.#servers) server.updateTls(tls)
      this.#metrics.certificate(tls?.certificate)
    } catch (error) {
      this.#report(error)
    }
  }
}
