/**
 * Reads a tar archive in place, or a disk image of Envelope B, which is a tar archive. Opening it reads the headers only; the content of a
 * file is read on request.
 *
 * When several members have the same name, the last one counts. The archive ends at two blocks of zeros; bytes after them are ignored.
 */
import { constants } from 'node:fs'
import { open, type FileHandle } from 'node:fs/promises'
import { messageOf } from '@service-fs/format/errors'
import { ClientError } from './errors.ts'
import { notTar } from './file-kind.ts'
import { checkFileSize, notRegular, type LedgerFiles, type ListedFile } from './ledger-files.ts'
import { BLOCK, kindOf, parsePax, parseTarHeader, type TarHeader } from './tar-header.ts'

/** The number of bytes that are read at a time to parse headers. */
const WINDOW = 64 * 1024
/** The maximum size of a long name or pax header, which normally take a few hundred bytes. */
const MAX_EXTENSION_BYTES = 1 << 20

/** A file. Its content begins at byte `offset` of the archive. */
interface TarFile {
  offset: number
  size: number
}
type TarFolder = Map<string, TarNode>
/** A file, a folder, or the description of any other member. */
type TarNode = TarFile | TarFolder | string

/** An open archive and the ledgers in it. The caller must close it. */
export interface TarArchive {
  /** The path of each folder that is a ledger; '' when the archive itself is a ledger. */
  ledgers: string[]
  /** Returns the files below a folder. */
  below(folder: string): LedgerFiles
  close(): Promise<void>
}

/** Opens a tar archive or disk image. @throws ClientError `file`; `malformed`, with the byte offset, when the file is not a tar archive */
export async function openTar(path: string): Promise<TarArchive> {
  let handle: FileHandle
  try {
    // Without O_NONBLOCK, opening a FIFO would block.
    handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
  } catch (error) {
    throw new ClientError('file', messageOf(error))
  }
  try {
    await checkStart(path, handle)
    const root = await new TarScan(path, handle, (await handle.stat()).size).run()
    return {
      ledgers: [...ledgersIn(root, '')],
      below: (folder) => tarFiles(path, handle, root, folder),
      close: () => handle.close(),
    }
  } catch (error) {
    await handle.close()
    throw error instanceof ClientError ? error : new ClientError('file', messageOf(error))
  }
}

/**
 * Checks that an open file may be a tar archive.
 * @throws ClientError `malformed` when the first bytes do not fit a tar archive; `file` when it is not a regular file
 */
async function checkStart(path: string, handle: FileHandle): Promise<void> {
  const stats = await handle.stat()
  if (!stats.isFile() && !stats.isBlockDevice())
    throw new ClientError(
      'file',
      `${path}: expected a directory, a tar archive or a disk image, found something else`,
    )
  const start = Buffer.alloc(BLOCK)
  const { bytesRead } = await handle.read(start, 0, BLOCK, 0)
  const problem = notTar(path, start.subarray(0, bytesRead))
  if (problem !== undefined) throw new ClientError('malformed', `${path}: byte 0: ${problem}`)
}

/** Yields the folders that contain an origin or a checkpoint, except the audit sub-ledger of a ledger. */
function* ledgersIn(folder: TarFolder, path: string): Generator<string> {
  const isLedger = folder.has('origin') || folder.has('checkpoint')
  if (isLedger) yield path
  for (const [name, node] of folder) {
    if (!(node instanceof Map) || (isLedger && name === 'audit')) continue
    yield* ledgersIn(node, path === '' ? name : `${path}/${name}`)
  }
}

function tarFiles(archive: string, handle: FileHandle, root: TarFolder, folder: string): LedgerFiles {
  const full = (path: string): string => [folder, path].filter((part) => part !== '').join('/')
  return {
    place: folder === '' ? archive : `${archive}:${folder}`,
    async read(path) {
      const node = nodeAt(root, full(path))
      if (node === undefined || node instanceof Map) return undefined
      if (typeof node === 'string') throw notRegular(path, node)
      checkFileSize(path, node.size)
      return readExactly(archive, handle, node.offset, node.size)
    },
    locate(path) {
      const node = nodeAt(root, full(path))
      return typeof node === 'object' && !(node instanceof Map) ? { fd: handle.fd, ...node } : undefined
    },
    async list(path) {
      const node = nodeAt(root, full(path))
      if (!(node instanceof Map)) return []
      const found = [...node].map(([name, child]): ListedFile => {
        const kind = child instanceof Map ? 'directory' : typeof child === 'string' ? 'other' : 'file'
        return { name, kind }
      })
      return found.sort((a, b) => (a.name < b.name ? -1 : 1))
    },
    below: (path) => tarFiles(archive, handle, root, full(path)),
  }
}

function nodeAt(root: TarFolder, path: string): TarNode | undefined {
  let node: TarNode | undefined = root
  for (const part of path === '' ? [] : path.split('/')) {
    if (!(node instanceof Map)) return undefined
    node = node.get(part)
  }
  return node
}

async function readExactly(
  archive: string,
  handle: FileHandle,
  offset: number,
  size: number,
): Promise<Buffer> {
  const bytes = Buffer.alloc(size)
  let done = 0
  while (done < size) {
    const { bytesRead } = await handle.read(bytes, done, size - done, offset + done)
    if (bytesRead === 0)
      throw new ClientError(
        'malformed',
        `${archive}: expected ${size} bytes at byte ${offset}, found ${done}`,
      )
    done += bytesRead
  }
  return bytes
}

