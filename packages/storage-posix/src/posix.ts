/**
 * A ledger directory on a POSIX file system. @service-fs/storage/files defines the order of the steps. The verbs
 * make these system calls, with paths relative to the ledger directory. Syncs and most other calls run in Node's thread pool.
 * Opening, creating, writing, linking, unlinking and closing a file usually changes only the kernel's memory, so these calls run at once: a
 * pool thread would cost more than the call. Reads, too, run at once while they find their data in memory (read-pace.ts).
 *
 *     seal       rmdir(dir), mkdir(dir, 0700) and fsync of its parent, for each directory that is new to this process, from the top
 *                openat(tmp/N, O_WRONLY|O_CREAT|O_EXCL|O_NOFOLLOW, 0600)  write  fchmod(0444)  fsync  close
 *                link(tmp/N, path)             EEXIST: read path, compare, rename(tmp/N, path), continue
 *                openat(dir, O_RDONLY|O_DIRECTORY|O_NOFOLLOW)  fsync  close       one for all seals that linked before it
 *                unlink(tmp/N)
 *     commit     pwrite(tail/START)  fdatasync        the file is kept open: openat(O_WRONLY|O_NOFOLLOW) at the first commit
 *     beginTail  openat(tmp/N, …, 0600)  write  fsync  close
 *                rename(tmp/N, tail/START)
 *                openat(tail, O_DIRECTORY)  fsync  close
 *                unlink of the older files in tail/
 *     publish    openat(tmp/N, …, 0600)  write  fsync  close
 *                rename(tmp/N, checkpoint)
 *                openat(., O_DIRECTORY)  fsync  close
 *     tail       openat(tail/START, O_RDONLY|O_NOFOLLOW)  fstat  read  close; of all but the newest: openat  fsync  close
 *     read       openat(path, O_RDONLY|O_NOFOLLOW)  fstat  read  close; before it, the first time in a directory, its fsync
 *
 * After a failed write to the tail or a failed sync, this process writes no more; it still reads. The file system must support hard
 * links, and its sync must reach the medium.
 *
 * With flags (flags.ts) a file is made immutable at the end of seal, and a tail file is made append-only before the older ones are removed.
 */
import * as callback from 'node:fs'
import {
  closeSync,
  constants,
  fchmodSync,
  fstatSync,
  linkSync,
  openSync,
  readSync,
  unlinkSync,
  writeSync,
} from 'node:fs'
import * as fs from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { promisify } from 'node:util'
import type { StorageCapability } from '@service-fs/storage/capability'
import { errnoOf, StorageError, systemError } from '@service-fs/storage/errors'
import type { FileSystem, Protection, TailHandle } from '@service-fs/storage/file-system'
import { openFileStorage, type FileStorageOptions } from '@service-fs/storage/files'
import { openReadOnlyStorage } from '@service-fs/storage/read-only'
import type { FileFlags } from './flags.ts'
import { type DirectoryLock, lockDirectory, type LockOptions } from './lock.ts'
import { FlaggedFiles, flagsFound } from './protection.ts'
import { ReadPace } from './read-pace.ts'

export interface PosixOptions extends FileStorageOptions {
  /** Whether to take the directory's lock. Default true; false when the caller holds it, as for the audit sub-ledger. */
  readonly lock?: boolean
  /** Whether to sync. Default true; false is for tests that need no durability. */
  readonly sync?: boolean
  /** Sets file attributes on sealed objects and on the tail. Default: sets none, but works with existing ones. */
  readonly flags?: FileFlags | undefined
  /** Called with the duration of every successful sync: of the tail's data, of a whole file, or of a directory's names. */
  readonly synced?: (what: Synced, milliseconds: number) => void
}

export type Synced = 'tail' | 'file' | 'directory'

/**
 * Opens the ledger in `dir`, created with mode 0700 when it does not exist, and removes the files that an earlier process left in tmp/.
 * @throws StorageError `locked` when another process has it open, `full`, `io`, `corrupt`
 */
export async function openPosixStorage(dir: string, options: PosixOptions = {}): Promise<StorageCapability> {
  const sync = syncer(options)
  const root = await makeRoot(resolve(dir), sync)
  const lock = (options.lock ?? true) ? await lockDirectory(root) : undefined
  try {
    const flags = options.flags ?? (await flagsFound(root))
    return await openFileStorage(new PosixFiles(root, sync, lock, flags), 'grow', options)
  } catch (error) {
    await lock?.release()
    throw error
  }
}

