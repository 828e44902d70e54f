/** Updates the copy of a ledger, for `mirror` and `export`. */
import { realpath } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { quoted } from '@service-fs/format/visible'
import { ClientError } from '@service-fs/client/errors'
import { isUrl, withConnection, type Connection } from '@service-fs/client/http'
import { withLedgerFiles } from '@service-fs/client/verify-place'
import type { Io } from '../io.ts'
import { placeOptions, type TenantOptions } from '../options.ts'
import { progressBar } from '../progress.ts'
import type { CopyDirectory, CopyReport } from './copy-directory.ts'
import { directorySource, urlSource, type CopySource } from './copy-source.ts'

/** Opens the ledger at a URL or path, runs `work`, and closes the ledger. The connection is undefined for a path. */
export async function withSource<T>(
  place: string,
  options: TenantOptions,
  work: (source: CopySource, connection: Connection | undefined) => Promise<T>,
): Promise<T> {
  if (isUrl(place))
    return withConnection(place, await placeOptions(place, options), (connection) =>
      work(urlSource(connection), connection),
    )
  return withLedgerFiles(place, options.moduleId, (files) => work(directorySource(files), undefined))
}

/**
 * Checks that the copy and its source are not one directory, and that neither is inside the other.
 * @throws ClientError `usage`
 */
export async function checkApart(place: string, directory: string): Promise<void> {
  if (isUrl(place)) return
  const [source, copy] = await Promise.all([realPath(place), realPath(directory)])
  if (`${copy}/`.startsWith(`${source}/`) || `${source}/`.startsWith(`${copy}/`))
    throw new ClientError(
      'usage',
      `${quoted(directory)}: expected a directory apart from the source, found ${quoted(source)}`,
    )
}

/** Returns the path without symbolic links. The last parts of the path need not exist. */
async function realPath(path: string): Promise<string> {
  const whole = resolve(path)
  try {
    return await realpath(whole)
  } catch {
    const parent = dirname(whole)
    return parent === whole ? whole : join(await realPath(parent), basename(whole))
  }
}

/** Updates a copy, and shows the progress on the terminal. */
export async function updateWith(copy: CopyDirectory, source: CopySource, io: Io): Promise<CopyReport> {
  const bar = progressBar(io, 'copy', 'entries')
  try {
    return await copy.update(source, (entries, size) => bar.at(entries, size))
  } finally {
    bar.stop()
  }
}
