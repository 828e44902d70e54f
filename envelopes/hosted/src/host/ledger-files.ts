/**
 * Opens a tenant's files for its supervisor: one path component at a time from the tenant's directory, without following links, and only
 * files that the tenant owns.
 */
import { closeSync, constants, fstatSync, openSync, readSync, type Stats } from 'node:fs'
import type { Attributes } from '@service-fs/storage-posix/attributes'
import { StorageError } from '@service-fs/storage/errors'

const DIRECTORY = constants.O_RDONLY | constants.O_DIRECTORY
const FILE = constants.O_RDONLY | constants.O_NONBLOCK

export class LedgerFiles {
  readonly #attributes: Attributes
  readonly #dir: string
  readonly #uid: number

  /** `dir` is the absolute path of the tenant's directory, whose parents belong to root; `uid` is the tenant's user. */
  constructor(attributes: Attributes, dir: string, uid: number) {
    this.#attributes = attributes
    this.#dir = dir
    this.#uid = uid
  }

  /** Calls `use` with a descriptor of the tenant's directory. */
  withRoot<T>(use: (fd: number) => T): T {
    const fd = openSync(this.#dir, DIRECTORY | constants.O_NOFOLLOW)
    try {
      this.#checkOwner('.', fstatSync(fd))
      return use(fd)
    } finally {
      closeSync(fd)
    }
  }

  /**
   * Calls `use` with a read-only descriptor of the regular file, or of the directory if `kind` is `directory`, at a path of the ledger
   * format.
   * @throws StorageError `corrupt` for another user's file or another kind of file; the system's errors, also for a link in the path
   */
  async withFile<T>(
    path: string,
    use: (fd: number) => T | Promise<T>,
    kind: 'file' | 'directory' = 'file',
  ): Promise<T> {
    const fd = this.#open(path, kind)
    try {
      return await use(fd)
    } finally {
      closeSync(fd)
    }
  }

  /** Reads a file that has an attribute; resolves with undefined when the file lacks it or has more than `limit` bytes. */
  async read(
    path: string,
    attribute: 'immutable' | 'append-only',
    limit: number,
  ): Promise<Uint8Array | undefined> {
    return this.withFile(path, (fd) => {
      const { size } = fstatSync(fd)
      return size <= limit && this.#attributes.has(fd, attribute) ? readBytes(fd, size) : undefined
    })
  }

  #open(path: string, kind: 'file' | 'directory'): number {
    const names = path.split('/')
    const last = names.pop() ?? ''
    let dir = openSync(this.#dir, DIRECTORY | constants.O_NOFOLLOW)
    try {
      this.#checkOwner('.', fstatSync(dir))
      for (const name of names) {
        const next = this.#attributes.openAt(dir, name, DIRECTORY)
        closeSync(dir)
        dir = next
        this.#checkOwner(path, fstatSync(dir))
      }
      const fd = this.#attributes.openAt(dir, last, kind === 'file' ? FILE : DIRECTORY)
      try {
        const stats = fstatSync(fd)
        this.#checkOwner(path, stats)
        if (kind === 'file' && !stats.isFile())
          throw new StorageError('corrupt', `${path}: not a regular file`)
        return fd
      } catch (error) {
        closeSync(fd)
        throw error
      }
    } finally {
      closeSync(dir)
    }
  }

  #checkOwner(path: string, { uid }: Stats): void {
    if (uid !== this.#uid)
      throw new StorageError(
        'corrupt',
        `${path}: expected a file of uid ${this.#uid}, found one of uid ${uid}`,
      )
  }
}

/** Returns the first `size` bytes of an open file, or all of a shorter one. */
export function readBytes(fd: number, size: number): Uint8Array {
  const bytes = new Uint8Array(size)
  let at = 0
  for (let read = 1; at < size && read > 0; at += read) read = readSync(fd, bytes, at, size - at, at)
  return bytes.subarray(0, at)
}
