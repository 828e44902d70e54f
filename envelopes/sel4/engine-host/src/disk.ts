/** The disk of Envelope B on a Unix host: PSDB as a process, and the facts about the ledger that are needed before the bundle runs. */
import { openPsdbProcess, type PsdbProcess } from './psdb/process.ts'
import { openPsdbStorage } from '@service-fs/storage-psdb/storage'
import type { Channel } from './service.ts'

export interface DiskOptions {
  /** Path of the image. */
  disk: string
  /** Bytes of the disk. Creates the image if it does not exist. */
  size?: number | undefined
  moduleId: string
  /** Receives each line that the store reports. */
  report(line: string): void
}

export interface Disk {
  readonly channel: Channel
  /** The contents of `origin`; undefined if the disk has no ledger of this tenant. */
  readonly origin: string | undefined
  /** Whether the ledger and its audit sub-ledger have a checkpoint. */
  readonly isBegun: { main: boolean; audit: boolean }
  /** Closes the store after it has finished the requests under way. */
  close(): Promise<void>
}

/** How long to wait for the store of a killed daemon. It ends when it has written the requests that it received. */
const LOCKED_MS = 3000
const RETRY_MS = 100

/**
 * Opens a disk image.
 * @throws PsdbHostError `not-built`; StorageError `locked` (another process has it), `corrupt`, `io`
 */
export async function openDisk(options: DiskOptions): Promise<Disk> {
  const { moduleId } = options
  const store = await openStore(options)
  try {
    const client = store.client(moduleId)
    const main = openPsdbStorage(client, 'main')
    const audit = openPsdbStorage(client, 'audit')
    const origin = await main.read({ kind: 'origin' })
    const isBegun = {
      main: (await main.read({ kind: 'checkpoint' })) !== undefined,
      audit: (await audit.read({ kind: 'checkpoint' })) !== undefined,
    }
    return {
      channel: store.channel(moduleId),
      origin: origin === undefined ? undefined : Buffer.from(origin).toString().replace(/\n$/, ''),
      isBegun,
      close: () => store.close(),
    }
  } catch (error) {
    await store.close().catch(() => undefined)
    throw error
  }
}

async function openStore(options: DiskOptions): Promise<PsdbProcess> {
  const { disk, size } = options
  const tenants = [options.moduleId]
  const report = (line: string): void => options.report(line)
  const until = Date.now() + LOCKED_MS
  for (;;) {
    try {
      return await openPsdbProcess({ disk, tenants, report, ...(size === undefined ? {} : { size }) })
    } catch (error) {
      const isLocked = error instanceof Error && 'code' in error && error.code === 'locked'
      if (!isLocked || Date.now() >= until) throw error
      await new Promise((resolve) => void setTimeout(resolve, RETRY_MS))
    }
  }
}
