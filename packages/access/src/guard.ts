/** Guards one tenant's ledger when `serve` has `--access`. */
import type { Listen } from '@service-fs/http/address'
import type { IncomingMessage } from 'node:http'
import type { Problem } from '@service-fs/wire/problem'
import type { Identity } from '@service-fs/http/http'
import type { ConnectionsConfig } from '@service-fs/http/connections'
import type { TlsMaterial } from '@service-fs/http/listener'
import { createAccess, isForAnybody, type AccessOptions } from './access.ts'
import { checkListen, checkReload } from './listen-rule.ts'
import { checkPublicReads } from './public-reads.ts'
import { loadAccess, readAccessFile } from './settings.ts'
import { logAccess, logChanges, logRefused, type AccessLog } from './changes.ts'
import { watchAccess, type AccessWatch } from './watch.ts'

export interface GuardOptions {
  /** Whether everybody may read the ledger without credentials. The settings must then not grant the role `read`. */
  publicReads?: boolean
  /** Logs each change. */
  log: AccessLog
  report: (error: unknown) => void
  failed?: AccessOptions['failed']
}

export interface Guard {
  /** Whether no credentials are configured. */
  readonly open: boolean
  /** If absent, the server speaks plain HTTP, as it always does over a unix socket. */
  readonly tls?: TlsMaterial
  authenticate(raw: IncomingMessage): Promise<Identity | Problem>
  /** The limits on connections that the settings had at the start. */
  readonly connections: ConnectionsConfig
  /** Starts to apply changes of the access files. */
  watch(taken: Taken): AccessWatch
}

/** Receives changes that are in force. */
export interface Taken {
  tls(tls: TlsMaterial): void
  connections(config: ConnectionsConfig): void
}

/** Reads the access file and the files that it names. @throws HostedError `access`; `usage`: the settings do not allow this address */
export async function openGuard(
  file: string,
  { moduleId, listen }: { moduleId: string; listen: Listen },
  { log, report, failed, publicReads = false }: GuardOptions,
): Promise<Guard> {
  const { access: config, tls, base } = await readAccessFile(file)
  let settings = await loadAccess(config, tls, base)
  checkListen(listen, settings)
  if (publicReads) checkPublicReads(settings)
  const access = createAccess(settings, { report, publicReads, ...(failed === undefined ? {} : { failed }) })
  logAccess(log, settings)
  return {
    open: access.open,
    connections: settings.connections,
    ...(settings.tls === undefined || 'path' in listen ? {} : { tls: settings.tls }),
    // Every request is for the one tenant, whose health routes are public under every path.
    authenticate: (raw) => access.check(raw, isForAnybody(raw) ? undefined : moduleId),
    watch: (taken) =>
      watchAccess(() => readAccessFile(file), {
        onChange(next) {
          checkReload(settings, next)
          if (publicReads) checkPublicReads(next)
          access.update(next)
          logChanges(log, settings, next)
          settings = next
          if (next.tls !== undefined) taken.tls(next.tls)
          taken.connections(next.connections)
        },
        report: (error) => logRefused(log, error),
      }),
  }
}
