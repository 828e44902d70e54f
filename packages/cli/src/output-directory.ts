/** Writes a ledger as a directory of files. */
import { mkdir, open } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { besideOf, moveDirectory, removeBeside, syncDirectory } from './output.ts'
import type { Output, Written } from './output.ts'
import { asFileError } from '@service-fs/client/errors'

/** The number of files written at a time. */
const WIDTH = 8

/** Opens an output that becomes a directory at `place`. @throws ClientError `file` when `place` exists */
export async function directoryOutput(place: string): Promise<Output> {
  const beside = await besideOf(place)
  const writer = await DirectoryWriter.begin(beside, true)
  return {
    put: (path, bytes, mode) => writer.put(path, bytes, mode),
    async finish() {
      const written = await writer.end()
      await moveDirectory(beside, place)
      return written
    },
    discard: () => writer.discard(),
  }
}

/** Writes files into a new directory of mode 0700. */
export class DirectoryWriter {
  readonly names: string[] = []
  readonly #dir: string
  /** Whether to sync every file and directory. */
  readonly #durable: boolean
  readonly #folders = new Map<string, Promise<void>>()
  readonly #running = new Set<Promise<void>>()
  #failed: { error: unknown } | undefined
  #bytes = 0

  private constructor(dir: string, durable: boolean) {
    this.#dir = dir
    this.#durable = durable
  }

  /** Makes the directory. @throws ClientError `file` */
  static async begin(dir: string, durable: boolean): Promise<DirectoryWriter> {
    const writer = new DirectoryWriter(dir, durable)
    await asFileError(() => writer.#folder('.'))
    return writer
  }

  /** Like `Output.put`. */
  async put(path: string, bytes: Uint8Array, mode: number): Promise<void> {
    if (this.#running.size >= WIDTH) await Promise.race(this.#running)
    this.#check()
    this.names.push(path)
    this.#bytes += bytes.length
    const task: Promise<void> = asFileError(() => this.#write(path, bytes, mode))
      .catch((error: unknown) => void (this.#failed ??= { error }))
      .finally(() => this.#running.delete(task))
    this.#running.add(task)
  }

  /** Waits for all files, and syncs the directories if durable. @throws ClientError `file` */
  async end(): Promise<Written> {
    await Promise.all(this.#running)
    this.#check()
    if (this.#durable)
      await asFileError(async () => {
        for (const folder of this.#folders.keys()) await syncDirectory(join(this.#dir, folder))
      })
    return { files: this.names.length, bytes: this.#bytes }
  }

  /** Removes the directory. @throws ClientError `file` */
  async discard(): Promise<void> {
    await Promise.all(this.#running)
    await removeBeside(this.#dir)
  }

  #check(): void {
    if (this.#failed !== undefined) throw this.#failed.error
  }

  async #write(path: string, bytes: Uint8Array, mode: number): Promise<void> {
    await this.#folder(dirname(path))
    const handle = await open(join(this.#dir, path), 'wx', 0o600)
    try {
      await handle.writeFile(bytes)
      await handle.chmod(mode)
      if (this.#durable) await handle.sync()
    } finally {
      await handle.close()
    }
  }

  #folder(folder: string): Promise<void> {
    let made = this.#folders.get(folder)
    if (made === undefined) {
      made = this.#make(folder)
      this.#folders.set(folder, made)
    }
    return made
  }

  async #make(folder: string): Promise<void> {
    if (folder !== '.') await this.#folder(dirname(folder))
    await mkdir(join(this.#dir, folder), 0o700)
  }
}
