/** The ledger to copy: behind a URL, in a directory, in a tar archive or in a disk image. */
import { keysIn } from '@service-fs/client/audit-place'
import type { Connection } from '@service-fs/client/http'
import type { LedgerFiles } from '@service-fs/client/ledger-files'
import { filesSource, httpSource, type LogSource } from '@service-fs/client/source'
import { shownKeys } from '@service-fs/client/verify-url'

export interface CopySource {
  /** The place of the ledger, for messages. */
  readonly place: string
  readonly log: LogSource
  /** Returns the vkeys that the ledger publishes. @throws ClientError */
  vkeys(): Promise<string[]>
  /** Returns the audit sub-ledger. It may not exist, or the caller may not be allowed to read it. */
  audit(): CopySource
}

export function urlSource(connection: Connection): CopySource {
  return {
    place: connection.url,
    log: httpSource(connection),
    vkeys: () => shownKeys(connection),
    audit: () => urlSource(connection.audit()),
  }
}

export function directorySource(files: LedgerFiles): CopySource {
  return {
    place: files.place,
    log: filesSource(files),
    vkeys: () => keysIn(files),
    audit: () => directorySource(files.below('audit')),
  }
}
