/** What stands before one tenant's ledger when `serve` is given `--access`. */
import type { IncomingMessage } from 'node:http'
import type { Problem } from '@service-fs/wire/problem'
import type { Listen } from '../config.ts'
import type { Identity } from '../identity.ts'
import type { TlsMaterial } from '../listener.ts'
import { createAccess, isForAnybody } from './access.ts'
import { readAccessFile } from './access-file.ts'
import { checkListen, checkReload } from './listen-rule.ts'
import { loadAccess } from './settings.ts'
import { watchAccess, type AccessWatch } from './watch.ts'

export interface Guard {
  /** Whether no credentials are configured. */
  readonly open: boolean
  /** Absent: plain HTTP. A unix socket has none. */
  readonly tls?: TlsMaterial
  authenticate(raw: IncomingMessage): Promise<Identity | Problem>
  /** Takes changes of the files from now on; `updateTls` is told of certificates. */
  watch(updateTls: (tls: TlsMaterial) => void): AccessWatch
}

/** Reads what the file names. @throws HostedError `access`; `usage` where it may not be listened */
export async function openGuard(
  file: string,
  { moduleId, listen }: { moduleId: string; listen: Listen },
  report: (error: unknown) => void,
): Promise<Guard> {
  const { access: config, tls, base } = await readAccessFile(file)
  let settings = await loadAccess(config, tls, base)
  checkListen(listen, settings)
  const access = createAccess(settings, { report })
  return {
    open: access.open,
    ...(settings.tls === undefined || 'path' in listen ? {} : { tls: settings.tls }),
    // Its one tenant is always meant; its health is anybody's to see, by whichever path.
    authenticate: (raw) => access.check(raw, isForAnybody(raw) ? undefined : moduleId),
    watch: (updateTls) =>
      watchAccess(() => readAccessFile(file), {
        onChange(next) {
          checkReload(settings, next)
          access.update(next)
          settings = next
          if (next.tls !== undefined) updateTls(next.tls)
        },
        report,
      }),
  }
}
