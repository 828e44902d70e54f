/** Walks directories and makes records of the files in them. */
import { constants, lstatSync, type Stats } from 'node:fs'
import { open, readdir, readlink, type FileHandle } from 'node:fs/promises'
import { basename, resolve } from 'node:path'
import { idProblem } from '@service-fs/format/entry'
import { messageOf } from '@service-fs/format/errors'
import { nameOf } from './names.ts'
import { nativeCodec } from '@service-fs/native/native'
import { readSteady } from './steady-file.ts'

/** The media type of the record of a symbolic link. Its payload is the link's target. */
export const LINK_TYPE = 'inode/symlink'
/** The media type of the record of an empty directory. It has no payload. */
export const DIRECTORY_TYPE = 'inode/directory'

const OTHER_TYPE = 'application/octet-stream'
const TYPES: ReadonlyMap<string, string> = new Map([
  ['csv', 'text/csv'],
  ['css', 'text/css'],
  ['eml', 'message/rfc822'],
  ['gif', 'image/gif'],
  ['gz', 'application/gzip'],
  ['htm', 'text/html'],
  ['html', 'text/html'],
  ['jpeg', 'image/jpeg'],
  ['jpg', 'image/jpeg'],
  ['js', 'text/javascript'],
  ['json', 'application/json'],
  ['md', 'text/markdown'],
  ['pdf', 'application/pdf'],
  ['png', 'image/png'],
  ['svg', 'image/svg+xml'],
  ['tar', 'application/x-tar'],
  ['tiff', 'image/tiff'],
  ['txt', 'text/plain'],
  ['xml', 'application/xml'],
  ['zip', 'application/zip'],
])

/** Returns the media type of a file from the extension of its name. */
export function typeOf(name: string): string {
  const dot = name.lastIndexOf('.')
  return (dot > 0 ? TYPES.get(name.slice(dot + 1).toLowerCase()) : undefined) ?? OTHER_TYPE
}

/** A file, symbolic link or empty directory that becomes a record. */
export interface FoundFile {
  id: string
  type: string
  /** The size of the payload in bytes when the file was found. */
  size: number
  /** Reads the payload, of at most `limit` bytes. Call it before the iterator is advanced; it may resolve later. @throws like `readSteady` */
  read(limit: number): Promise<Uint8Array>
}

export interface WalkFilesOptions {
  /** A prefix for every id. */
  prefix?: string | undefined
  /** The media type of every file. By default it comes from the name of the file. */
  type?: string | undefined
  /** Reads a file like `readSteady`, which is the default. */
  readFile?: (path: Buffer, limit: number) => Promise<Uint8Array>
  /** Called for each file that can't become a record, with its path as text (`nameOf`). */
  refused(path: string, reason: string): void
}

/** A file that was found. */
interface Found {
  /**
   * The path to open. It leads through an open directory, so that no other program can redirect it by replacing a parent directory
   * with a link.
   */
  at: Buffer
  /** The path for messages. */
  path: Buffer
  id: Buffer
  /** The open directory through which `at` leads. */
  directory?: OpenDirectory | undefined
}

/**
 * Yields a file, or everything below a directory in the order of names: regular files, symbolic links (not followed), and empty
 * directories. A record's id is the prefix and the path relative to the directory that contains the argument: `append /usr/share/doc` makes
 * `doc/bash/README`, and `append README` makes `README`, in any working directory.
 */
export async function* walkFiles(argument: string, options: WalkFilesOptions): AsyncGenerator<FoundFile> {
  const path = Buffer.from(resolve(argument))
  const id = Buffer.from((options.prefix ?? '') + basename(path.toString()))
  yield* walk({ at: path, path, id }, options)
}

/** An open directory. It is closed when the walk has left it and all reads of its files have ended. */
class OpenDirectory {
  readonly #handle: FileHandle
  /** The number of users of the directory: the walk and the reads. */
  #users = 1

  constructor(handle: FileHandle) {
    this.#handle = handle
  }

  get fd(): number {
    return this.#handle.fd
  }

