/** Finds the newest export in a folder. */
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { codeOf } from '@service-fs/format/errors'
import { asFileError } from '@service-fs/client/errors'

/**
 * Returns the newest export in the folder: the archive `*.tar` or the directory with a `checkpoint` that was written
 * last. If the place is itself an export, returns the place. Skips hidden names, which belong to exports that are still being written.
 * Resolves to undefined when there is no export. @throws ClientError `file`
 */
export function newestExport(place: string): Promise<string | undefined> {
  return asFileError(async () => {
    if ((await writtenAt(place)) !== undefined) return place
    let newest: { path: string; at: number } | undefined
    for (const name of (await readdir(place)).sort()) {
      const path = join(place, name)
      const at = name.startsWith('.') ? undefined : await writtenAt(path)
      if (at !== undefined && (newest === undefined || at >= newest.at)) newest = { path, at }
    }
    return newest?.path
  })
}

/** Returns the time at which an export was written, in milliseconds since 1970; undefined when the path has no export. */
async function writtenAt(path: string): Promise<number | undefined> {
  const stats = await stat(path)
  if (stats.isFile()) return path.endsWith('.tar') ? stats.mtimeMs : undefined
  if (!stats.isDirectory()) return undefined
  try {
    return (await stat(join(path, 'checkpoint'))).mtimeMs
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined
    throw error
  }
}
