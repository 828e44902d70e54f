import { constants } from 'node:fs'
import { type FileHandle, stat } from 'node:fs/promises'
import { errnoOf, StorageError, systemError } from '@service-fs/storage/errors'
import { openLocked } from './flock.ts'
import { lockHolder } from './lock-holder.ts'

/** The exclusive lock on a ledger directory, held until release() or until the process is gone, SIGKILL included. */
export interface DirectoryLock {
  release(): Promise<void>
}

export interface LockOptions {
  /** Whether `lock` is made and the pid written into it. Default true; false: nothing is written. */
  readonly write?: boolean
}

/** What opening `lock` for writing fails with where it can only be read, or not even made. */
const NOT_WRITABLE = new Set(['EROFS', 'EACCES', 'EPERM', 'ENOSPC', 'EDQUOT'])

/**
 * Locks the directory itself, and `<dir>/lock` in it, or throws StorageError `locked` with the holder's pid as far as it can be told.
 *
 * The lock on the directory is what counts: no `rm` or `mv` of a file in it undoes that lock, and it needs no file system that can be
 * written. The lock on the file keeps out versions of this program that know only the file, and names the holder. On file systems
 * that can't lock a directory (NFS) the lock on the file alone holds.
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

/** Locks the file and writes the pid into it; where it can't be written, locks it as it is, if it is there. */
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

/** The pid is for messages only, and a full disk takes none. */
async function writePid(file: FileHandle): Promise<void> {
  try {
    await file.truncate(0)
    await file.write(`${process.pid}\n`, 0)
  } catch {
    // As said.
  }
}

/** Opens and locks what `path` names: somebody may have removed it, and put another in its place, between the two. */
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
