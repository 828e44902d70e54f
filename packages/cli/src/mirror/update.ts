/** Updates the copy of a ledger, for `mirror` and `export`. */
import { realpath } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { quoted } from '@service-fs/format/visible'
import { ClientError } from '@service-fs/client/errors'
import { isUrl, withConnection, type Connection } from '@service-fs/client/http'
import { isS3Place, parseS3Place } from '@service-fs/s3/place'
import type { Io } from '../io.ts'
import { placeOptions, type TenantOptions } from '../options.ts'
import { withFilesAt } from '../places.ts'
import { progressBar } from '../progress.ts'
import { asStoreError } from '../s3/store-errors.ts'
import { directorySource, urlSource, type CopySource } from './copy-source.ts'
import type { CopyReport, VerifiedCopy } from './verified-copy.ts'

/** Opens the ledger at a URL, at a path or in a store, runs `work`, and closes the ledger. Only a URL has a connection. */
export async function withSource<T>(
  place: string,
  options: TenantOptions,
  work: (source: CopySource, connection: Connection | undefined) => Promise<T>,
): Promise<T> {
  if (isUrl(place))
    return withConnection(place, await placeOptions(place, options), (connection) =>
      work(urlSource(connection), connection),
    )
  return withFilesAt(place, options.moduleId, (files) => work(directorySource(files), undefined))
}

/**
 * Checks that the copy and its source are not one directory, and that neither is inside the other; or one prefix in a store.
 * @throws ClientError `usage`
 */
export async function checkApart(place: string, directory: string): Promise<void> {
  if (isUrl(place) || isS3Place(place) !== isS3Place(directory)) return
  const whole = isS3Place(place) ? storePath : realPath
  const [source, copy] = await Promise.all([whole(place), whole(directory)])
  if (`${copy}/`.startsWith(`${source}/`) || `${source}/`.startsWith(`${copy}/`))
    throw new ClientError(
      'usage',
      `${quoted(directory)}: expected a directory apart from the source, found ${quoted(source)}`,
    )
}

function storePath(place: string): Promise<string> {
  return asStoreError(async () => {
    const { url, prefix } = parseS3Place(place)
    return `${url}${prefix}`.replace(/\/$/, '')
  })
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
export async function updateWith(copy: VerifiedCopy, source: CopySource, io: Io): Promise<CopyReport> {
  const bar = progressBar(io, 'copy', 'entries')
  try {
    return await copy.update(source, (entries, size) => bar.at(entries, size))
  } finally {
    bar.stop()
  }
}
