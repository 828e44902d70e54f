/**
 * A ledger directory on a POSIX file system. The order of the steps is that of @service-fs/storage/files; as system calls
 * (Node's pool makes them; paths are relative to the ledger directory):
 *
 *     seal       rmdir(dir), mkdir(dir, 0700) and fsync of its parent, for each directory that is new to this process, from the top
 *                openat(tmp/N, O_WRONLY|O_CREAT|O_EXCL|O_NOFOLLOW, 0600)  write  fchmod(0444)  fsync  close
 *                link(tmp/N, path)             EEXIST: read path, compare, rename(tmp/N, path), go on
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
 * A failed write to the tail or a failed sync ends all writing by this process; reads go on. The file system needs hard
 * links, and a sync that reaches the medium.
 *
 * With flags (flags.ts) a file is made immutable at the end of seal, and a tail file append-only before the older ones go.
 */
import * as callback from 'node:fs'
import { closeSync, constants, fchmodSync, fstatSync, writeSync } from 'node:fs'
import * as fs from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { promisify } from 'node:util'
import type { StorageCapability } from '@service-fs/storage/capability'
import { errnoOf, StorageError, systemError } from '@service-fs/storage/errors'
import type { FileSystem, Protection, TailHandle } from '@service-fs/storage/file-system'
import { openFileStorage } from '@service-fs/storage/files'
import { openReadOnlyStorage } from '@service-fs/storage/read-only'
import type { FileFlags } from './flags.ts'
import { type DirectoryLock, lockDirectory, type LockOptions } from './lock.ts'
import { FlaggedFiles, flagsFound } from './protection.ts'

export interface PosixOptions {
  /** Whether to hold the directory's lock. Default true; false where the caller holds it, as for the audit sub-ledger. */
  readonly lock?: boolean
  /** Whether to sync at all. Default true; false is for tests that need no durability. */
  readonly sync?: boolean
  /** Sets file attributes on what is sealed and on the tail. Default: none are set; those that are there are lived with. */
  readonly flags?: FileFlags | undefined
  /** Told of every sync that succeeded: of the tail's data, of a whole file, of a directory's names; and how long it took. */
  readonly synced?: (what: Synced, milliseconds: number) => void
}

export type Synced = 'tail' | 'file' | 'directory'

/**
 * Opens the ledger in `dir`, which is made (0700) when it is not there, and removes what a stopped process left in tmp/.
 * Throws StorageError 'locked' when another process has it open, 'full', 'io', 'corrupt'.
 */
export async function openPosixStorage(dir: string, options: PosixOptions = {}): Promise<StorageCapability> {
  const sync = syncer(options)
  const root = await makeRoot(resolve(dir), sync)
  const lock = (options.lock ?? true) ? await lockDirectory(root) : undefined
  try {
    const flags = options.flags ?? (await flagsFound(root))
    return await openFileStorage(new PosixFiles(root, sync, lock, flags), 'grow')
  } catch (error) {
    await lock?.release()
    throw error
  }
}

/**
 * Opens the ledger in `dir` for reading: nothing is made, synced or removed, so that it works on a full disk and on a read-only medium.
 * The caller holds the lock. See openReadOnlyStorage() for what may be believed.
 * Throws StorageError 'io', 'corrupt'.
 */
export async function openPosixReadOnly(dir: string): Promise<StorageCapability> {
  const root = await fs.realpath(dir).catch((error: unknown) => {
    throw systemError('.', error)
  })
  return openReadOnlyStorage(new PosixFiles(root, syncer({ sync: false }), undefined, undefined), 'grow')
}

/**
 * The lock on the ledger in `dir`, for storages that are opened without one. With `write` the directory is made (0700) when it is not
 * there; without it nothing is written.
 * Throws StorageError 'locked' when another process has it open, 'full', 'read-only', 'io'.
 */
export async function lockLedger(dir: string, options: Required<LockOptions>): Promise<DirectoryLock> {
  if (!options.write) return lockDirectory(dir, options)
  return lockDirectory(await makeRoot(resolve(dir), syncer({})), options)
}

