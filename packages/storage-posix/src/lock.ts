import { constants } from 'node:fs'
import { type FileHandle, stat } from 'node:fs/promises'
import { errnoOf, StorageError, systemError } from '@service-fs/storage/errors'
import { openLocked } from './flock.ts'
import { lockHolder } from './lock-holder.ts'

/** The exclusive lock on a ledger directory, held until release() or the end of the process, even by SIGKILL. */
export interface DirectoryLock {
  release(): Promise<void>
}

export interface LockOptions {
  /** Whether to create the file `lock` and write the pid into it. Default true; false writes nothing. */
  readonly write?: boolean
}

/** Errors of open(2) when `lock` can be read but not written, or cannot be created. */
const NOT_WRITABLE = new Set(['EROFS', 'EACCES', 'EPERM', 'ENOSPC', 'EDQUOT'])

/**
 * Locks the directory itself, and the file `<dir>/lock` in it. @throws StorageError `locked`, with the holder's pid if it can be found
 *
 * The lock on the directory is the one that counts: removing or renaming a file in the directory does not affect it, and it works
 * on a read-only file system. The lock on the file excludes versions of this program that lock only the file, and the file names
 * the holder. On file systems that cannot lock a directory (NFS), only the file is locked.
 */
export async function lockDirectory(dir: string, options: LockOptions = {}): Promise<DirectoryLock> {
  const held: FileHandle[] = []
  const release = async (): Promise<void> => {
    for (const file of held.splice(0)) await file.close()
  }
  try {
    const itself = await openStill(dir, constants.O_RDONLY | constants.O_DIRECTORY)
    if (itself === 'held') throw await refused(dir)
    if (itself !== 'unsupported') held.push(itself)
    const file = await lockFile(`${dir}/lock`, options.write ?? true)
    if (file === 'held') throw await refused(dir)
    if (file !== 'unsupported') held.push(file)
    if (held.length === 0)
      throw new StorageError('io', 'lock: this file system locks neither a directory nor a file')
    return { release }
  } catch (error) {
    await release()
    throw systemError('lock', error)
  }
}

/** Locks the file and writes the pid into it. If the file cannot be written, locks the existing one, if any. */
async function lockFile(path: string, write: boolean): Promise<FileHandle | 'held' | 'unsupported'> {
  if (write) {
    try {
      const file = await openStill(path, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW)
      if (typeof file !== 'string') await writePid(file)
      return file
    } catch (error) {
      if (!NOT_WRITABLE.has(errnoOf(error) ?? '')) throw error
    }
  }
  try {
    return await openStill(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return 'unsupported'
    throw error
  }
}

/** Writes the pid, which is for messages only. A full disk may reject it. */
async function writePid(file: FileHandle): Promise<void> {
  try {
    await file.truncate(0)
    await file.write(`${process.pid}\n`, 0)
  } catch {
    // See above.
  }
}

/** Opens and locks `path`. Tries again when the file was replaced between opening and locking. */
async function openStill(path: string, flags: number): Promise<FileHandle | 'held' | 'unsupported'> {
  for (;;) {
    const file = await openLocked(path, flags)
    if (typeof file === 'string' || (await isStill(path, file))) return file
    await file.close()
  }
}

async function isStill(path: string, file: FileHandle): Promise<boolean> {
  const ours = await file.stat()
  const there = await stat(path).catch(() => undefined)
  return there?.ino === ours.ino && there.dev === ours.dev
}

async function refused(dir: string): Promise<StorageError> {
  const pid = await lockHolder(dir)
  const who = pid === undefined ? 'another process' : `process ${pid}`
  return new StorageError('locked', `lock: ${who} writes to this ledger`)
}
