/** Opens the ledger at a path or in an S3 store. */
import { ClientError } from '@service-fs/client/errors'
import type { ConnectionOptions } from '@service-fs/client/http'
import type { LedgerFiles } from '@service-fs/client/ledger-files'
import { filesTree, withTrustedTree, type OpenedLedger } from '@service-fs/client/retention'
import type { TrustOptions } from '@service-fs/client/trust'
import type { LedgerReport, VerifyOptions } from '@service-fs/client/verify'
import { verifyFiles } from '@service-fs/client/verify-directory'
import { verifyPlace, withLedgerFiles } from '@service-fs/client/verify-place'
import { quoted } from '@service-fs/format/visible'
import { isS3Place } from '@service-fs/s3/place'
import { openStore } from './s3/open-store.ts'
import { readerOf, storeFiles } from './s3/store-files.ts'

/** Opens the files of the ledger at a place that is no URL, runs `work`, and closes them, like `withLedgerFiles`. */
export async function withFilesAt<T>(
  place: string,
  moduleId: string | undefined,
  work: (files: LedgerFiles) => Promise<T>,
): Promise<T> {
  if (!isS3Place(place)) return withLedgerFiles(place, moduleId, work)
  return work(storeFiles(readerOf(await openStore(place))))
}

/** Verifies the ledger at a place, like `verifyPlace`. */
export function verifyAt(place: string, options: VerifyOptions & ConnectionOptions): Promise<LedgerReport> {
  if (!isS3Place(place)) return verifyPlace(place, options)
  return withFilesAt(place, undefined, (files) => verifyFiles(files, options))
}

/** Opens the ledger at a place, and verifies what is read of it, like `withTrustedTree`. */
export function withTreeAt<T>(
  place: string,
  options: TrustOptions & ConnectionOptions,
  work: (ledger: OpenedLedger) => Promise<T>,
): Promise<T> {
  if (!isS3Place(place)) return withTrustedTree(place, options, work)
  return withFilesAt(place, undefined, async (files) => work(await filesTree(files, options)))
}

/** Refuses a place in a store for a command that writes files. @throws ClientError `usage` */
export function refuseStore(option: string, path: string): void {
  if (isS3Place(path))
    throw new ClientError(
      'usage',
      `${option}: expected a path, found ${quoted(path)}: \`service-fs mirror\` copies a ledger to an S3 store`,
    )
}
