/** A high-water mark on a simulated disk, for tests: each write makes a file, syncs it, and renames it into place. */
import type { FileSystem } from '@service-fs/storage/file-system'
import { pureCodec } from '@service-fs/tlog/codec'
import type { HighWaterMark, Mark } from './high-water-mark.ts'
import type { Head } from './head.ts'

const LIMIT = 4096

/** The files are on the ledger's disk, so power cuts and failures affect the mark as they affect the ledger. */
export class DiskMark implements HighWaterMark {
  readonly name = 'mark'
  readonly #files: FileSystem
  #next = 0

  constructor(files: FileSystem) {
    this.#files = files
  }

  remedy(size: number): string {
    return `accept ${size}`
  }

  async read(): Promise<Mark | undefined> {
    const bytes = await this.#files.readFile('mark/newest', LIMIT)
    return bytes === undefined ? undefined : (JSON.parse(pureCodec.utf8Decode(bytes)) as Mark)
  }

  async begin(head: Head): Promise<void> {
    if (!(await this.#files.exists('mark'))) await this.#files.makeDir('mark')
    await this.#files.syncDir('')
    for (const name of await this.#files.list('mark'))
      if (name !== 'newest') await this.#files.unlink(`mark/${name}`)
    await this.note(head)
  }

  async note({ size, root }: Head): Promise<void> {
    const path = `mark/${this.#next++}`
    await this.#files.create(path, pureCodec.utf8Encode(JSON.stringify({ size, root })), 0o600)
    await this.#files.rename(path, 'mark/newest')
    await this.#files.syncDir('mark')
  }

  async close(): Promise<void> {}
}
