/**
 * Puts the right bytes at the path of a damaged or missing file, durably, and keeps the damaged file.
 *
 *     create DIR/tmp/repair  write  fsync        the new file
 *     rename PATH to KEPT/PATH  fsync of its directory
 *     rename DIR/tmp/repair to PATH  fsync of its directory
 *
 * If the process is killed in between, the damaged file remains or no file is at PATH: the next run detects and repairs this. A daemon
 * removes the remaining files from `tmp/`.
 */
import { constants, type Stats } from 'node:fs'
import { copyFile, lstat, mkdir, open, rename, unlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { asFileError, ClientError } from '@service-fs/client/errors'
import { codeOf } from '@service-fs/format/errors'
import { syncDirectory } from '../output.ts'
import { unprotected } from './protection.ts'

const SEALED = 0o444
const OWNER_ONLY = 0o700

export class Replacer {
  readonly #dir: string
  /** The directory for damaged files. */
  readonly #kept: string

  constructor(dir: string, kept: string) {
    this.#dir = dir
    this.#kept = kept
  }

  /**
   * Writes a file. Returns the path at which the damaged file is kept; undefined when the file was missing.
   * @throws ClientError `file`; no file is lost then
   */
  async put(path: string, bytes: Uint8Array): Promise<string | undefined> {
    return asFileError(async () => {
      const place = join(this.#dir, path)
      const owner = await lstat(this.#dir)
      const temporary = await this.#write(bytes, owner)
      await this.#makeParents(dirname(place), owner)
      let kept: string | undefined
      await unprotected(place, async () => {
        kept = await this.#keep(place, path)
        await rename(temporary, place)
        await syncDirectory(dirname(place))
      })
      return kept
    })
  }

  async #write(bytes: Uint8Array, owner: Stats): Promise<string> {
    const tmp = join(this.#dir, 'tmp')
    await this.#makeParents(tmp, owner)
    const temporary = join(tmp, 'repair')
    await unlink(temporary).catch(ignoreMissing)
    const file = await open(temporary, 'wx', 0o600)
    try {
      await file.writeFile(bytes)
      // If root runs the repair, the new file must belong to the owner of the ledger.
      if (process.getuid?.() === 0) await file.chown(owner.uid, owner.gid)
      await file.chmod(SEALED)
      await file.sync()
    } finally {
      await file.close()
    }
    return temporary
  }

  /** Makes a directory of the ledger and its parents, durably, for the ledger's owner. */
  async #makeParents(dir: string, owner: Stats): Promise<void> {
    if (!(await makeDirectory(dir, () => this.#makeParents(dirname(dir), owner)))) return
    if (process.getuid?.() !== 0) return
    const handle = await open(dir, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_DIRECTORY)
    try {
      await handle.chown(owner.uid, owner.gid)
      await handle.sync()
    } finally {
      await handle.close()
    }
  }

  /** Moves a file into the directory for damaged files, without overwriting a file there. */
  async #keep(place: string, path: string): Promise<string | undefined> {
    const found = await lstat(place).catch(ignoreMissing)
    if (found === undefined) return undefined
    const kept = await freeName(join(this.#kept, path))
    await makeTree(dirname(kept))
    try {
      await rename(place, kept)
    } catch (error) {
      if (codeOf(error) !== 'EXDEV') throw error
      await copyAway(place, kept, found)
    }
    await syncDirectory(dirname(kept))
    return kept
  }
}

/** Copies a file to another file system. The original stays until the new file replaces it. */
async function copyAway(place: string, kept: string, { size, ...stats }: Stats): Promise<void> {
  if ((stats.mode & constants.S_IFMT) !== constants.S_IFREG)
    throw new ClientError(
      'file',
      `${place}: expected a regular file of ${size} bytes, found another: move it away`,
    )
  await copyFile(place, kept, constants.COPYFILE_EXCL)
  const file = await open(kept)
  try {
    await file.sync()
  } finally {
    await file.close()
  }
}

/** Returns a name that no file has: the given one, or with `.2`, `.3` and so on. The ledger's lock keeps other repairs away. */
async function freeName(name: string): Promise<string> {
  for (let n = 1; ; n++) {
    const free = n === 1 ? name : `${name}.${n}`
    if ((await lstat(free).catch(ignoreMissing)) === undefined) return free
  }
}

async function makeTree(dir: string): Promise<void> {
  await makeDirectory(dir, () => makeTree(dirname(dir)))
}

/** Makes a directory durably; `parents` also makes its parents. Returns false when the directory exists. */
async function makeDirectory(dir: string, parents: () => Promise<void>): Promise<boolean> {
  try {
    await mkdir(dir, OWNER_ONLY)
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false
    if (codeOf(error) !== 'ENOENT') throw error
    await parents()
    await mkdir(dir, OWNER_ONLY)
  }
  await syncDirectory(dirname(dir))
  return true
}

function ignoreMissing(error: unknown): undefined {
  if (codeOf(error) !== 'ENOENT') throw error
  return undefined
}
