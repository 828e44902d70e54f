/** Writes an examiner's pack as a directory. */
import { open, type FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import type { PackFile, PackOutput } from '@service-fs/client/examine/output'
import { besideOf, moveDirectory, type Written } from '../output.ts'
import { DirectoryWriter } from '../output-directory.ts'
import { asFileError } from '@service-fs/client/errors'

/** The mode of a pack's files: read-only, because a finished pack never changes. */
const MODE = 0o444
const BUFFER = 64 << 10

/** A pack under construction. It appears at its final path, complete, when `finish` resolves. */
export interface PackWriter extends PackOutput {
  /** Moves the pack into place. @throws ClientError `file` */
  finish(): Promise<Written>
  /** Removes all written files, unless `finish` has moved them into place. */
  discard(): Promise<void>
}

/** Opens a pack that becomes the directory `place`. @throws ClientError `file` when `place` exists */
export async function packDirectory(place: string): Promise<PackWriter> {
  const beside = await besideOf(place)
  const writer = await DirectoryWriter.begin(beside, true)
  const files: GrowingFile[] = []
  return {
    folder: beside,
    put: (path, bytes) => writer.put(path, bytes, MODE),
    async open(path) {
      const file = await GrowingFile.create(join(beside, path))
      files.push(file)
      return file
    },
    async finish() {
      const { files: count, bytes } = await writer.end()
      await moveDirectory(beside, place)
      return { files: count + files.length, bytes: files.reduce((sum, file) => sum + file.bytes, bytes) }
    },
    async discard() {
      for (const file of files) await file.close()
      await writer.discard()
    },
  }
}

/** A file that is written in order, through a buffer. */
export class GrowingFile implements PackFile {
  readonly #handle: FileHandle
  #waiting: string[] = []
  #length = 0
  #closed = false
  bytes = 0

  private constructor(handle: FileHandle) {
    this.#handle = handle
  }

  /** Makes a file in a directory that exists. @throws ClientError `file` */
  static create(path: string): Promise<GrowingFile> {
    return asFileError(async () => new GrowingFile(await open(path, 'wx', 0o600)))
  }

  async write(text: string): Promise<void> {
    this.#waiting.push(text)
    this.#length += text.length
    if (this.#length >= BUFFER) await asFileError(() => this.#flush())
  }

  async end(): Promise<void> {
    await asFileError(async () => {
      await this.#flush()
      await this.#handle.chmod(MODE)
      await this.#handle.sync()
    })
    await this.close()
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    await asFileError(() => this.#handle.close())
  }

  async #flush(): Promise<void> {
    const bytes = Buffer.from(this.#waiting.join(''))
    this.#waiting = []
    this.#length = 0
    await this.#handle.writeFile(bytes)
    this.bytes += bytes.length
  }
}
