/** Writes a ledger as a ustar archive: an export in one file, or a disk image for Envelope B. */
import { open, readFile, type FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import { pack, type Header } from 'tar-stream'
import { asFileError, ClientError } from '@service-fs/client/errors'
import { DirectoryWriter } from './output-directory.ts'
import { besideOf, moveFile, removeBeside, type Output } from './output.ts'

const MIB = 1 << 20
/** The least default size of a disk image. The default size is four times the content, but at least this. */
const LEAST_DISK = 256 * MIB
const GROWTH = 4

/**
 * Opens an output that becomes an archive at `place`. The members are in the order of their names, all with mode 0444, without folders. The
 * files arrive in another order, so they are first collected in a directory beside `place`.
 * @throws ClientError `file` when `place` exists
 */
export async function tarOutput(place: string): Promise<Output> {
  const beside = await besideOf(place)
  const folder = `${beside}.d`
  const writer = await DirectoryWriter.begin(folder, false)
  return {
    put: (path, bytes, mode) => writer.put(path, bytes, mode),
    finish: () =>
      asFileError(async () => {
        await writer.end()
        const bytes = await packFiles(beside, folder, writer.names.sort())
        await moveFile(beside, place)
        return { files: writer.names.length, bytes }
      }),
    async discard() {
      await writer.discard()
      await removeBeside(beside)
    },
  }
}

/** Writes an archive of the files below a folder, and returns its size in bytes. */
async function packFiles(archive: string, folder: string, names: readonly string[]): Promise<number> {
  const tar = await TarWriter.begin(archive)
  try {
    for (const name of names) await tar.add({ name, mode: 0o444 }, await readFile(join(folder, name)))
    return await tar.end()
  } finally {
    await tar.close()
  }
}

/**
 * Opens an output that becomes a disk image at `place`: a folder `<moduleId>/` of mode 0700 with the ledger's files, then zeros up to the
 * disk's size.
 * @throws ClientError `file` when `place` exists
 */
export async function imageOutput(
  place: string,
  moduleId: string,
  diskSize: number | undefined,
): Promise<Output> {
  const beside = await besideOf(place)
  const tar = await TarWriter.begin(beside)
  let files = 0
  await tar.add({ name: `${moduleId}/`, type: 'directory', mode: 0o700 }, new Uint8Array())
  return {
    put(path, bytes, mode) {
      files += 1
      return tar.add({ name: `${moduleId}/${path}`, mode }, bytes)
    },
    finish: () =>
      asFileError(async () => {
        const least = await tar.end()
        const bytes = diskSize ?? Math.max(LEAST_DISK, Math.ceil((GROWTH * least) / MIB) * MIB)
        if (bytes < least)
          throw new ClientError('usage', `--disk-size: expected at least ${least} bytes, found ${bytes}`)
        await tar.grow(bytes)
        await tar.close()
        await moveFile(beside, place)
        return { files, bytes }
      }),
    async discard() {
      await tar.close()
      await removeBeside(beside)
    },
  }
}

class TarWriter {
  readonly #pack = pack()
  readonly #handle: FileHandle
  readonly #drained: Promise<void>
  #bytes = 0
  #open = true

  private constructor(handle: FileHandle) {
    this.#handle = handle
    this.#drained = this.#drain()
    // The next call of `add` or `end` throws the error.
    this.#drained.catch(() => undefined)
  }

  static begin(file: string): Promise<TarWriter> {
    return asFileError(async () => new TarWriter(await open(file, 'wx', 0o600)))
  }

  /**
   * Adds a member. The header of a member has no owner and no time, so that the same ledger always produces the same archive. @throws
   * ClientError `file`
   */
  add(member: Pick<Header, 'name' | 'mode'> & Partial<Header>, bytes: Uint8Array): Promise<void> {
    const header = { ...member, uid: 0, gid: 0, mtime: new Date(0) }
    const added = new Promise<void>((resolve, reject) => {
      const done = (error?: Error | null): void => (error ? reject(error) : resolve())
      if (member.type === 'directory') this.#pack.entry(header, done)
      else this.#pack.entry(header, bytes, done)
    })
    return asFileError(() => Promise.race([added, this.#drained]))
  }

  /** Ends and syncs the archive, and returns its size in bytes. @throws ClientError `file` */
  end(): Promise<number> {
    return asFileError(async () => {
      this.#pack.finalize()
      await this.#drained
      await this.#handle.sync()
      return this.#bytes
    })
  }

  /** Extends the file with zeros to a size. @throws ClientError `file` */
  grow(bytes: number): Promise<void> {
    return asFileError(async () => {
      await this.#handle.truncate(bytes)
      await this.#handle.sync()
    })
  }

  async close(): Promise<void> {
    this.#pack.destroy()
    if (this.#open) await this.#handle.close()
    this.#open = false
  }

  async #drain(): Promise<void> {
    for await (const chunk of this.#pack as AsyncIterable<Uint8Array>) {
      await this.#handle.writeFile(chunk)
      this.#bytes += chunk.length
    }
  }
}
