/** Files of this machine as records to append, found by walking directories. */
import type { Dirent, Stats } from 'node:fs'
import { lstat, readdir, readlink, readFile } from 'node:fs/promises'
import { basename, resolve } from 'node:path'
import { idProblem } from '@service-fs/format/entry'
import { messageOf } from './errors.ts'
import { nativeCodec } from '@service-fs/native/native'

/** The type of a symbolic link's record; its payload is the target. */
export const LINK_TYPE = 'inode/symlink'
/** The type of an empty directory's record; it has no payload. */
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

/** The media type of a file, by the end of its name. */
export function typeOf(name: string): string {
  const dot = name.lastIndexOf('.')
  return (dot > 0 ? TYPES.get(name.slice(dot + 1).toLowerCase()) : undefined) ?? OTHER_TYPE
}

/** Something that becomes a record. */
export interface FoundFile {
  id: string
  type: string
  /** Bytes of the payload, before it is read. */
  size: number
  /** @throws a system error */
  read(): Promise<Uint8Array>
}

export interface WalkFilesOptions {
  /** Put before every id. */
  prefix?: string | undefined
  /** The media type of every file, in place of the one that its name stands for. */
  type?: string | undefined
  /** Called for what can't become a record. */
  refused(path: string, reason: string): void
}

/**
 * A file, or everything below a directory in the order of names: regular files, symbolic links (not followed), and empty
 * directories. A record's id is the prefix and the path from the directory that holds the argument: `append /usr/share/doc`
 * makes `doc/bash/README`, `append README` makes `README`, whatever directory one is in.
 */
export async function* walkFiles(argument: string, options: WalkFilesOptions): AsyncGenerator<FoundFile> {
  const path = resolve(argument)
  const name = basename(path)
  yield* walk(Buffer.from(path), Buffer.from((options.prefix ?? '') + name), options)
}

async function* walk(path: Buffer, id: Buffer, options: WalkFilesOptions): AsyncGenerator<FoundFile> {
  let found: FoundFile | Dirent<Buffer>[] | undefined
  try {
    const stats = await lstat(path)
    found = stats.isDirectory() ? await children(path) : fileOf(path, id, stats, options)
  } catch (error) {
    options.refused(path.toString(), messageOf(error))
    return
  }
  if (!Array.isArray(found)) {
    if (found !== undefined) yield found
  } else if (found.length === 0) {
    const directory = checked(
      id,
      path,
      { type: DIRECTORY_TYPE, size: 0, read: async () => new Uint8Array() },
      options,
    )
    if (directory !== undefined) yield directory
  } else {
    for (const { name } of found)
      yield* walk(join(path, name), id.length === 0 ? name : join(id, name), options)
  }
}

async function children(path: Buffer): Promise<Dirent<Buffer>[]> {
  const entries = await readdir(path, { encoding: 'buffer', withFileTypes: true })
  return entries.sort((a, b) => Buffer.compare(a.name, b.name))
}

function join(path: Buffer, name: Buffer): Buffer {
  return Buffer.concat(path.at(-1) === 0x2f ? [path, name] : [path, Buffer.from('/'), name])
}

function fileOf(path: Buffer, id: Buffer, stats: Stats, options: WalkFilesOptions): FoundFile | undefined {
  if (stats.isSymbolicLink()) {
    const read = (): Promise<Uint8Array> => readlink(path, { encoding: 'buffer' })
    return checked(id, path, { type: LINK_TYPE, size: stats.size, read }, options)
  }
  if (stats.isFile()) {
    const type = options.type ?? typeOf(id.toString())
    return checked(id, path, { type, size: stats.size, read: () => readFile(path) }, options)
  }
  options.refused(path.toString(), 'neither a file, a directory nor a symbolic link')
  return undefined
}

function checked(
  id: Buffer,
  path: Buffer,
  file: Omit<FoundFile, 'id'>,
  options: WalkFilesOptions,
): FoundFile | undefined {
  let text: string
  try {
    text = nativeCodec.utf8Decode(id)
  } catch {
    options.refused(path.toString(), 'its name is not UTF-8')
    return undefined
  }
  const problem = idProblem(text, nativeCodec)
  if (problem === undefined) return { ...file, id: text }
  options.refused(path.toString(), `as an id: ${problem}`)
  return undefined
}
