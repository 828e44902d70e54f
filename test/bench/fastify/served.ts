// One tenant as `service-fs serve` opens it: the ledger in a directory, and how its requests are answered.

import { isLocalName } from '@service-fs/wire/host-name'
import type { HttpOptions, HttpServer } from '@service-fs/http/http'
import { watchedConnections } from '@service-fs/hosted/process/watched-connections'
import { createLog } from '@service-fs/hosted/process/log'
import { Metrics } from '@service-fs/hosted/tenant/metrics'
import { openTenant } from '@service-fs/hosted/tenant/tenant'

/** It checks no credentials, like `serve` without an access file. */
type Options = Omit<HttpOptions, 'authenticate'>

export const LISTEN = { host: '127.0.0.1', port: 0 }

/** Opens the ledger below the directory in the arguments, serves it, prints the URL, and stops at SIGTERM. */
export async function serveBy(start: (options: Options) => Promise<HttpServer>): Promise<void> {
  const log = createLog({ name: 'tenant', tenant: 'bench', write: (line) => void process.stderr.write(line) })
  const report = (error: unknown): void => log.error(error)
  const metrics = new Metrics('bench')
  const tenant = await openTenant({
    moduleId: 'bench',
    root: process.argv[2] ?? '',
    origin: undefined,
    report,
    warn: (message, fields) => log.warn(message, fields),
    metrics,
  })
  const crowd = watchedConnections({}, log, metrics.registry)
  const http = await start({
    wire: tenant.wire,
    accepts: isLocalName,
    connections: crowd.connections,
    answered: (method, status, seconds) => metrics.answered(method, status, seconds),
    report,
  })
  process.stdout.write(`${http.url}\n`)
  process.once('SIGTERM', () => {
    tenant.wire.drain()
    void http
      .stop(1000)
      .then(() => tenant.close())
      .then(() => process.exit(0))
  })
}
