/**
 * A storage that only reads. It creates, syncs and removes nothing, not even `tmp/`, so it works on a full disk and on a read-only
 * medium.
 *
 * The data that it returns need not be durable: a process that was killed, or whose sync failed, may have left it in the page cache.
 * Sealed objects and `checkpoint` were synced before they got their names. The reader of the tail must know how much of it is durable.
 */
import { parseTailName } from '@service-fs/format/tail-text'
import { CheckedStorage, type StorageDriver } from './checked.ts'
import { StorageError, systemError } from './errors.ts'
import type { FileSystem } from './file-system.ts'
import {
  formatObjectName,
  parseTailNames,
  tailPath,
  type ObjectName,
  type ReadableName,
  type SealedName,
} from './object-name.ts'

/** Opens the ledger in `files` for reading. Every verb that writes rejects with `read-only`. */
export function openReadOnlyStorage(
  files: Pick<FileSystem, 'readFile' | 'exists' | 'list' | 'close'>,
  tailMode: 'grow' | 'each',
): CheckedStorage {
  return new CheckedStorage(new ReadOnlyDriver(files, tailMode))
}

class ReadOnlyDriver implements StorageDriver {
  readonly tailMode: 'grow' | 'each'
  readonly #files: Pick<FileSystem, 'readFile' | 'exists' | 'list' | 'close'>

  constructor(files: Pick<FileSystem, 'readFile' | 'exists' | 'list' | 'close'>, tailMode: 'grow' | 'each') {
    this.#files = files
    this.tailMode = tailMode
  }

  read(name: ReadableName, limit: number): Promise<Uint8Array | undefined> {
    const path = formatObjectName(name)
    return named(path, this.#files.readFile(path, limit))
  }

  has(name: SealedName): Promise<boolean> {
    const path = formatObjectName(name)
    return named(path, this.#files.exists(path))
  }

  /** Ignores foreign names, which a storage that is open for writing rejects. */
  async tailStarts(): Promise<number[]> {
    const names = await named('tail', this.#files.list('tail'))
    return parseTailNames(names.filter((name) => parseTailName(name) !== undefined))
  }

  async readTail(start: number, limit: number): Promise<Uint8Array> {
    const path = tailPath(start)
    const bytes = await named(path, this.#files.readFile(path, limit))
    if (bytes === undefined) throw new StorageError('no-tail', `${path}: no longer exists`)
    return bytes
  }

  seal(name: SealedName): Promise<void> {
    return refuse(name)
  }

  append(start: number): Promise<void> {
    return refuse({ kind: 'tail', start })
  }

  beginTail(start: number): Promise<void> {
    return refuse({ kind: 'tail', start })
  }

  publish(): Promise<void> {
    return refuse({ kind: 'checkpoint' })
  }

  close(): Promise<void> {
    return this.#files.close()
  }
}

function refuse(name: ObjectName): Promise<never> {
  return Promise.reject(
    new StorageError('read-only', `${formatObjectName(name)}: the storage was opened for reading only`),
  )
}

async function named<T>(path: string, call: Promise<T>): Promise<T> {
  try {
    return await call
  } catch (error) {
    throw systemError(path, error)
  }
}