/**
 * Opens the ledger in `dir` for reading. It creates, syncs and removes nothing, so it works on a full disk and on a read-only medium.
 * The caller holds the lock. See openReadOnlyStorage() for how much of the data is durable.
 * @throws StorageError `io`, `corrupt`
 */
export async function openPosixReadOnly(dir: string): Promise<StorageCapability> {
  const root = await fs.realpath(dir).catch((error: unknown) => {
    throw systemError('.', error)
  })
  return openReadOnlyStorage(new PosixFiles(root, syncer({ sync: false }), undefined, undefined), 'grow')
}

/**
 * Locks the ledger in `dir`, for a storage that is opened without a lock. With `write`, creates the directory with mode 0700 when
 * it does not exist; without it, writes nothing.
 * @throws StorageError `locked` when another process has it open, `full`, `read-only`, `io`
 */
export async function lockLedger(dir: string, options: Required<LockOptions>): Promise<DirectoryLock> {
  if (!options.write) return lockDirectory(dir, options)
  return lockDirectory(await makeRoot(resolve(dir), syncer({})), options)
}

/** Creates the directory and its parents, durably; returns its path without symbolic links. */
async function makeRoot(dir: string, sync: Sync): Promise<string> {
  try {
    await makeDirs(dir, sync)
    const root = await fs.realpath(dir)
    // Sync even an existing directory: the process that created it may have been killed before its sync. A process that
    // cannot read the parent directory did not create it.
    await orUndefined('EACCES', syncDirectory(dirname(root), sync))
    return root
  } catch (error) {
    throw systemError('.', error)
  }
}

async function makeDirs(dir: string, sync: Sync): Promise<void> {
  try {
    await fs.mkdir(dir, 0o700)
  } catch (error) {
    if (errnoOf(error) === 'EEXIST') return
    if (errnoOf(error) !== 'ENOENT') throw error
    await makeDirs(dirname(dir), sync)
    await syncDirectory(await fs.realpath(dirname(dirname(dir))), sync)
    await fs.mkdir(dir, 0o700)
  }
}

// Plain file descriptors: a FileHandle costs several times as much, and sealing opens many.
const open = promisify(callback.open)
const fsync = promisify(callback.fsync)
const fdatasync = promisify(callback.fdatasync)
const read = promisify(callback.read)

type Sync = (what: Synced, fd: number) => Promise<void>

/** Returns the function that syncs, or one that does nothing. */
function syncer({ sync = true, synced }: PosixOptions): Sync {
  if (!sync) return () => Promise.resolve()
  return async (what, fd) => {
    const started = performance.now()
    await (what === 'tail' ? fdatasync(fd) : fsync(fd))
    synced?.(what, performance.now() - started)
  }
}

const READ = constants.O_RDONLY | constants.O_NOFOLLOW
const CREATE = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW
const OWNER_ONLY = 0o600

class PosixFiles implements FileSystem {
  readonly #root: string
  readonly #sync: Sync
  readonly #lock: DirectoryLock | undefined
  readonly #pace = new ReadPace()
  readonly protection?: Protection

  constructor(root: string, sync: Sync, lock: DirectoryLock | undefined, flags: FileFlags | undefined) {
    this.#root = root
    this.#sync = sync
    this.#lock = lock
    if (flags !== undefined) this.protection = new FlaggedFiles(root, flags)
  }