  /** Runs a read of a file in the directory. */
  async use<T>(read: () => Promise<T>): Promise<T> {
    this.#users += 1
    try {
      return await read()
    } finally {
      await this.leave()
    }
  }

  async leave(): Promise<void> {
    this.#users -= 1
    if (this.#users === 0) await this.#handle.close()
  }
}

async function* walk(found: Found, options: WalkFilesOptions): AsyncGenerator<FoundFile> {
  let directory: OpenDirectory | undefined
  try {
    let file: FoundFile | undefined
    let names: Buffer[] = []
    try {
      // Call synchronously: the thread pool would take more time than the call itself, and files are found one after another anyway.
      const stats = lstatSync(found.at)
      if (stats.isDirectory()) {
        const flags = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW
        directory = new OpenDirectory(await open(found.at, flags))
        names = await namesIn(directory, found)
        if (names.length === 0) file = emptyDirectory(found, options)
      } else file = fileOf(found, stats, options)
    } catch (error) {
      options.refused(nameOf(found.path), reasonOf(error))
      return
    }
    if (file !== undefined) yield file
    for (const name of names) yield* walk(child(found, name, directory), options)
  } finally {
    await directory?.leave()
  }
}

async function namesIn(directory: OpenDirectory, found: Found): Promise<Buffer[]> {
  const names = await readdir(placeOf(directory, found), { encoding: 'buffer' })
  return names.sort((a, b) => Buffer.compare(a, b))
}

/** Returns a path to an open directory that stays valid when the directory's name leads elsewhere. Only Linux has such paths. */
function placeOf(directory: OpenDirectory, found: Found): Buffer {
  return process.platform === 'linux' ? Buffer.from(`/proc/self/fd/${directory.fd}`) : found.at
}

function child(found: Found, name: Buffer, directory: OpenDirectory | undefined): Found {
  const at = directory === undefined ? found.at : placeOf(directory, found)
  return {
    at: join(at, name),
    path: join(found.path, name),
    id: found.id.length === 0 ? name : join(found.id, name),
    directory,
  }
}

function join(path: Buffer, name: Buffer): Buffer {
  return Buffer.concat(path.at(-1) === 0x2f ? [path, name] : [path, Buffer.from('/'), name])
}

function emptyDirectory(found: Found, options: WalkFilesOptions): FoundFile | undefined {
  return checked(found, { type: DIRECTORY_TYPE, size: 0, read: async () => new Uint8Array() }, options)
}

function fileOf(found: Found, stats: Stats, options: WalkFilesOptions): FoundFile | undefined {
  const { at, id, path, directory } = found
  const within = (read: () => Promise<Uint8Array>): Promise<Uint8Array> =>
    directory === undefined ? read() : directory.use(read)
  if (stats.isSymbolicLink()) {
    const read = (): Promise<Uint8Array> => within(() => readlink(at, { encoding: 'buffer' }))
    return checked(found, { type: LINK_TYPE, size: stats.size, read }, options)
  }
  if (stats.isFile()) {
    const { readFile = readSteady } = options
    const type = options.type ?? typeOf(id.toString())
    return checked(
      found,
      { type, size: stats.size, read: (limit) => within(() => readFile(at, limit)) },
      options,
    )
  }
  options.refused(nameOf(path), 'expected a file, a directory or a symbolic link')
  return undefined
}

function checked(
  { id, path }: Found,
  file: Omit<FoundFile, 'id'>,
  options: WalkFilesOptions,
): FoundFile | undefined {
  let text: string
  try {
    text = nativeCodec.utf8Decode(id)
  } catch {
    options.refused(nameOf(path), 'its name is not UTF-8')
    return undefined
  }
  const problem = idProblem(text, nativeCodec)
  if (problem === undefined) return { ...file, id: text }
  options.refused(nameOf(path), `as an id: ${problem}`)
  return undefined
}

/** Returns the message of a system error without its path, which is the path used for opening and not the name of the file. */
export function reasonOf(error: unknown): string {
  return messageOf(error).replace(/, [a-z]+(?: '.*')?$/s, '')
}
