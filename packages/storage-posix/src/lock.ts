import { spawn } from 'node:child_process'
import { constants } from 'node:fs'
import { type FileHandle, open, stat } from 'node:fs/promises'
import { errnoOf, StorageError, systemError } from '@service-fs/storage/errors'

/** The exclusive lock on a ledger directory, held until release() or until the process is gone, SIGKILL included. */
export interface DirectoryLock {
  release(): Promise<void>
}

/** open(2) with O_EXLOCK locks like flock(2), where there is such a flag. */
const O_EXLOCK = 0x20
const HAS_EXLOCK = new Set(['darwin', 'freebsd', 'netbsd', 'openbsd'])

/**
 * Locks `<dir>/lock`, or throws StorageError 'locked' with the holder's pid.
 *
 * The lock is flock(2)'s. It belongs to the open file description: on Linux util-linux `flock` takes it on a descriptor
 * that it inherits, and when the helper has ended our descriptor still holds it. Node opens with O_CLOEXEC, so that no
 * other child process inherits it. The pid in the file is for the message only.
 */
export async function lockDirectory(dir: string): Promise<DirectoryLock> {
  const path = `${dir}/lock`
  for (;;) {
    const file = await openLocked(path)
    try {
      if (await isStill(path, file)) {
        await file.truncate(0)
        await file.write(`${process.pid}\n`, 0)
        return { release: () => file.close() }
      }
    } catch (error) {
      await file.close()
      throw systemError('lock', error)
    }
    await file.close()
  }
}

async function openLocked(path: string): Promise<FileHandle> {
  const flags = constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW
  if (HAS_EXLOCK.has(process.platform)) {
    try {
      return await open(path, flags | O_EXLOCK | constants.O_NONBLOCK, 0o600)
    } catch (error) {
      if (errnoOf(error) !== 'EAGAIN') throw systemError('lock', error)
      throw refused(await holder(path))
    }
  }
  const file = await open(path, flags, 0o600).catch((error: unknown) => {
    throw systemError('lock', error)
  })
  try {
    if (await flock(file.fd)) return file
    throw refused(await holder(path))
  } catch (error) {
    await file.close()
    throw error
  }
}

/** Whether the lock was had. flock(1) exits with 1 when another holds it. */
function flock(fd: number): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const helper = spawn('flock', ['-n', '-x', '3'], { stdio: ['ignore', 'ignore', 'ignore', fd] })
    helper.once('error', (cause) => {
      const message =
        errnoOf(cause) === 'ENOENT'
          ? 'lock: the command flock (of util-linux) is not installed'
          : 'lock: flock failed'
      reject(new StorageError('io', message, { cause }))
    })
    helper.once('exit', (status, signal) => {
      if (status === 0 || status === 1) resolve(status === 0)
      else reject(new StorageError('io', `lock: flock ended with ${status ?? signal}`))
    })
  })
}

/** Whether `path` still names the file that we locked: somebody may have removed it in between. */
async function isStill(path: string, file: FileHandle): Promise<boolean> {
  const ours = await file.stat()
  const there = await stat(path).catch(() => undefined)
  return there?.ino === ours.ino && there.dev === ours.dev
}

/** The pid in a lock file, if it is one. */
async function holder(path: string): Promise<string | undefined> {
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW).catch(() => undefined)
  if (file === undefined) return undefined
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(32), 0, 32, 0)
    return /^(\d{1,20})\n/.exec(buffer.toString('latin1', 0, bytesRead))?.[1]
  } finally {
    await file.close()
  }
}

function refused(pid: string | undefined): StorageError {
  const who = pid === undefined ? 'another process' : `process ${pid}`
  return new StorageError('locked', `lock: ${who} writes to this ledger`)
}
