/** A copy in a directory, which is locked while it is open. */
import { readdir, rmdir, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { asFileError } from '@service-fs/client/errors'
import { directoryFiles } from '@service-fs/client/ledger-files'
import type { StorageCapability } from '@service-fs/storage/capability'
import { lockLedger, openPosixStorage } from '@service-fs/storage-posix/posix'
import type { CopyForm, CopyPlace, LogFolder } from './copy-place.ts'
import { endWithPartialTiles, endWithTail } from './tree-end.ts'

export function directoryPlace(dir: string, form: CopyForm): CopyPlace {
  const open = new Map<LogFolder, StorageCapability>()
  let lock: { release(): Promise<void> } | undefined
  return {
    form,
    files: directoryFiles(dir),
    async open(folder) {
      // The lock of the ledger's directory covers its audit sub-ledger.
      lock ??= await lockLedger(dir, { write: true })
      const storage = await openPosixStorage(join(dir, folder), { lock: false })
      open.set(folder, storage)
      return storage
    },
    end: (folder, storage, tree, note) =>
      form === 'ledger'
        ? endWithTail(storage, tree, note)
        : endWithPartialTiles(join(dir, folder), storage, tree, note),
    async close() {
      for (const storage of open.values()) await storage.close()
      if (lock === undefined) return
      try {
        if (form === 'export') await asFileError(() => removeWorkingFiles(dir, [...open.keys()]))
      } finally {
        await lock.release()
      }
    },
  }
}

/** Removes the working files from an export. */
async function removeWorkingFiles(dir: string, folders: readonly LogFolder[]): Promise<void> {
  for (const folder of folders) await removeEmpty(join(dir, folder, 'tmp'))
  await unlink(join(dir, 'lock'))
}

async function removeEmpty(dir: string): Promise<void> {
  for (const name of await readdir(dir)) await unlink(join(dir, name))
  await rmdir(dir)
}
