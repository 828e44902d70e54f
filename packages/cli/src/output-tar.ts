/** A ledger written as a ustar archive: an export in one file, or a disk image for Envelope B. */
import { open, readFile, type FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import { pack, type Header } from 'tar-stream'
import { ClientError } from '@service-fs/client/errors'
import { DirectoryWriter } from './output-directory.ts'
import { asFileError, besideOf, moveFile, removeBeside, type Output } from './output.ts'

const MIB = 1 << 20
/** Without another size, a disk image has room to grow to four times what is in it, and at least this size. */
const LEAST_DISK = 256 * MIB
const GROWTH = 4

/**
 * An archive with its members in the order of their names, without folders, all of mode 0444. They are collected in a
 * directory beside it, for they come in another order.
 * @throws ClientError `file` when there is something at `place`
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

/** Writes an archive of the files below a folder; how many bytes it has. */
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
 * A disk image: a folder `<moduleId>/` of mode 0700 and the ledger's files below it, then zeros up to the disk's size.
 * @throws ClientError `file` when there is something at `place`
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
    // It is looked at with the next member, or at the end.
    this.#drained.catch(() => undefined)
  }

  static begin(file: string): Promise<TarWriter> {
    return asFileError(async () => new TarWriter(await open(file, 'wx', 0o600)))
  }

  /** Adds a member, of the same bytes whoever writes it and when. @throws ClientError `file` */
  add(member: Pick<Header, 'name' | 'mode'> & Partial<Header>, bytes: Uint8Array): Promise<void> {
    const header = { ...member, uid: 0, gid: 0, mtime: new Date(0) }
    const added = new Promise<void>((resolve, reject) => {
      const done = (error?: Error | null): void => (error ? reject(error) : resolve())
      if (member.type === 'directory') this.#pack.entry(header, done)
      else this.#pack.entry(header, bytes, done)
    })
    return asFileError(() => Promise.race([added, this.#drained]))
  }

  /** Ends the archive and syncs it; how many bytes it has. @throws ClientError `file` */
  end(): Promise<number> {
    return asFileError(async () => {
      this.#pack.finalize()
      await this.#drained
      await this.#handle.sync()
      return this.#bytes
    })
  }

  /** Adds zeros up to a size. @throws ClientError `file` */
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
