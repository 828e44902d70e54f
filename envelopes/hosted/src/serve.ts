/** `service-fs serve`: one tenant's daemon, from start to a clean stop. */
import { isLocalName } from '@service-fs/wire/host-name'
import { logLine } from '@service-fs/wire/log-line'
import { type Config } from './config.ts'
import { startHttp, type HttpServer } from './http.ts'
import { openTenant, type Tenant } from './tenant.ts'

/** How long a stop waits for requests that are under way. */
const DRAIN_MS = 10_000

export interface Output {
  out(text: string): Promise<void>
  /** A line of the log. */
  err(line: string): void
}

export interface Daemon {
  readonly tenant: Tenant
  readonly url: string
  /** Accepts nothing more, answers what is under way, closes the ledgers. */
  stop(): Promise<void>
}

/** Opens the ledger and listens. @throws what openTenant and startHttp throw; then nothing is left open */
export async function start(config: Config, log: (line: string) => void): Promise<Daemon> {
  const report = (error: unknown, requestId?: string): void => log(logLine(Date.now(), error, requestId))
  const tenant = await openTenant({ ...config, report })
  let http: HttpServer
  try {
    http = await startHttp(config.listen, {
      wire: tenant.wire,
      // Without credentials it listens on a loopback address or a unix socket only.
      ...('path' in config.listen ? {} : { accepts: isLocalName }),
      answered: (method, status, seconds) => tenant.metrics.answered(method, status, seconds),
      report,
    })
  } catch (error) {
    await tenant.close()
    throw error
  }
  let stopping: Promise<void> | undefined
  const stop = async (): Promise<void> => {
    try {
      await http.stop(DRAIN_MS)
    } finally {
      await tenant.close()
    }
  }
  return { tenant, url: http.url, stop: () => (stopping ??= stop()) }
}

/** Runs until SIGTERM or SIGINT. Resolves after a clean stop. */
export async function serve(config: Config, json: boolean, output: Output): Promise<void> {
  // Whatever is made from here on, the socket included, is the owner's only.
  process.umask(0o077)
  const daemon = await start(config, (line) => output.err(line))
  const stopped = new Promise<void>((resolve, reject) => {
    const stop = (): void => void daemon.stop().then(resolve, reject)
    process.once('SIGTERM', stop)
    process.once('SIGINT', stop)
  })
  await output.out(json ? jsonGreeting(config, daemon) : greeting(config, daemon))
  await stopped
}

function jsonGreeting(config: Config, { tenant, url }: Daemon): string {
  const { origin, vkey, dir } = tenant
  return `${JSON.stringify({ url, module_id: config.moduleId, origin, vkey, dir, pid: process.pid })}\n`
}

function greeting(config: Config, { tenant, url }: Daemon): string {
  const { moduleId } = config
  const curl = url.startsWith('unix:') ? `curl --unix-socket ${url.slice(5)}` : 'curl'
  const base = url.startsWith('unix:') ? 'http://localhost/' : url
  return `service-fs serves ${moduleId} at ${url}
origin  ${tenant.origin}
vkey    ${tenant.vkey}
ledger  ${tenant.dir}

Append a record, read it back, and look at what reading it left in the audit ledger:

  ${curl} -H 'Content-Type: application/json' -d '{"payload_id":"hello-1","payload":{"hello":"world"}}' ${base}t/${moduleId}/v1/append
  ${curl} ${base}t/${moduleId}/v1/records/hello-1
  ${curl} ${base}t/${moduleId}/audit/v1/entries

README.txt in the ledger's directory says how to check it with cat, base64 and sha256sum. Ctrl-C stops.
`
}
