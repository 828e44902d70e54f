/** Checks a ledger wherever it is: a URL, a directory, a tar archive or disk image. */
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

/** What begins with http:// or https:// is a URL, anything else a path. @throws ClientError */
export function verifyPlace(
  place: string,
  options: VerifyOptions & ConnectionOptions = {},
): Promise<LedgerReport> {
  if (isUrl(place)) return withConnection(place, options, (connection) => verifyUrl(connection, options))
  return withLedgerFiles(place, options.moduleId, (files) => verifyFiles(files, options))
}

/**
 * Works with the files of the ledger at a path. `moduleId` says which of several in an archive.
 * @throws ClientError `file`, `malformed`, `usage` when it is not told which ledger, or there is none of that name
 */
export async function withLedgerFiles<T>(
  path: string,
  moduleId: string | undefined,
  work: (files: LedgerFiles) => Promise<T>,
): Promise<T> {
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

/** The folder of the ledger that is meant. An archive that is itself a ledger has no name for it. */
function pick(path: string, { ledgers }: TarArchive, moduleId: string | undefined): string {
  if (ledgers.length === 0)
    throw new ClientError('file', `${path}: expected a ledger, found neither origin nor checkpoint`)
  const named = ledgers.filter(
    (folder) => folder === '' || moduleId === undefined || basename(folder) === moduleId,
  )
  const [folder, ...others] = named
  if (folder !== undefined && others.length === 0) return folder
  const expected =
    moduleId === undefined ? '--module-id, which one is meant' : `--module-id as the name of one`
  throw new ClientError('usage', `${path}: expected ${expected}, found the ledgers ${ledgers.join(', ')}`)
}
