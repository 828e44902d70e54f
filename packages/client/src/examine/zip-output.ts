/** Writes a pack as a zip archive. A file that grows is stored deflated in a temporary folder until the other files are written. */
import { open, rm, type FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import { crc32, createDeflateRaw, type DeflateRaw } from 'node:zlib'
import { asFileError, ClientError } from '../errors.ts'
import type { PackFile, PackOutput } from './output.ts'
import { ZipWriter } from './zip-writer.ts'

/** The number of characters to collect before they are deflated. */
const BUFFER = 64 << 10
const DEFLATED = 8

export class ZipOutput implements PackOutput {
  readonly #zip: ZipWriter
  readonly folder: string
  readonly #growing: GrowingFile[] = []
  /** Files of the archive. */
  files = 0

  /**
   * @param write takes the next bytes of the archive
   * @param folder an existing folder for temporary files
   */
  constructor(write: (bytes: Uint8Array) => Promise<void>, folder: string, made: Date) {
    this.#zip = new ZipWriter(write, made)
    this.folder = folder
  }

  /** Bytes of the archive so far. */
  get bytes(): number {
    return this.#zip.bytes
  }

  put(path: string, bytes: Uint8Array): Promise<void> {
    this.files += 1
    return this.#zip.add(path, bytes)
  }

  async open(path: string): Promise<PackFile> {
    const place = join(this.folder, String(this.#growing.length))
    const file = await GrowingFile.create(path, place)
    this.#growing.push(file)
    return file
  }

  /** Writes the files that grew, and the end of the archive. @throws ClientError `file` */
  async end(): Promise<void> {
    for (const file of this.#growing.splice(0)) {
      this.files += 1
      await file.copyTo(this.#zip)
    }
    await this.#zip.end()
  }

  /** Closes the temporary files, and removes the folder. */
  async close(): Promise<void> {
    for (const file of this.#growing) await file.close()
    await rm(this.folder, { recursive: true, force: true })
  }
}

/** A file that is deflated while it grows. */
class GrowingFile implements PackFile {
  readonly #path: string
  readonly #place: string
  readonly #handle: FileHandle
  readonly #deflate: DeflateRaw
  readonly #done: Promise<void>
  #waiting: string[] = []
  #length = 0
  #crc = 0
  #size = 0

  private constructor(path: string, place: string, handle: FileHandle) {
    this.#path = path
    this.#place = place
    this.#handle = handle
    this.#deflate = createDeflateRaw()
    this.#done = this.#store()
    // `end` throws the failure. Without this handler, Node would report it as unhandled before that.
    this.#done.catch(() => undefined)
  }

  static create(path: string, place: string): Promise<GrowingFile> {
    return asFileError(async () => new GrowingFile(path, place, await open(place, 'wx+', 0o600)))
  }

  async write(text: string): Promise<void> {
    this.#waiting.push(text)
    this.#length += text.length
    if (this.#length >= BUFFER) await this.#flush()
  }

  async end(): Promise<void> {
    await this.#flush()
    this.#deflate.end()
    await asFileError(() => this.#done)
  }

  async copyTo(zip: ZipWriter): Promise<void> {
    const { size: packed } = await asFileError(() => this.#handle.stat())
    await zip.begin(this.#path, { method: DEFLATED, crc: this.#crc, size: this.#size, packed })
    for (let at = 0; at < packed;) {
      const bytes = Buffer.allocUnsafe(Math.min(BUFFER, packed - at))
      const { bytesRead } = await asFileError(() => this.#handle.read(bytes, 0, bytes.length, at))
      if (bytesRead === 0) throw new ClientError('file', `${this.#place}: became shorter while it was read`)
      await zip.packed(bytes.subarray(0, bytesRead))
      at += bytesRead
    }
    await this.close()
  }

  async close(): Promise<void> {
    this.#deflate.destroy()
    await this.#done.catch(() => undefined)
    await this.#handle.close().catch(() => undefined)
    await rm(this.#place, { force: true })
  }

  /** Stores the deflated bytes. Resolves when the file is complete. */
  async #store(): Promise<void> {
    for await (const bytes of this.#deflate) await this.#handle.writeFile(bytes as Buffer)
  }

  async #flush(): Promise<void> {
    const bytes = Buffer.from(this.#waiting.join(''))
    this.#waiting = []
    this.#length = 0
    this.#crc = crc32(bytes, this.#crc)
    this.#size += bytes.length
    await asFileError(
      () =>
        new Promise<void>((resolve, reject) => {
          this.#deflate.write(bytes, (error) => (error == null ? resolve() : reject(error)))
        }),
    )
  }
}
