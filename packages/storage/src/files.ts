/**
 * A storage driver over a file system: the order of the steps that make each verb atomic and durable. storage-posix runs the steps
 * on Node's file system; faulty.ts runs them on a simulated one that loses power between any two of them.
 */
import { CheckedStorage, type StorageDriver } from './checked.ts'
import { errnoOf, StorageError, systemError } from './errors.ts'
import type { FileSystem, TailHandle } from './file-system.ts'
import { Limiter, SharedRuns } from './limiter.ts'
import { sameBytes } from './memory.ts'
import {
  formatObjectName,
  MAX_BUNDLE_BYTES,
  maxBytes,
  parseTailNames,
  tailPath,
  type ReadableName,
  type SealedName,
} from './object-name.ts'

/** Mode of a sealed file. */
const SEALED = 0o444
/** Mode of a tail file and of the checkpoint. */
const WRITABLE = 0o600
/** Seals use at most this many of Node's four pool threads at a time, which leaves one free for a commit's sync. */
const SEAL_WIDTH = 3

/** Errors of opening a file, which neither writing nor syncing returns: nothing was written or synced. */
const NOT_OPENED: ReadonlySet<string> = new Set(['ENOENT', 'ELOOP', 'ENOTDIR', 'EACCES', 'EMFILE', 'ENFILE'])

/** Errors of rmdir for a missing directory, or for one with files, an attribute, another owner or a file system of its own. */
const NOT_REMOVED: ReadonlySet<string> = new Set([
  'ENOENT',
  'ENOTEMPTY',
  'EEXIST',
  'ENOTDIR',
  'EBUSY',
  'EPERM',
  'EACCES',
  'EROFS',
])

export interface FileStorageOptions {
  /** Bytes of the hashes in tiles. Default: 32. */
  readonly hashBytes?: number | undefined
  /** How many seals run at a time. Default: 3 of Node's four pool threads. */
  readonly sealWidth?: number | undefined
}

/** Opens the ledger in `files`: creates `tmp/` and removes the files that an earlier process left there. The caller holds the lock. */
export async function openFileStorage(
  files: FileSystem,
  tailMode: 'grow' | 'each',
  { hashBytes, sealWidth = SEAL_WIDTH }: FileStorageOptions = {},
): Promise<CheckedStorage> {
  const driver = new FileDriver(files, tailMode, sealWidth)
  await driver.open()
  return new CheckedStorage(driver, hashBytes)
}

class FileDriver implements StorageDriver {
  readonly tailMode: 'grow' | 'each'
  readonly keepsTail: boolean
  readonly #files: FileSystem
  readonly #seals: Limiter
  readonly #dirSyncs: SharedRuns
  /** Directories that exist, durably. */
  readonly #made = new Map<string, Promise<void>>()
  /** Directories whose names this process has made durable, including names that a killed process left in them. */
  readonly #settled = new Map<string, Promise<void>>()
  /** By path, the running seal: the next seal of that path waits for it. */
  readonly #sealing = new Map<string, Promise<void>>()
  #temporaries = 0
  /** Older tail files that are being removed. */
  #removing: Promise<unknown> = Promise.resolve()
  #handle: { path: string; file: TailHandle } | undefined
  /** Set by the first failed append or sync: the content of the disk is then unknown, so every later write is rejected. */
  #stopped: StorageError | undefined

  constructor(files: FileSystem, tailMode: 'grow' | 'each', sealWidth: number) {
    this.#files = files
    this.#seals = new Limiter(sealWidth)
    this.#dirSyncs = new SharedRuns(this.#seals, (dir) => this.#sync(dir, () => this.#files.syncDir(dir)))
    this.tailMode = tailMode
    this.keepsTail = files.protection !== undefined
  }

