/** Directories of the host: who owns them, and what may be in their way. */
import { chmod, chown, lstat, mkdir, opendir } from 'node:fs/promises'
import { dirname } from 'node:path'
import { HostedError, hasCode } from '@service-fs/http/errors'

/** A user and a group, by number. */
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

/** Who owns the directory; undefined when nothing is there. @throws HostedError `config`: there is something else, a link included */
export async function directoryAt(path: string): Promise<Directory | undefined> {
  try {
    const stats = await lstat(path)
    if (!stats.isDirectory()) throw new HostedError('config', `${path}: expected a directory`)
    return { uid: stats.uid, gid: stats.gid, mode: stats.mode & 0o7777 }
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined
    throw error
  }
}

/**
 * Makes a directory that is not there; one that is gets the mode, and is its owner's or this process's.
 * @throws HostedError `config`: root's it must be, and is another's, who could put anything in the place of what is made in it
 */
export async function ensureDirectory(path: string, mode: number, owner?: Owner): Promise<void> {
  const found = await directoryAt(path)
  if (owner === undefined && found !== undefined && found.uid !== 0 && process.getuid?.() === 0)
    throw new HostedError(
      'config',
      `${path}: expected it to be root's, found one of uid ${found.uid}: chown root:root ${path}`,
    )
  if (found === undefined) {
    await mkdir(dirname(path), { mode: 0o755, recursive: true })
    await mkdir(path, { mode: 0o700 })
  }
  // The mode last: chown(2) takes the set-group-id bit away. What is in the way of others is not there before.
  if (owner !== undefined && (found?.uid !== owner.uid || found.gid !== owner.gid))
    await chown(path, owner.uid, owner.gid)
  if (found?.mode !== mode) await chmod(path, mode)
}

/** Whether nothing is in it; a file system of its own may have lost+found. It is not read to its end: whose it is may have filled it. */
export async function isEmptyDirectory(path: string): Promise<boolean> {
  for await (const { name } of await opendir(path)) if (name !== 'lost+found') return false
  return true
}
