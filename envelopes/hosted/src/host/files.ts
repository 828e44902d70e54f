/** Inspects and creates directories with a given owner and mode. */
import { chmod, chown, lstat, mkdir, opendir } from 'node:fs/promises'
import { dirname } from 'node:path'
import { codeOf } from '@service-fs/format/errors'
import { HostedError } from '@service-fs/http/errors'

/** A numeric user and group. */
export interface Owner {
  uid: number
  gid: number
}

export interface Directory {
  uid: number
  gid: number
  /** The permission bits. */
  mode: number
}

/**
 * Returns the owner and mode of a directory; undefined when it does not exist.
 * @throws HostedError `config` when it is anything else, even a link to a directory
 */
export async function directoryAt(path: string): Promise<Directory | undefined> {
  try {
    const stats = await lstat(path)
    if (!stats.isDirectory()) throw new HostedError('config', `${path}: expected a directory`)
    return { uid: stats.uid, gid: stats.gid, mode: stats.mode & 0o7777 }
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined
    throw error
  }
}

/**
 * Creates the directory when it does not exist, and sets its mode; with `owner`, also its owner.
 * @throws HostedError `config` when this process is root and another user owns a directory that should be root's, because that user
 * could replace anything in it
 */
export async function ensureDirectory(path: string, mode: number, owner?: Owner): Promise<void> {
  const found = await directoryAt(path)
  if (owner === undefined && found !== undefined && found.uid !== 0 && process.getuid?.() === 0)
    throw new HostedError(
      'config',
      `${path}: expected the owner root, found uid ${found.uid}: chown root:root ${path}`,
    )
  if (found === undefined) {
    await mkdir(dirname(path), { mode: 0o755, recursive: true })
    await mkdir(path, { mode: 0o700 })
  }
  // Set the mode last: chown(2) clears the set-group-ID bit, and a wider mode must not precede the new owner.
  if (owner !== undefined && (found?.uid !== owner.uid || found.gid !== owner.gid))
    await chown(path, owner.uid, owner.gid)
  if (found?.mode !== mode) await chmod(path, mode)
}

/**
 * Reports whether the directory is empty, except for the lost+found of a mount point. Stops at the first other entry, because the
 * directory's owner may have filled it.
 */
export async function isEmptyDirectory(path: string): Promise<boolean> {
  for await (const { name } of await opendir(path)) if (name !== 'lost+found') return false
  return true
}
