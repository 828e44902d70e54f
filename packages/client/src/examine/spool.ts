/** Keeps items in a temporary file until the rest of a pack is known, so that memory does not grow with their number. */
import { open, rm, type FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import { asFileError } from '../errors.ts'
import { asciiJson } from './safe-text.ts'

/** The number of characters to collect before a write. */
const BUFFER = 64 << 10

export class Spool<T> {
  readonly #path: string
  readonly #handle: FileHandle
  #waiting: string[] = []
  #length = 0

  private constructor(path: string, handle: FileHandle) {
    this.#path = path
    this.#handle = handle
  }

  /** Makes the file in an existing folder. @throws ClientError `file` */
  static async open<T>(folder: string): Promise<Spool<T>> {
    const path = join(folder, 'rows.tmp')
    return new Spool<T>(path, await asFileError(() => open(path, 'wx+', 0o600)))
  }

  async add(item: T): Promise<void> {
    // readLines() also ends lines at other characters, but none of them is in ASCII.
    const line = `${asciiJson(item)}\n`
    this.#waiting.push(line)
    this.#length += line.length
    if (this.#length >= BUFFER) await this.#flush()
  }

  /** Yields all items in order. @throws ClientError `file` */
  async *items(): AsyncGenerator<T> {
    await this.#flush()
    for await (const line of this.#handle.readLines({ start: 0, autoClose: false }))
      yield JSON.parse(line) as T
  }

  /** Closes and removes the file. */
  async close(): Promise<void> {
    await this.#handle.close().catch(() => undefined)
    await rm(this.#path, { force: true })
  }

  async #flush(): Promise<void> {
    const text = this.#waiting.join('')
    this.#waiting = []
    this.#length = 0
    await asFileError(() => this.#handle.writeFile(text))
  }
}