  async open(): Promise<void> {
    await this.#makeDir('tmp')
    for (const name of await named('tmp', this.#files.list('tmp'))) {
      await named(`tmp/${name}`, this.#removeLeft(name))
    }
  }

  async read(name: ReadableName, limit: number): Promise<Uint8Array | undefined> {
    const path = formatObjectName(name)
    if (!(await this.#settle(parent(path)))) return undefined
    return named(path, this.#files.readFile(path, limit))
  }

  async has(name: SealedName): Promise<boolean> {
    const path = formatObjectName(name)
    return (await this.#settle(parent(path))) && (await named(path, this.#files.exists(path)))
  }

  /** create tmp · link it into place (EEXIST: compare, then rename over it) · sync the directory · unlink tmp · protect */
  async seal(name: SealedName, bytes: Uint8Array): Promise<void> {
    const path = formatObjectName(name)
    if (this.#files.protection === undefined) return this.#seal(path, bytes)
    // A file has two names while it is being sealed. A file with an attribute must have one.
    const done = (this.#sealing.get(path) ?? Promise.resolve()).then(() => this.#seal(path, bytes))
    const settled = done.catch(() => undefined)
    this.#sealing.set(path, settled)
    try {
      await done
    } finally {
      if (this.#sealing.get(path) === settled) this.#sealing.delete(path)
    }
  }

  async #seal(path: string, bytes: Uint8Array): Promise<void> {
    this.#checkWritable()
    const dir = parent(path)
    const temporary = this.#temporary()
    let isInPlace = false
    try {
      await this.#seals.run(async () => {
        await this.#makeDir(dir)
        this.#checkWritable()
        await named(temporary, this.#files.create(temporary, bytes, SEALED))
        if (await this.#link(temporary, path)) return
        await this.#checkSame(path, bytes)
        isInPlace = await this.#takeOver(temporary, path)
      })
      await this.#dirSyncs.run(dir)
    } finally {
      if (!isInPlace) await this.#discard(temporary)
    }
    await this.#protect('sealed', path)
  }

  async tailStarts(): Promise<number[]> {
    return (await this.#settle('tail')) ? parseTailNames(await named('tail', this.#files.list('tail'))) : []
  }

  async renew(name: SealedName): Promise<void> {
    const path = formatObjectName(name)
    const bytes = await named(path, this.#files.readFile(path, maxBytes(name)))
    if (bytes === undefined) throw new StorageError('corrupt', `${path}: no longer exists`)
    await this.seal(name, bytes)
  }

  async readTail(start: number, limit: number, isNewest: boolean): Promise<Uint8Array> {
    const path = tailPath(start)
    const bytes = await named(path, this.#files.readFile(path, limit))
    if (bytes === undefined) throw new StorageError('no-tail', `${path}: no longer exists`)
    // The program that copied the ledger here may not have synced it.
    if (!isNewest) await this.#sync(path, () => this.#files.syncFile(path))
    else if (this.tailMode === 'each') await this.#replace(path, bytes)
    return bytes
  }

  /** one write · one sync of the data */
  async append(start: number, length: number, bytes: Uint8Array): Promise<void> {
    this.#checkWritable()
    const path = tailPath(start)
    const file = await this.#openTail(path, length)
    await this.#sync(path, () => file.append(length, bytes))
  }

  /** create tmp · rename it into tail/ · sync tail/ · protect · unlink the older files */
  async beginTail(start: number, _size: number, bytes: Uint8Array, older: readonly number[]): Promise<void> {
    this.#checkWritable()
    const path = tailPath(start)
    await this.#makeDir('tail')
    await this.#replaceTail(path, bytes)
    await this.#closeTail()
    await this.#protect('tail', path)
    const removing = Promise.all(older.map((old) => this.#removeTail(tailPath(old), path)))
    // Releasing a file can take long, and no commit depends on it.
    if (this.#files.protection === undefined) await removing
    else this.#removing = Promise.all([this.#removing, removing])
  }

  async #replaceTail(path: string, bytes: Uint8Array): Promise<void> {
    try {
      await this.#replace(path, bytes)
    } catch (error) {
      if (!this.keepsTail || !(error instanceof StorageError) || errnoOf(error.cause) !== 'EPERM') throw error
      throw new StorageError('conflict', `${path}: exists and is append-only`, { cause: error })
    }
  }

  /** create tmp · rename it over `checkpoint` · sync the directory */
  async publish(checkpoint: Uint8Array): Promise<void> {
    this.#checkWritable()
    await this.#replace('checkpoint', checkpoint)
  }

  async close(): Promise<void> {
    await this.#removing
    await this.#closeTail()
    await this.#files.close()
  }

  async #protect(as: 'sealed' | 'tail', path: string): Promise<void> {
    const { protection } = this.#files
    if (protection !== undefined) await named(path, protection[as](path))
  }

  /** Ignores failures: tail() skips a file that remains, and the next beginTail() removes it. */
  async #removeTail(path: string, newer: string): Promise<void> {
    try {
      await this.#files.protection?.release(path, newer)
      await this.#files.unlink(path)
    } catch {
      // See above.
    }
  }

  /**
   * Removes a file that an earlier process left in tmp/. After a power cut a protected file may have its second name there again:
   * that name cannot be removed, so its number is not reused.
   */
  async #removeLeft(name: string): Promise<void> {
    try {
      await this.#files.unlink(`tmp/${name}`)
    } catch (error) {
      if (this.#files.protection === undefined || errnoOf(error) !== 'EPERM') throw error
      this.#temporaries = Math.max(this.#temporaries, Number(name) || 0)
    }
  }

  async #replace(path: string, bytes: Uint8Array): Promise<void> {
    const temporary = this.#temporary()
    try {
      await named(temporary, this.#files.create(temporary, bytes, WRITABLE))
      await named(path, this.#files.rename(temporary, path))
    } catch (error) {
      await this.#discard(temporary)
      throw error
    }
    const dir = parent(path)
    await this.#sync(dir, () => this.#files.syncDir(dir))
  }

  /** Returns false when the name is taken. */
  async #link(temporary: string, path: string): Promise<boolean> {
    try {
      await this.#files.link(temporary, path)
      return true
    } catch (error) {
      if (errnoOf(error) === 'EEXIST') return false
      throw systemError(path, error)
    }
  }

  /** Ignores failures: the next start removes files that stay in tmp/. */
  async #discard(path: string): Promise<void> {
    await this.#files.unlink(path).catch(() => undefined)
  }

  async #checkSame(path: string, bytes: Uint8Array): Promise<void> {
    const sealed = await named(path, this.#files.readFile(path, MAX_BUNDLE_BYTES))
    if (sealed === undefined || !sameBytes(sealed, bytes)) {
      throw new StorageError('conflict', `${path}: other bytes are sealed`)
    }
  }

  /**
   * Renames a durable file over one with the same bytes, so that this process makes the name and syncs it: another process may have
   * made the old name, and its sync may have failed. Returns false for a file with an attribute, which stays; see Protection.
   */
  async #takeOver(temporary: string, path: string): Promise<boolean> {
    try {
      await this.#files.rename(temporary, path)
      return true
    } catch (error) {
      if (errnoOf(error) !== 'EPERM') throw systemError(path, error)
      await this.#sync(path, () => this.#files.syncFile(path))
      return false
    }
  }

  async #openTail(path: string, length: number): Promise<TailHandle> {
    if (this.#handle?.path === path) return this.#handle.file
    await this.#closeTail()
    // The process that began the file may have been unable to protect it, or may have been killed before.
    await this.#protect('tail', path)
    const file = await named(path, this.#files.openTail(path))
    this.#handle = { path, file }
    if (file.length !== length) {
      await this.#closeTail()
      throw new StorageError('corrupt', `${path}: expected ${length} bytes, found ${file.length}`)
    }
    return file
  }

  async #closeTail(): Promise<void> {
    const handle = this.#handle
    this.#handle = undefined
    if (handle !== undefined) await named(handle.path, handle.file.close())
  }

  /**
   * Creates a directory and its parents, durably and once. An empty directory is created again: the process that created it may have
   * ended when the sync of its name failed. A directory with files in it was synced before they were written.
   */
  #makeDir(dir: string): Promise<void> {
    if (dir === '') return Promise.resolve()
    return once(this.#made, dir, async () => {
      await this.#makeDir(parent(dir))
      try {
        await this.#files.removeDir(dir)
      } catch (error) {
        // After any other error the directory may be empty, with a name that was never synced.
        if (!NOT_REMOVED.has(errnoOf(error) ?? '')) throw systemError(dir, error)
      }
      try {
        await this.#files.makeDir(dir)
      } catch (error) {
        if (errnoOf(error) !== 'EEXIST') throw systemError(dir, error)
        return this.#settleDir(dir)
      }
      await this.#sync(parent(dir), () => this.#files.syncDir(parent(dir)))
      this.#settled.set(parent(dir), Promise.resolve())
      this.#settled.set(dir, Promise.resolve())
    })
  }

  /**
   * Like #settleDir(), but returns false when there is no such directory. Once writing has stopped, skips the sync, so reads still
   * work.
   */
  async #settle(dir: string): Promise<boolean> {
    if (this.#stopped !== undefined) return true
    try {
      await this.#settleDir(dir)
      return true
    } catch (error) {
      if (error instanceof StorageError && errnoOf(error.cause) === 'ENOENT') return false
      throw error
    }
  }

  /**
   * Makes the names in a directory and in its parents durable, once. A killed process may have left names that a power cut would
   * still undo.
   */
  #settleDir(dir: string): Promise<void> {
    return once(this.#settled, dir, async () => {
      if (dir !== '') await this.#settleDir(parent(dir))
      await this.#sync(dir, () => this.#files.syncDir(dir))
    })
  }

  /** Never retries a failed sync: the kernel may have dropped the unwritten data, and a retry would then succeed. */
  async #sync(path: string, sync: () => Promise<void>): Promise<void> {
    this.#checkWritable()
    try {
      await sync()
    } catch (error) {
      throw this.#stop(path, error)
    }
  }

  #stop(path: string, error: unknown): StorageError {
    const failure = systemError(path === '' ? '.' : path, error)
    if (!NOT_OPENED.has(errnoOf(error) ?? '')) this.#stopped ??= failure
    return failure
  }

  #checkWritable(): void {
    if (this.#stopped === undefined) return
    const message = `writing stopped after an error: ${this.#stopped.message}`
    throw new StorageError('io', message, { cause: this.#stopped })
  }

  #temporary(): string {
    return `tmp/${++this.#temporaries}`
  }
}

/** Calls `make` once per key and returns its promise. A rejected promise is forgotten, so that the next call tries again. */
function once<T>(made: Map<string, Promise<T>>, key: string, make: () => Promise<T>): Promise<T> {
  const known = made.get(key)
  if (known !== undefined) return known
  const promise = make()
  made.set(key, promise)
  promise.catch(() => made.delete(key))
  return promise
}

async function named<T>(path: string, call: Promise<T>): Promise<T> {
  try {
    return await call
  } catch (error) {
    throw systemError(path, error)
  }
}

/** Returns the directory of a path; '' at the top. */
function parent(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf('/')))
}
