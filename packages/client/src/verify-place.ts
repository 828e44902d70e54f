/** Verifies a ledger behind a URL, in a directory, in a tar archive or in a disk image. */
import { stat } from 'node:fs/promises'
import { basename } from 'node:path'
import { messageOf } from '@service-fs/format/errors'
import { ClientError } from './errors.ts'
import { directoryFiles, type LedgerFiles } from './ledger-files.ts'
import { isUrl, withConnection, type ConnectionOptions } from './http.ts'
import { openTar, type TarArchive } from './tar-archive.ts'
import { verifyFiles } from './verify-directory.ts'
import { verifyUrl } from './verify-url.ts'
import type { LedgerReport, VerifyOptions } from './verify.ts'

/**
 * Verifies the ledger at `place`: a URL if it begins with http:// or https://, otherwise the path of a directory, tar archive or
 * disk image. The connection options apply to a URL; `moduleId` also chooses one of several ledgers in an archive. Reports problems
 * of the content; @throws ClientError when the ledger can't be read
 */
export function verifyPlace(
  place: string,
  options: VerifyOptions & ConnectionOptions = {},
): Promise<LedgerReport> {
  if (isUrl(place)) return withConnection(place, options, (connection) => verifyUrl(connection, options))
  return withLedgerFiles(place, options.moduleId, (files) => verifyFiles(files, options))
}

/**
 * Opens the files of the ledger at a path, runs `work`, and closes them. `moduleId` chooses one of several ledgers in an archive.
 * @throws ClientError `file`, `malformed`; `usage` when several ledgers are possible, or no ledger has that name
 */
export async function withLedgerFiles<T>(
  path: string,
  moduleId: string | undefined,
  work: (files: LedgerFiles) => Promise<T>,
): Promise<T> {
  // The command line opens a store for the commands that can read one.
  if (path.startsWith('s3://'))
    throw new ClientError('usage', `${path}: expected a URL or a path: mirror the store to a directory first`)
  if (await isDirectory(path)) return work(directoryFiles(path))
  const archive = await openTar(path)
  try {
    return await work(archive.below(pick(path, archive, moduleId)))
  } finally {
    await archive.close()
  }
}

async function isDirectory(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory()
  } catch (error) {
    throw new ClientError('file', messageOf(error))
  }
}

/** Chooses the folder of one ledger. An archive that is itself a ledger has no name, so any `moduleId` chooses it. */
function pick(path: string, { ledgers }: TarArchive, moduleId: string | undefined): string {
  if (ledgers.length === 0)
    throw new ClientError('file', `${path}: expected a ledger, found neither origin nor checkpoint`)
  const named = ledgers.filter(
    (folder) => folder === '' || moduleId === undefined || basename(folder) === moduleId,
  )
  const [folder, ...others] = named
  if (folder !== undefined && others.length === 0) return folder
  const expected =
    moduleId === undefined
      ? '--module-id to choose one ledger'
      : '--module-id to name a ledger of the archive'
  throw new ClientError('usage', `${path}: expected ${expected}, found the ledgers ${ledgers.join(', ')}`)
}
