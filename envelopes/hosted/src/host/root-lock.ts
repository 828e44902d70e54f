/** Prevents two hosts, or a host and `service-fs tenant add`, from creating directories and choosing users in one root at once. */
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { StorageError } from '@service-fs/storage/errors'
import { type DirectoryLock, lockDirectory } from '@service-fs/storage-posix/lock'
import { HostedError } from '@service-fs/http/errors'
import { HOST_DIR } from './directories.ts'
import { Slots } from './slots.ts'

const WAIT_MS = 10_000
const RETRY_MS = 20

/** The lock of a host's root. Callers in this process wait in order; a file lock excludes other processes. */
export class RootLock {
  readonly #dir: string
  readonly #queue = new Slots(1)

  constructor(root: string) {
    this.#dir = join(root, HOST_DIR)
  }

  /** Runs `work` while holding the lock. @throws HostedError `config` when another process does not release it */
  with<T>(work: () => Promise<T>): Promise<T> {
    return this.#queue.with(async () => {
      const lock = await acquire(this.#dir)
      try {
        return await work()
      } finally {
        await lock.release()
      }
    })
  }
}

async function acquire(dir: string): Promise<DirectoryLock> {
  for (const deadline = Date.now() + WAIT_MS; ;) {
    try {
      return await lockDirectory(dir)
    } catch (error) {
      if (!(error instanceof StorageError && error.code === 'locked')) throw error
      if (Date.now() > deadline) throw new HostedError('config', `${dir}: ${error.message}`)
      await sleep(RETRY_MS)
    }
  }
}
