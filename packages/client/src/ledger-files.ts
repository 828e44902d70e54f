/** Reads the files of one ledger: in a directory, in a tar archive or in an S3 store. */
import { constants } from 'node:fs'
import { open, readdir, type FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import { codeOf, messageOf } from '@service-fs/format/errors'
import { ClientError } from './errors.ts'

export interface ListedFile {
  name: string
  /** The kind of a file; 'other' for anything but a regular file or a directory. */
  kind: 'file' | 'directory' | 'other'
}

/** The place of a file's bytes: a path, or a part of an open file. */
export type BytesPlace = { path: string } | { fd: number; offset: number; size: number }

/** The files of a ledger, read-only. Paths are relative to the ledger, without a leading slash. */
export interface LedgerFiles {
  /** The ledger's name in messages: a path, or a path within an archive. */
  readonly place: string
  /**
   * Reads a whole file. Resolves to undefined when there is no such file.
   * @throws ClientError `file`; `malformed` when the file is larger than the format allows for its kind
   */
  read(path: string): Promise<Buffer | undefined>
  /** Returns the place where another thread can read a file; undefined when there is no such file, or only `read` can read it. */
  locate?(path: string): BytesPlace | undefined
  /**
   * Lists a folder ('' is the ledger itself) in the order of names. If there is no such folder, returns an empty list.
   * @throws ClientError `file`
   */
  list(folder: string): Promise<ListedFile[]>
  /** Returns the files below a folder. */
  below(folder: string): LedgerFiles
}

const MAX_TEXT_BYTES = 1 << 20
const MAX_HASH_TILE_BYTES = 256 * 45
const MAX_BUNDLE_BYTES = 256 * (87_380 + 1)
const MAX_TAIL_BYTES = 1 << 28

/** Checks the size of a file against the format's limit for its path. @throws ClientError `malformed` */
export function checkFileSize(path: string, bytes: number): void {
  const limit = maxFileBytes(path)
  if (bytes > limit)
    throw new ClientError('malformed', `${path}: expected at most ${limit} bytes, found ${bytes}`)
}

/** Returns the format's limit for the size of the file with this path. */
export function maxFileBytes(path: string): number {
  const [folder, level] = path.replace(/^audit\//, '').split('/')
  return folder === 'tail' ? MAX_TAIL_BYTES : folder === 'tile' ? tileLimit(level) : MAX_TEXT_BYTES
}

function tileLimit(level: string | undefined): number {
  return level === 'entries' ? MAX_BUNDLE_BYTES : MAX_HASH_TILE_BYTES
}

export function notRegular(path: string, found: string): ClientError {
  return new ClientError('malformed', `${path}: expected a regular file, found ${found}`)
}

/** Returns the files of the ledger in a directory. A daemon may be writing to it. */
export function directoryFiles(dir: string): LedgerFiles {
  return {
    place: dir,
    async read(path) {
      const handle = await openOptional(join(dir, path))
      try {
        if (handle === undefined) return undefined
        const stats = await handle.stat()
        if (!stats.isFile()) throw notRegular(path, 'something else')
        checkFileSize(path, stats.size)
        return await handle.readFile()
      } catch (error) {
        throw error instanceof ClientError ? error : new ClientError('file', messageOf(error))
      } finally {
        await handle?.close()
      }
    },
    locate: (path) => ({ path: join(dir, path) }),
    list: (folder) => listDirectory(join(dir, folder)),
    below: (folder) => directoryFiles(join(dir, folder)),
  }
}

async function openOptional(path: string): Promise<FileHandle | undefined> {
  try {
    // Do not wait for a writer when the path is a FIFO.
    return await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
  } catch (error) {
    if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR') return undefined
    throw new ClientError('file', messageOf(error))
  }
}

async function listDirectory(dir: string): Promise<ListedFile[]> {
  try {
    const found = (await readdir(dir, { withFileTypes: true })).map((entry): ListedFile => {
      const kind = entry.isFile() ? 'file' : entry.isDirectory() ? 'directory' : 'other'
      return { name: entry.name, kind }
    })
    return found.sort((a, b) => (a.name < b.name ? -1 : 1))
  } catch (error) {
    // The folder may be missing: a daemon that uses the ledger may remove a folder.
    if (codeOf(error) === 'ENOENT') return []
    throw new ClientError('file', messageOf(error))
  }
}