  async readFile(path: string, limit: number): Promise<Uint8Array | undefined> {
    const fd = openOrUndefined(this.#path(path))
    if (fd === undefined) return undefined
    try {
      return await readAll(fd, path, limit, this.#pace)
    } finally {
      closeSync(fd)
    }
  }

  async exists(path: string): Promise<boolean> {
    const stats = await orUndefined('ENOENT', fs.lstat(this.#path(path)))
    if (stats === undefined || stats.isFile()) return stats !== undefined
    throw new StorageError('corrupt', `${path}: not a regular file`)
  }

  async list(dir: string): Promise<string[]> {
    return (await orUndefined('ENOENT', fs.readdir(this.#path(dir)))) ?? []
  }

  async create(path: string, bytes: Uint8Array, mode: number): Promise<void> {
    const fd = openSync(this.#path(path), CREATE, OWNER_ONLY)
    try {
      for (let at = 0; at < bytes.length;) at += progress(writeSync(fd, bytes, at, bytes.length - at))
      if (mode !== OWNER_ONLY) fchmodSync(fd, mode)
      await this.#sync('file', fd)
    } finally {
      closeSync(fd)
    }
  }

  async link(from: string, to: string): Promise<void> {
    linkSync(this.#path(from), this.#path(to))
  }

  async rename(from: string, to: string): Promise<void> {
    await fs.rename(this.#path(from), this.#path(to))
  }

  async unlink(path: string): Promise<void> {
    unlinkSync(this.#path(path))
  }

  async makeDir(dir: string): Promise<void> {
    await fs.mkdir(this.#path(dir), 0o700)
  }

  async removeDir(dir: string): Promise<void> {
    await fs.rmdir(this.#path(dir))
  }

  async syncDir(dir: string): Promise<void> {
    await syncDirectory(this.#path(dir), this.#sync)
  }

  async syncFile(path: string): Promise<void> {
    await syncPath(this.#path(path), constants.O_NONBLOCK, 'file', this.#sync)
  }

  async openTail(path: string): Promise<TailHandle> {
    // An append-only file can only be opened with O_APPEND.
    const append = this.protection === undefined ? 0 : constants.O_APPEND
    const flags = constants.O_WRONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK | append
    const file = await fs.open(this.#path(path), flags)
    const stats = await file.stat()
    return new PosixTail(file, stats.size, this.#sync, append === 0 ? undefined : path)
  }

  async close(): Promise<void> {
    await this.#lock?.release()
  }

  #path(path: string): string {
    return path === '' ? this.#root : `${this.#root}/${path}`
  }
}

class PosixTail implements TailHandle {
  readonly length: number
  readonly #file: fs.FileHandle
  readonly #sync: Sync
  /** The file's path when it is opened with O_APPEND: writes then go to its end, not to a position. */
  readonly #growing: string | undefined

  constructor(file: fs.FileHandle, length: number, sync: Sync, growing: string | undefined) {
    this.#file = file
    this.length = length
    this.#sync = sync
    this.#growing = growing
  }

  /** Writes to the page cache at once, and syncs in a pool thread. */
  async append(position: number, bytes: Uint8Array): Promise<void> {
    const { fd } = this.#file
    if (this.#growing !== undefined) checkEnd(this.#growing, fstatSync(fd).size, position)
    for (let at = 0; at < bytes.length;) {
      at += progress(writeSync(fd, bytes, at, bytes.length - at, position + at))
    }
    await this.#sync('tail', fd)
  }

  close(): Promise<void> {
    return this.#file.close()
  }
}

function checkEnd(path: string, size: number, written: number): void {
  if (size !== written) throw new StorageError('corrupt', `${path}: expected ${written} bytes, found ${size}`)
}

/** Checks the result of a write. The caller continues after a short write; a zero-byte write would loop forever. */
function progress(written: number): number {
  if (written > 0) return written
  throw Object.assign(new Error('write(2) wrote nothing'), { code: 'EIO' })
}

function syncDirectory(path: string, sync: Sync): Promise<void> {
  return syncPath(path, constants.O_DIRECTORY, 'directory', sync)
}

/** Opens a path, without following a symbolic link, and syncs it. */
async function syncPath(path: string, flags: number, what: Synced, sync: Sync): Promise<void> {
  const fd = await open(path, READ | flags, 0)
  try {
    await sync(what, fd)
  } finally {
    // After a sync, close has nothing to write, so it needs no pool thread. Its error counts as an error of the sync.
    closeSync(fd)
  }
}

async function readAll(fd: number, path: string, limit: number, pace: ReadPace): Promise<Uint8Array> {
  const stats = fstatSync(fd)
  if (!stats.isFile()) throw new StorageError('corrupt', `${path}: not a regular file`)
  if (stats.size > limit) {
    throw new StorageError('corrupt', `${path}: expected at most ${limit} bytes, found ${stats.size}`)
  }
  // The buffer is not zeroed first, because the reads fill every byte.
  const bytes = new Uint8Array(Buffer.allocUnsafeSlow(stats.size).buffer)
  for (let at = 0; at < bytes.length;) {
    const count = bytes.length - at
    const bytesRead = pace.isFast(count)
      ? pace.timed(() => readSync(fd, bytes, at, count, at))
      : (await read(fd, bytes, at, count, at)).bytesRead
    if (bytesRead === 0) throw new StorageError('corrupt', `${path}: ends at ${at} of ${stats.size} bytes`)
    at += bytesRead
  }
  return bytes
}

function openOrUndefined(path: string): number | undefined {
  try {
    // O_NONBLOCK: opening a foreign FIFO must not wait for its other end.
    return openSync(path, READ | constants.O_NONBLOCK)
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined
    throw error
  }
}

/** Returns the result of a call; undefined when it fails with this errno. */
async function orUndefined<T>(errno: string, call: Promise<T>): Promise<T | undefined> {
  try {
    return await call
  } catch (error) {
    if (errnoOf(error) === errno) return undefined
    throw error
  }
}
