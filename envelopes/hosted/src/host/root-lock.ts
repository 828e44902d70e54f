/** One at a time makes directories and chooses users below a root: this process, another host, `service-fs tenant add`. */
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { StorageError } from '@service-fs/storage/errors'
import { type DirectoryLock, lockDirectory } from '@service-fs/storage-posix/lock'
import { HostedError } from '@service-fs/http/errors'
import { HOST_DIR } from './directories.ts'
import { Slots } from './slots.ts'

const WAIT_MS = 10_000
const RETRY_MS = 20

const here = new Slots(1)

/** Does `work` while nobody else does any. @throws HostedError `config`: somebody else does not end */
export function withRootLock<T>(root: string, work: () => Promise<T>): Promise<T> {
  return here.with(async () => {
    const lock = await acquire(join(root, HOST_DIR))
    try {
      return await work()
    } finally {
      await lock.release()
    }
  })
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
