/**
 * A storage that only reads: nothing is made, synced or removed, `tmp/` included. It works on a full disk and on a read-only medium.
 *
 * What it reads need not be durable: a process that was killed, or whose sync failed, may have left it in the page cache. Sealed
 * objects and `checkpoint` were synced before they got their names; whoever reads the tail has to know how far it counts.
 */
import { parseTailName } from '@service-fs/format/tail-text'
import { CheckedStorage, type StorageDriver } from './checked.ts'
import { StorageError, systemError } from './errors.ts'
import type { FileSystem } from './file-system.ts'

/** Opens the ledger in `files` for reading; every verb that writes rejects with `read-only`. */
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

  read(path: string, limit: number): Promise<Uint8Array | undefined> {
    return named(path, this.#files.readFile(path, limit))
  }

  has(path: string): Promise<boolean> {
    return named(path, this.#files.exists(path))
  }

  /** A foreign name is nothing to read. Whoever opens the ledger for writing is refused because of it. */
  async tailNames(): Promise<string[]> {
    const names = await named('tail', this.#files.list('tail'))
    return names.filter((name) => parseTailName(name) !== undefined)
  }

  async readTail(name: string, limit: number): Promise<Uint8Array> {
    const bytes = await named(`tail/${name}`, this.#files.readFile(`tail/${name}`, limit))
    if (bytes === undefined) throw new StorageError('no-tail', `tail/${name}: is gone`)
    return bytes
  }

  seal(path: string): Promise<void> {
    return refuse(path)
  }

  append(name: string): Promise<void> {
    return refuse(`tail/${name}`)
  }

  beginTail(name: string): Promise<void> {
    return refuse(`tail/${name}`)
  }

  publish(): Promise<void> {
    return refuse('checkpoint')
  }

  close(): Promise<void> {
    return this.#files.close()
  }
}

function refuse(path: string): Promise<never> {
  return Promise.reject(new StorageError('read-only', `${path}: the storage was opened for reading only`))
}

async function named<T>(path: string, call: Promise<T>): Promise<T> {
  try {
    return await call
  } catch (error) {
    throw systemError(path, error)
  }
}
