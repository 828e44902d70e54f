/**
 * A copy in an S3 store: the files of a mirror as objects. Nothing locks the place: sealed objects are created and never replaced, and the
 * few others are replaced only in the version that this process read or wrote. Of two processes that write, one therefore fails.
 */
import type { LedgerFiles } from '@service-fs/client/ledger-files'
import type { S3Objects } from '@service-fs/s3/objects'
import { CheckedStorage } from '@service-fs/storage/checked'
import { asStoreError } from '../s3/store-errors.ts'
import { readerOf, storeFiles } from '../s3/store-files.ts'
import type { CopyPlace } from './copy-place.ts'
import { StoreDriver } from './store-driver.ts'
import { endWithTail } from './tree-end.ts'
import { Versions } from './versions.ts'

export function storePlace(objects: S3Objects): CopyPlace {
  const versions = new Versions(objects)
  const files = trackedFiles(objects, versions)
  return {
    form: 'ledger',
    files,
    async open(folder) {
      const name = folder === '' ? 'origin' : `${folder}/origin`
      await asStoreError(async () => {
        await objects.checkBucket()
        // The objects of a copy that was begun without locks would stay without them.
        if (await objects.has(name)) await objects.checkLock(name)
      })
      return new CheckedStorage(new StoreDriver(objects, versions, folder))
    },
    end: (_, storage, tree, note) => endWithTail(storage, tree, note),
    // A request without an answer may have had its effect, so the next run reads again what it continues.
    forget: () => versions.forget(),
    close: async () => undefined,
  }
}

/** Returns the files of the place. Reading one of those that are replaced remembers its version. */
function trackedFiles(objects: S3Objects, versions: Versions): LedgerFiles {
  const reader = readerOf(objects)
  return storeFiles({
    ...reader,
    read: (name, most) => (isReplaced(name) ? versions.read(name, most) : reader.read(name, most)),
  })
}

function isReplaced(name: string): boolean {
  return /^(?:audit\/)?(?:checkpoint$|tail\/)/.test(name)
}
