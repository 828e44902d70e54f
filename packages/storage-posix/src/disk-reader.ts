/**
 * Reads sealed files of a ledger from the disk. Before each read the kernel drops the file's pages from the page cache
 * (posix_fadvise(2), POSIX_FADV_DONTNEED), where the system has this call. Elsewhere the page cache may answer.
 */
import { constants } from 'node:fs'
import { open } from 'node:fs/promises'
import { errnoOf, StorageError, systemError } from '@service-fs/storage/errors'
import { formatObjectName, maxBytes, type ReadableName } from '@service-fs/storage/object-name'

/** The most bytes that one read returns. */
const PART_BYTES = 1 << 20

/** POSIX_FADV_DONTNEED. */
const DONTNEED = 4
/** Systems whose `off_t` has 64 bits and whose POSIX_FADV_DONTNEED is 4. */
const SYSTEMS: ReadonlySet<string> = new Set([
  ...['arm64', 'loong64', 'ppc64', 'riscv64', 'x64'].map((arch) => `linux ${arch}`),
  ...['arm64', 'x64'].map((arch) => `freebsd ${arch}`),
])

type Drop = (fd: number) => void

let loaded: Promise<Drop> | undefined

/** Returns the function that drops a file's pages from the page cache; it does nothing where the system has no such call. */
function loadDrop(): Promise<Drop> {
  loaded ??= load().catch(() => () => undefined)
  return loaded
}

async function load(): Promise<Drop> {
  if (!SYSTEMS.has(`${process.platform} ${process.arch}`)) return () => undefined
  const { default: koffi } = await import('koffi')
  const advise = koffi
    .load(null)
    .func('int posix_fadvise(int fd, int64_t offset, int64_t length, int advice)') as (
    ...args: number[]
  ) => number
  return (fd) => void advise(fd, 0, 0, DONTNEED)
}

/** Errors of this process, not of the file. They may be temporary. */
const PASSING: ReadonlySet<string> = new Set(['EMFILE', 'ENFILE', 'ENOMEM', 'EAGAIN', 'EINTR'])

/**
 * Reads an object of the ledger or of the second tree in `dir`; undefined when there is none. Calls `pause` after each part, with the
 * number of bytes read. `hashBytes`: the bytes of a hash of the tree, by default those of SHA-256.
 * @throws StorageError `corrupt` (not a regular file, or too large), `io`; the system's error for a temporary one
 */
export async function readFromDisk(
  dir: string,
  name: ReadableName,
  pause: (bytes: number) => Promise<void>,
  hashBytes?: number,
): Promise<Uint8Array | undefined> {
  const path = formatObjectName(name)
  const most = maxBytes(name, hashBytes)
  const drop = await loadDrop()
  try {
    const file = await open(
      `${dir}/${path}`,
      constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK,
    )
    try {
      const stats = await file.stat()
      if (!stats.isFile()) throw new StorageError('corrupt', `${path}: not a regular file`)
      if (stats.size > most)
        throw new StorageError('corrupt', `${path}: expected at most ${most} bytes, found ${stats.size}`)
      drop(file.fd)
      const bytes = new Uint8Array(stats.size)
      for (let at = 0; at < bytes.length;) {
        const length = Math.min(PART_BYTES, bytes.length - at)
        const { bytesRead } = await file.read(bytes, at, length, at)
        if (bytesRead === 0)
          throw new StorageError('corrupt', `${path}: ends at ${at} of ${bytes.length} bytes`)
        at += bytesRead
        await pause(bytesRead)
      }
      return bytes
    } finally {
      await file.close()
    }
  } catch (error) {
    const errno = errnoOf(error)
    if (errno === 'ENOENT') return undefined
    // Errors of `pause` have no errno.
    if (errno === undefined || PASSING.has(errno)) throw error
    throw systemError(path, error)
  }
}