/** The name and size that a GNU long name or pax header sets for the next member. */
interface Extension {
  name?: string | undefined
  size?: number | undefined
  sparse?: boolean
}

/** Reads all headers of an archive once. */
class TarScan {
  readonly #path: string
  readonly #handle: FileHandle
  readonly #end: number
  readonly #root: TarFolder = new Map()
  #window: Buffer = Buffer.alloc(0)
  #from = 0
  #extension: Extension = {}

  constructor(path: string, handle: FileHandle, end: number) {
    this.#path = path
    this.#handle = handle
    this.#end = end
  }

  async run(): Promise<TarFolder> {
    let at = 0
    for (;;) {
      const block = await this.#block(at)
      if (isZero(block)) {
        if (isZero(await this.#block(at + BLOCK))) return this.#root
        throw this.#malformed(
          at + BLOCK,
          'expected a second block of zeros at the end of the archive, found other bytes',
        )
      }
      at = await this.#member(at, block)
    }
  }

  /** Adds the member whose header is at byte `at`, and returns the offset of the next header. */
  async #member(at: number, block: Buffer): Promise<number> {
    const header = parseTarHeader(block)
    if (typeof header === 'string') throw this.#malformed(at, header)
    const content = at + BLOCK
    const isExtension = 'xgLK'.includes(header.type)
    const size = (isExtension ? undefined : this.#extension.size) ?? header.size
    const next = content + Math.ceil(size / BLOCK) * BLOCK
    if (next > this.#end)
      throw this.#malformed(
        at,
        `expected ${size} bytes of ${JSON.stringify(header.name)}, found ${this.#end - content}`,
      )
    if (isExtension) await this.#extend(header, content)
    else {
      this.#add(at, header, { offset: content, size })
      this.#extension = {}
    }
    return next
  }

  async #extend(header: TarHeader, content: number): Promise<void> {
    if (header.size > MAX_EXTENSION_BYTES)
      throw this.#malformed(
        content,
        `expected at most ${MAX_EXTENSION_BYTES} bytes of header, found ${header.size}`,
      )
    const bytes = await readExactly(this.#path, this.#handle, content, header.size)
    if (header.type === 'K') return
    if (header.type === 'L') {
      const end = bytes.indexOf(0)
      this.#extension.name = bytes.toString('utf8', 0, end < 0 ? bytes.length : end)
      return
    }
    const records = parsePax(bytes)
    if (records === undefined)
      throw this.#malformed(content, 'expected the records of a pax header, found other bytes')
    const size = records.get('size')
    const isGlobal = header.type === 'g'
    if (isGlobal && (size !== undefined || records.has('path')))
      throw this.#malformed(content, 'expected no path or size in a pax header for all members, found one')
    if (isGlobal) return
    if (size !== undefined && !/^\d{1,15}$/.test(size))
      throw this.#malformed(content, `expected a size in decimal, found ${JSON.stringify(size)}`)
    const sparse = [...records.keys()].some((key) => key.startsWith('GNU.sparse.'))
    this.#extension = {
      name: records.get('path') ?? this.#extension.name,
      size: size === undefined ? undefined : Number(size),
      sparse,
    }
  }

  #add(at: number, header: TarHeader, file: TarFile): void {
    const name = this.#extension.name ?? header.name
    const path = name.replace(/^(?:\.\/+)+/, '').replace(/\/+$/, '')
    if (path === '.' || (path === '' && name !== '' && !name.startsWith('/'))) return
    const parts = path.split('/')
    if (parts.some((part) => part === '' || part === '.' || part === '..'))
      throw this.#malformed(at, `expected a path below the archive, found ${JSON.stringify(name)}`)
    const last = parts.pop() as string
    let folder = this.#root
    for (const part of parts) folder = this.#folder(at, folder, part, name)
    // Old archives store a folder as a file whose name ends in a slash.
    if (header.type === '5' || (header.type === '0' && name.endsWith('/')))
      this.#folder(at, folder, last, name)
    else if (folder.get(last) instanceof Map)
      throw this.#malformed(
        at,
        `expected a folder, like an earlier member with this name, found ${JSON.stringify(name)}`,
      )
    else if (header.type !== '0') folder.set(last, kindOf(header))
    else folder.set(last, this.#extension.sparse === true ? 'a sparse file' : file)
  }

  #folder(at: number, folder: TarFolder, part: string, name: string): TarFolder {
    const known = folder.get(part)
    if (known instanceof Map) return known
    if (known !== undefined)
      throw this.#malformed(
        at,
        `expected nothing below the file ${JSON.stringify(part)}, found ${JSON.stringify(name)}`,
      )
    const made: TarFolder = new Map()
    folder.set(part, made)
    return made
  }

  async #block(at: number): Promise<Buffer> {
    if (at + BLOCK > this.#end)
      throw this.#malformed(
        at,
        'expected a member or the two blocks of zeros that end an archive, found the end of the file',
      )
    if (at < this.#from || at + BLOCK > this.#from + this.#window.length) {
      this.#window = await readExactly(this.#path, this.#handle, at, Math.min(WINDOW, this.#end - at))
      this.#from = at
    }
    return this.#window.subarray(at - this.#from, at - this.#from + BLOCK)
  }

  #malformed(at: number, text: string): ClientError {
    return new ClientError('malformed', `${this.#path}: byte ${at}: ${text}`)
  }
}

function isZero(block: Buffer): boolean {
  return block.every((byte) => byte === 0)
}
