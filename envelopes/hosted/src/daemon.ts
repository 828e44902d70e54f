/** `service-fs serve --envelope a`: one tenant's ledger in a directory. */
import { isLocalName } from '@service-fs/wire/host-name'
import type { Config } from './config.ts'
import { identityOf } from './front/identity-headers.ts'
import { startHttp, type HttpServer } from './http.ts'
import { createLog } from './log.ts'
import type { Served } from './serve.ts'
import { openTenant, type Tenant } from './tenant.ts'
import { VERSION } from './version.ts'

/** How long a stop waits for requests that are under way. */
const DRAIN_MS = 10_000

/** The front's group may connect as well: the directory of the socket says which group that is. */
const BEHIND_FRONT = { authenticate: identityOf, mode: 0o660 }

export interface Daemon extends Served {
  readonly tenant: Tenant
}

/** Opens the ledger and listens. @throws what openTenant and startHttp throw; then nothing is left open */
export async function start(config: Config, write: (line: string) => void): Promise<Daemon> {
  const log = createLog({ name: 'tenant', tenant: config.moduleId, write })
  const report = (error: unknown, requestId?: string): void => log.error(error, { request_id: requestId })
  const tenant = await openTenant({ ...config, report })
  let http: HttpServer
  try {
    http = await startHttp(config.listen, {
      wire: tenant.wire,
      // Without credentials it listens on a loopback address or a unix socket only.
      ...('path' in config.listen ? {} : { accepts: isLocalName }),
      ...(config.behindFront === true ? BEHIND_FRONT : {}),
      answered: (method, status, seconds) => tenant.metrics.answered(method, status, seconds),
      report,
    })
  } catch (error) {
    await tenant.close()
    throw error
  }
  log.info('listening', { url: http.url, version: VERSION, size: tenant.ledger.size })
  let stopping: Promise<void> | undefined
  const stop = async (): Promise<void> => {
    log.info('stopping')
    try {
      await http.stop(DRAIN_MS)
    } finally {
      await tenant.close()
    }
    log.info('stopped', { size: tenant.ledger.size })
  }
  const { dir, origin, vkey } = tenant
  return { tenant, url: http.url, origin, vkey, place: { dir }, stop: () => (stopping ??= stop()) }
}
