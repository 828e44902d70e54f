/** `service-fs serve --envelope a`: one tenant's ledger in a directory. */
import { isLocalName } from '@service-fs/wire/host-name'
import type { Guard, GuardOptions } from '@service-fs/access/guard'
import { checkListen, OPEN } from '@service-fs/access/listen-rule'
import type { AuthorSettings } from './author-settings.ts'
import { clockSource } from '../process/clock.ts'
import type { AcceptSizes } from './mark-file.ts'
import type { ImmutableMode } from './immutable.ts'
import type { Listen } from '@service-fs/http/address'
import { failedCredentials } from '../process/failed-credentials.ts'
import { identityFor } from '../front/identity-headers.ts'
import type { SearchField } from '@service-fs/format/json-fields'
import { startHttp, type HttpOptions, type HttpServer } from '@service-fs/http/http'
import { createLog, type Logger } from '../process/log.ts'
import type { ScrubSettings } from './scrub.ts'
import type { Served } from './serve.ts'
import { Metrics } from './metrics.ts'
import { openTenant, type Tenant, type TenantOptions } from './tenant.ts'
import { VERSION } from '../version.ts'
import { watchedConnections } from '../process/watched-connections.ts'

/** The configuration that both envelopes share. */
export interface CommonConfig {
  moduleId: string
  listen: Listen
  /** The requested origin; undefined: the ledger's own, or the default for a new one. */
  origin: string | undefined
  /** Tree sizes that the operator accepts although larger trees were acknowledged. */
  acceptSizes?: AcceptSizes
}

/** The configuration of Envelope A. */
export interface Config extends CommonConfig {
  /** Absolute. Holds `<moduleId>/` and `.secret/<moduleId>/`. */
  root: string
  /** Whether only a front connects; it names the subject of each request. */
  behindFront?: boolean
  /** Absolute path of the access file. Absent: every client may do everything. */
  access?: string
  /** The maximum size of a record's payload; absent: the default. */
  maxPayloadBytes?: number
  /** Whether the ledger is opened read-only; see TenantOptions. */
  readOnly?: boolean
  /** Whether the clock may jump ahead by any time; absent: at most a day more than the time since the start. */
  allowClockAhead?: boolean
  /** Whether everybody may read the ledger, and reads are not recorded; absent: reads are recorded. */
  publicReads?: boolean
  /** Whether file attributes make sealed files immutable; absent: off. */
  immutable?: ImmutableMode
  /** The fields of records that searches may compare; absent: none. */
  searchFields?: readonly SearchField[]
  /** How sealed files are checked in the background; absent: all of them in 30 days. */
  scrub?: ScrubSettings
  /**
   * The signatures of authors that the ledger accepts, and the records that must have one. Absent: the ledger accepts
   * every valid signature, and no record must have one.
   */
  authors?: AuthorSettings
}

/** How long a stop waits for requests in progress. */
const DRAIN_MS = 10_000

/** Mode of a socket that the front's group may connect to; the socket's directory determines the group. */
const FOR_FRONT = 0o660

export interface Daemon extends Served {
  readonly tenant: Tenant
}

/** Opens the ledger and listens. @throws the errors of openTenant and startHttp, after closing everything */
export async function start(config: Config, write: (line: string) => void): Promise<Daemon> {
  const log = createLog({ name: 'tenant', tenant: config.moduleId, write })
  const report = (error: unknown, requestId?: string): void => log.error(error, { request_id: requestId })
  const metrics = new Metrics(config.moduleId)
  const failures = failedCredentials(log, metrics.registry)
  const { publicReads = false } = config
  const guard = await guardOf(config, { log, report, failed: failures.add, publicReads })
  const crowd = watchedConnections(guard?.connections ?? {}, log, metrics.registry)
  const warn: TenantOptions['warn'] = (message, fields) => log.warn(message, fields)
  const tenant = await openTenant({ ...config, report, warn, metrics })
  let http: HttpServer
  try {
    http = await startHttp(config.listen, {
      wire: tenant.wire,
      ...entrance(config, guard),
      connections: crowd.connections,
      answered: (method, status, seconds) => tenant.metrics.answered(method, status, seconds),
      report,
    })
  } catch (error) {
    await tenant.close()
    throw error
  }
  sayClock(log)
  if (publicReads) log.warn('reads of the ledger are public and not recorded (--public-reads)')
  const watch = guard?.watch({
    tls: (tls) => http.updateTls(tls),
    connections: (limits) => crowd.connections.update(limits),
  })
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
    crowd.close()
    failures.close()
    log.info('stopped', { size: tenant.ledger.size })
  }
  const { dir, origin, vkey, auditVkey } = tenant
  return {
    tenant,
    url: http.url,
    origin,
    vkey,
    auditVkey,
    place: { dir },
    failed: tenant.failed,
    publicReads,
    ...(watch === undefined ? {} : { guarded: true, reload: () => watch.reload() }),
    stop: () => (stopping ??= stop()),
  }
}

/** Logs which program synchronizes the clock, because later clock jumps are measured from the time at the start. */
function sayClock(log: Logger): void {
  const source = clockSource()
  if (source !== undefined) log.info('trusting the clock at the start', { kept_by: source })
  else log.info('trusting the clock at the start, although no program reports that it is synchronized')
}

/** Opens the access file, if one is configured. @throws HostedError `access`; `usage`: the address needs credentials or TLS */
async function guardOf(config: Config, options: GuardOptions): Promise<Guard | undefined> {
  if (config.access !== undefined)
    return (await import('@service-fs/access/guard')).openGuard(config.access, config, options)
  checkListen(config.listen, OPEN)
  return undefined
}

/** Returns the options that decide which clients are served, and under which identity. */
function entrance({ moduleId, listen, behindFront }: Config, guard: Guard | undefined): Partial<HttpOptions> {
  if (behindFront === true) return { authenticate: identityFor(moduleId), mode: FOR_FRONT }
  // Without tokens, a web page could use its visitor's browser to send requests. A browser does not add tokens by itself.
  const accepts = 'path' in listen || guard?.open === false ? {} : { accepts: isLocalName }
  if (guard === undefined) return accepts
  return { ...accepts, authenticate: (raw) => guard.authenticate(raw), tls: guard.tls }
}