/** Makes the directory and those above it, durably; returns its path without symbolic links. */
async function makeRoot(dir: string, sync: Sync): Promise<string> {
  try {
    await makeDirs(dir, sync)
    const root = await fs.realpath(dir)
    // Not only when it was made just now: the process that made it may have been killed before this. Who may not read
    // the parent directory did not make it.
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

// File descriptors by number: a FileHandle costs several times as much, and sealing makes many.
const open = promisify(callback.open)
const close = promisify(callback.close)
const fsync = promisify(callback.fsync)
const fdatasync = promisify(callback.fdatasync)
const read = promisify(callback.read)
const link = promisify(callback.link)
const unlink = promisify(callback.unlink)

type Sync = (what: Synced, fd: number) => Promise<void>

/** How what is written is made durable, and who is told. */
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
  readonly protection?: Protection

  constructor(root: string, sync: Sync, lock: DirectoryLock | undefined, flags: FileFlags | undefined) {
    this.#root = root
    this.#sync = sync
    this.#lock = lock
    if (flags !== undefined) this.protection = new FlaggedFiles(root, flags)
  }

  async readFile(path: string, limit: number): Promise<Uint8Array | undefined> {
    // O_NONBLOCK: opening a foreign FIFO must not wait for its other end.
    const fd = await orUndefined('ENOENT', open(this.#path(path), READ | constants.O_NONBLOCK, 0))
    if (fd === undefined) return undefined
    try {
      return await readAll(fd, path, limit)
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
    const fd = await open(this.#path(path), CREATE, OWNER_ONLY)
    try {
      // Into the page cache: no thread need wait for that.
      for (let at = 0; at < bytes.length;) at += progress(writeSync(fd, bytes, at, bytes.length - at))
      if (mode !== OWNER_ONLY) fchmodSync(fd, mode)
      await this.#sync('file', fd)
    } finally {
      await close(fd)
    }
  }

  async link(from: string, to: string): Promise<void> {
    await link(this.#path(from), this.#path(to))
  }

  async rename(from: string, to: string): Promise<void> {
    await fs.rename(this.#path(from), this.#path(to))
  }

  async unlink(path: string): Promise<void> {
    await unlink(this.#path(path))
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
    // Where a file may only grow, a descriptor that can do more is not to be had.
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
  /** The file's path, where a write goes to its end, wherever that is. */
  readonly #growing: string | undefined

  constructor(file: fs.FileHandle, length: number, sync: Sync, growing: string | undefined) {
    this.#file = file
    this.length = length
    this.#sync = sync
    this.#growing = growing
  }

  /** The write only reaches the page cache, so it is made at once; the sync waits in a thread of the pool. */
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
  if (size !== written)
    throw new StorageError('corrupt', `${path}: has ${size} bytes, ${written} were written`)
}

/** A short write is gone on with; one of no bytes would be gone on with for ever. */
function progress(written: number): number {
  if (written > 0) return written
  throw Object.assign(new Error('write(2) wrote nothing'), { code: 'EIO' })
}

function syncDirectory(path: string, sync: Sync): Promise<void> {
  return syncPath(path, constants.O_DIRECTORY, 'directory', sync)
}

/** Opens (not following a symbolic link) and syncs. */
async function syncPath(path: string, flags: number, what: Synced, sync: Sync): Promise<void> {
  const fd = await open(path, READ | flags, 0)
  try {
    await sync(what, fd)
  } finally {
    await close(fd)
  }
}

async function readAll(fd: number, path: string, limit: number): Promise<Uint8Array> {
  const stats = fstatSync(fd)
  if (!stats.isFile()) throw new StorageError('corrupt', `${path}: not a regular file`)
  if (stats.size > limit) {
    throw new StorageError('corrupt', `${path}: ${stats.size} bytes, at most ${limit} are possible`)
  }
  const bytes = new Uint8Array(stats.size)
  for (let at = 0; at < bytes.length;) {
    const { bytesRead } = await read(fd, bytes, at, bytes.length - at, at)
    if (bytesRead === 0) throw new StorageError('corrupt', `${path}: ends at ${at} of ${stats.size} bytes`)
    at += bytesRead
  }
  return bytes
}

/** The result of a call; undefined when it fails with this errno. */
async function orUndefined<T>(errno: string, call: Promise<T>): Promise<T | undefined> {
  try {
    return await call
  } catch (error) {
    if (errnoOf(error) === errno) return undefined
    throw error
  }
}
