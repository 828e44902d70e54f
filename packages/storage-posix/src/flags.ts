/**
 * Keeping a ledger's files from everybody, root included, by attributes of the file system: what is sealed is immutable, the
 * directories that it is in only gain names, a tail file only grows.
 */
import { closeSync, constants, fstatSync, openSync } from 'node:fs'
import { type Attribute, type Attributes, loadAttributes } from './attributes.ts'
import { errnoOf, StorageError } from '@service-fs/storage/errors'

/**
 * Sets what cannot be undone without CAP_LINUX_IMMUTABLE. Paths are absolute. What is set already is no error. Rejects with the
 * system's error, or a StorageError, when it is not set afterwards.
 */
export interface FileFlags {
  /** A sealed file, under its one name: nobody writes, truncates, renames, links, removes it, or changes its mode or owner. */
  sealed(path: string): Promise<void>
  /** A tail file: it can be appended to, and nothing else. Or a directory: it gains names, and loses none. */
  appendOnly(path: string): Promise<void>
  /** A tail file that may go, since what it holds is sealed or in the tail file `newer`. */
  release(path: string, newer: string): Promise<void>
}

/** What may be done here; or why nothing. */
export type LocalFlags = { readonly flags: FileFlags } | { readonly reason: string }

/** The flags that this process can set on the files below `dir`, tried there on a file without a name. */
export async function localFlags(dir: string): Promise<LocalFlags> {
  const attributes = await loadAttributes()
  if (attributes === undefined)
    return { reason: `no file attributes are known on ${process.platform} ${process.arch}` }
  const fd = openSync(dir, constants.O_RDONLY | constants.O_DIRECTORY)
  try {
    const reason = whyNoFlags(attributes, fd)
    return reason === undefined ? { flags: new OwnFlags(attributes) } : { reason }
  } finally {
    closeSync(fd)
  }
}

/** Linux's __O_TMPFILE, which goes with O_DIRECTORY. */
const TMPFILE = 0o20000000

/** Why files in the directory can be given no attributes by this process; undefined: they can. */
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
        if (!attributes.has(fd, attribute)) return 'the file system forgets file attributes'
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
      ? 'the process may not set file attributes: that takes root with CAP_LINUX_IMMUTABLE'
      : 'the process may not set file flags: that takes root, and a securelevel of 0 or below'
  }
  const none = ['ENOTTY', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EINVAL', 'EISDIR']
  if (errno !== undefined && none.includes(errno)) return 'the file system has no file attributes'
  return `file attributes cannot be set: ${errno ?? 'failed'}`
}

/** Set by this process itself. */
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
 * Sets the attribute on the open file, and sees to it that it binds: that the file has no other name, and that nobody has it open
 * for writing from before. @throws StorageError `corrupt`, `io`
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
  throw new StorageError('io', 'somebody has the file open for writing')
}
