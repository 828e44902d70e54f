/** Reads many files at a time. Worker threads read small files in groups, in a fraction of the time that Node's thread pool takes. */
import { availableParallelism } from 'node:os'
import { idlest, startAnswering, type AnsweringThread } from '@service-fs/client/answering-thread'
import type { FileGroup, GroupContent } from './file-worker.ts'
import { readSteady } from './steady-file.ts'

/** The number of files in a group. */
const GROUP = 64
/** The number of reads before threads are started. For fewer files, starting threads takes longer than reading. */
const ALONE = 256
/** The maximum number of threads. Reads wait for the disk most of the time, so threads help even on a single processor. */
const MOST_THREADS = 4

const NUL = Buffer.alloc(1)

interface Waiting {
  path: Buffer
  limit: number
  resolve: (content: Uint8Array | Promise<Uint8Array>) => void
}

/** Reads files as `readSteady` does. */
export class FileReads {
  #waiting: Waiting[] = []
  #count = 0
  #threads: AnsweringThread<FileGroup, GroupContent>[] | undefined

  /** Reads a regular file of at most `limit` bytes in the state that it had at one moment. @throws like `readSteady` */
  read(path: Buffer, limit: number): Promise<Uint8Array> {
    if (++this.#count <= ALONE || this.#started().length === 0) return readSteady(path, limit)
    return new Promise((resolve) => {
      this.#waiting.push({ path, limit, resolve })
      if (this.#waiting.length === GROUP) this.#send()
      else if (this.#waiting.length === 1) setImmediate(() => this.#send())
    })
  }

  async close(): Promise<void> {
    await Promise.all((this.#threads ?? []).map((thread) => thread.close()))
  }

  #started(): AnsweringThread<FileGroup, GroupContent>[] {
    const count = Math.min(MOST_THREADS, availableParallelism() + 1)
    return (this.#threads ??= startAnswering(new URL('./file-worker.js', import.meta.url), count))
  }

  #send(): void {
    const group = this.#waiting.splice(0)
    if (group.length > 0) void this.#settle(group)
  }

  async #settle(group: readonly Waiting[]): Promise<void> {
    const paths = Buffer.concat(group.flatMap(({ path }) => [path, NUL]))
    const content = await idlest(this.#started())?.ask(new Uint8Array(paths))
    let start = 0
    for (const [i, { path, limit, resolve }] of group.entries()) {
      const end = content?.ends[i] ?? -1
      if (content === undefined || end < 0 || end - start > limit) resolve(readSteady(path, limit))
      else resolve(content.bytes.subarray(start, end))
      if (end >= 0) start = end
    }
  }
}
