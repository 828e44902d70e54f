/** `service-fs serve --envelope a`: one tenant's ledger in a directory. */
import { isLocalName } from '@service-fs/wire/host-name'
import type { Guard } from './access/guard.ts'
import { checkListen } from './access/listen-rule.ts'
import { OPEN } from './access/open.ts'
import type { Config } from './config.ts'
import { identityFor } from './front/identity-headers.ts'
import { startHttp, type HttpOptions, type HttpServer } from './http.ts'
import { createLog } from './log.ts'
import type { Served } from './serve.ts'
import { openTenant, type Tenant } from './tenant.ts'
import { VERSION } from './version.ts'

/** How long a stop waits for requests that are under way. */
const DRAIN_MS = 10_000

/** The front's group may connect as well: the directory of the socket says which group that is. */
const FOR_FRONT = 0o660

export interface Daemon extends Served {
  readonly tenant: Tenant
}

/** Opens the ledger and listens. @throws what openTenant and startHttp throw; then nothing is left open */
export async function start(config: Config, write: (line: string) => void): Promise<Daemon> {
  const log = createLog({ name: 'tenant', tenant: config.moduleId, write })
  const report = (error: unknown, requestId?: string): void => log.error(error, { request_id: requestId })
  const guard = await guardOf(config, report)
  const tenant = await openTenant({ ...config, report, warn: (message, fields) => log.warn(message, fields) })
  let http: HttpServer
  try {
    http = await startHttp(config.listen, {
      wire: tenant.wire,
      ...entrance(config, guard),
      answered: (method, status, seconds) => tenant.metrics.answered(method, status, seconds),
      report,
    })
  } catch (error) {
    await tenant.close()
    throw error
  }
  const watch = guard?.watch((tls) => http.updateTls(tls))
  log.info('listening', { url: http.url, version: VERSION, size: tenant.ledger.size })
  let stopping: Promise<void> | undefined
  const stop = async (): Promise<void> => {
    log.info('stopping')
    watch?.close()
    tenant.wire.drain()
    try {
      await http.stop(DRAIN_MS)
    } finally {
      await tenant.close()
    }
    log.info('stopped', { size: tenant.ledger.size })
  }
  const { dir, origin, vkey } = tenant
  return {
    tenant,
    url: http.url,
    origin,
    vkey,
    place: { dir },
    failed: tenant.failed,
    ...(watch === undefined ? {} : { guarded: true, reload: () => watch.reload() }),
    stop: () => (stopping ??= stop()),
  }
}

/** What checks credentials, if any are configured. @throws HostedError `access`; `usage` where it may not be listened */
async function guardOf(config: Config, report: (error: unknown) => void): Promise<Guard | undefined> {
  if (config.access !== undefined)
    return (await import('./access/guard.ts')).openGuard(config.access, config, report)
  checkListen(config.listen, OPEN)
  return undefined
}

/** Who gets in, and who they are. */
function entrance({ moduleId, listen, behindFront }: Config, guard: Guard | undefined): Partial<HttpOptions> {
  if (behindFront === true) return { authenticate: identityFor(moduleId), mode: FOR_FRONT }
  // A browser sends no token by itself; where none is asked for, a page must not get in by its visitor's.
  const accepts = 'path' in listen || guard?.open === false ? {} : { accepts: isLocalName }
  if (guard === undefined) return accepts
  return { ...accepts, authenticate: (raw) => guard.authenticate(raw), tls: guard.tls }
}
