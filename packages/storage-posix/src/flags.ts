/**
 * Protects a ledger's files from every process, even root's, with file attributes: sealed files are immutable, their directories
 * and the tail files are append-only.
 */
import { closeSync, constants, fstatSync, openSync } from 'node:fs'
import { type Attribute, type Attributes, loadAttributes } from './attributes.ts'
import { errnoOf, StorageError } from '@service-fs/storage/errors'

/**
 * Sets file attributes that cannot be cleared without CAP_LINUX_IMMUTABLE. Paths are absolute. Setting an attribute again succeeds.
 * Rejects with the system's error, or a StorageError, when the attribute is not set afterwards.
 */
export interface FileFlags {
  /** Makes a sealed file with a single name immutable: no process can write, truncate, rename, link or remove it, or change its mode or owner. */
  sealed(path: string): Promise<void>
  /** Makes a tail file or a directory append-only. Names can then be added to the directory, but not removed. */
  appendOnly(path: string): Promise<void>
  /** Lets a tail file be removed: its entries are sealed or in the tail file `newer`. */
  release(path: string, newer: string): Promise<void>
}

/** The flags of a process that can neither set nor clear attributes, for files that have them. */
export const NO_FLAGS: FileFlags = {
  sealed: () => Promise.resolve(),
  appendOnly: () => Promise.resolve(),
  release: () => Promise.reject(Object.assign(new Error('EPERM'), { code: 'EPERM' })),
}

/** The flags that this process can set, or the reason why it can set none. */
export type LocalFlags = { readonly flags: FileFlags } | { readonly reason: string }

/** Returns the flags that this process can set on files in `dir`. Tries to set one there, on a file without a name. */
export async function localFlags(dir: string): Promise<LocalFlags> {
  const attributes = await loadAttributes()
  if (attributes === undefined)
    return { reason: `file attributes are not supported on ${process.platform} ${process.arch}` }
  const fd = openSync(dir, constants.O_RDONLY | constants.O_DIRECTORY)
  try {
    const reason = whyNoFlags(attributes, fd)
    return reason === undefined ? { flags: new OwnFlags(attributes) } : { reason }
  } finally {
    closeSync(fd)
  }
}

/** Linux's __O_TMPFILE, used together with O_DIRECTORY. */
const TMPFILE = 0o20000000

/** Returns why this process cannot set attributes on files in the directory; undefined when it can. */
export function whyNoFlags(attributes: Attributes, dir: number): string | undefined {
  const name = `.service-fs-${process.pid}`
  const isLinux = process.platform === 'linux'
  try {
    const fd = isLinux
      ? attributes.openAt(dir, '.', TMPFILE | constants.O_DIRECTORY | constants.O_RDWR, 0o600)
      : attributes.openAt(dir, name, constants.O_RDWR | constants.O_CREAT | constants.O_EXCL, 0o600)
    try {
      for (const attribute of ['append-only', 'immutable'] as const) {
        attributes.set(fd, attribute, true)
        if (!attributes.has(fd, attribute))
          return 'the file system accepts file attributes but does not keep them'
        attributes.set(fd, attribute, false)
      }
    } finally {
      closeSync(fd)
      if (!isLinux) attributes.unlinkAt(dir, name)
    }
    return undefined
  } catch (error) {
    return reasonOf(errnoOf(error))
  }
}

function reasonOf(errno: string | undefined): string {
  if (errno === 'EPERM' || errno === 'EACCES') {
    return process.platform === 'linux'
      ? 'the process may not set file attributes: this needs root with CAP_LINUX_IMMUTABLE'
      : 'the process may not set file flags: this needs root and a securelevel of 0 or below'
  }
  const none = ['ENOTTY', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EINVAL', 'EISDIR']
  if (errno !== undefined && none.includes(errno)) return 'the file system has no file attributes'
  return `file attributes cannot be set: ${errno ?? 'failed'}`
}

/** Flags that this process sets itself. */
class OwnFlags implements FileFlags {
  readonly #attributes: Attributes

  constructor(attributes: Attributes) {
    this.#attributes = attributes
  }

  async sealed(path: string): Promise<void> {
    this.#withFile(path, (fd) => protectFile(this.#attributes, fd, 'immutable'))
  }

  async appendOnly(path: string): Promise<void> {
    this.#withFile(path, (fd) => protectFile(this.#attributes, fd, 'append-only'))
  }

  async release(path: string): Promise<void> {
    this.#withFile(path, (fd) => this.#attributes.set(fd, 'append-only', false))
  }

  #withFile(path: string, use: (fd: number) => void): void {
    const fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
    try {
      use(fd)
    } finally {
      closeSync(fd)
    }
  }
}

/**
 * Sets the attribute on the open file, and checks that it protects the file: the file must have a single name, and no process may
 * have it open for writing. @throws StorageError `corrupt`, `io`
 */
export function protectFile(attributes: Attributes, fd: number, attribute: Attribute): void {
  const stats = fstatSync(fd)
  if (stats.isDirectory() && attribute === 'append-only') return attributes.set(fd, attribute, true)
  if (!stats.isFile()) throw new StorageError('corrupt', 'not a regular file')
  if (attributes.has(fd, attribute)) return
  if (stats.nlink !== 1)
    throw new StorageError('corrupt', `expected a file with one name, found ${stats.nlink}`)
  attributes.set(fd, attribute, true)
  if (!attributes.hasWriter(fd)) return
  attributes.set(fd, attribute, false)
  throw new StorageError('io', 'a process has the file open for writing')
}
