/** Takes an exclusive flock(2) on a file or a directory, without waiting. */
import { spawn } from 'node:child_process'
import { constants } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { errnoOf, StorageError, systemError } from '@service-fs/storage/errors'

/** On the BSDs, open(2) with O_EXLOCK locks like flock(2). */
const O_EXLOCK = 0x20
const HAS_EXLOCK = new Set(['darwin', 'freebsd', 'netbsd', 'openbsd'])

/** Exit statuses of flock(1): another process has the lock; the file cannot be locked. */
const IS_HELD = 1
const EX_DATAERR = 65

/** Errors of open(2) with O_EXLOCK on a file system without locks. */
const CANNOT_LOCK = new Set(['EOPNOTSUPP', 'ENOTSUP', 'EINVAL'])

/**
 * Opens `path` and locks it. Returns `held` when another process has the lock, and `unsupported` when the file system cannot lock the
 * file: NFS, for example, cannot lock a file that is not open for writing.
 * @throws the error of open(2); StorageError `io` when flock(1) is not installed or fails otherwise
 */
export async function openLocked(path: string, flags: number): Promise<FileHandle | 'held' | 'unsupported'> {
  return HAS_EXLOCK.has(process.platform) ? openExclusive(path, flags) : openThenLock(path, flags)
}

async function openExclusive(path: string, flags: number): Promise<FileHandle | 'held' | 'unsupported'> {
  try {
    return await open(path, flags | O_EXLOCK | constants.O_NONBLOCK, 0o600)
  } catch (error) {
    const errno = errnoOf(error) ?? ''
    if (errno === 'EAGAIN') return 'held'
    if (CANNOT_LOCK.has(errno)) return 'unsupported'
    throw error
  }
}

/**
 * Locks with the command `flock` of util-linux, which inherits our descriptor. The lock belongs to the open file description, so our
 * descriptor still holds it after the command has ended. Node opens with O_CLOEXEC, so no other child process inherits the descriptor.
 */
async function openThenLock(path: string, flags: number): Promise<FileHandle | 'held' | 'unsupported'> {
  const file = await open(path, flags, 0o600)
  try {
    const status = await flock(file.fd)
    if (status === 0) return file
    await file.close()
    return status === IS_HELD ? 'held' : 'unsupported'
  } catch (error) {
    await file.close()
    throw error
  }
}

function flock(fd: number): Promise<0 | typeof IS_HELD | typeof EX_DATAERR> {
  return new Promise((resolve, reject) => {
    const helper = spawn('flock', ['-n', '-x', '3'], { stdio: ['ignore', 'ignore', 'ignore', fd] })
    helper.once('error', (cause) => {
      const isMissing = errnoOf(cause) === 'ENOENT'
      const message = isMissing ? 'lock: the command flock (of util-linux) is not installed' : undefined
      reject(message === undefined ? systemError('lock', cause) : new StorageError('io', message, { cause }))
    })
    helper.once('exit', (status, signal) => {
      if (status === 0 || status === IS_HELD || status === EX_DATAERR) resolve(status)
      else reject(new StorageError('io', `lock: flock ended with ${status ?? signal}`))
    })
  })
}
