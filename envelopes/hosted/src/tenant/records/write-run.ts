/** Writes runs, from records in memory and from consecutive runs. A run appears complete and durable, or not at all. */
import { randomBytes } from 'node:crypto'
import { mkdir, open, rename, type FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import { syncDir } from '../durable.ts'
import { Filter } from './filter.ts'
import {
  closePage,
  KEY_BYTES,
  PAGE_BYTES,
  pagesOf,
  PREFIX_BYTES,
  PREFIXES_A_PAGE,
  RECORD_BYTES,
  RECORDS_A_PAGE,
} from './page.ts'
import type { Pending } from './pending.ts'
import { headPage, removeFile, Run, RunReader, type Head, type PageCache, type Range } from './run.ts'

/** Pages per write. */
const CHUNK_PAGES = 64
/** The suffix of a run that is not renamed into place yet. */
export const UNFINISHED = '.new'
export const FINISHED = '.run'

type NewHead = Omit<Head, 'hasFilter'>

/** Receives records in order of their keys. */
class RunWriter {
  readonly #file: FileHandle
  readonly #head: NewHead
  readonly #fence: Float64Array
  readonly filter: Filter
  #chunk = Buffer.alloc(CHUNK_PAGES * PAGE_BYTES)
  /** The number of the chunk's first page in the file. */
  #first = 1
  #page = 0
  #inPage = 0

  constructor(file: FileHandle, head: NewHead) {
    this.#file = file
    this.#head = head
    this.filter = new Filter(head.records)
    this.#fence = new Float64Array(pagesOf(head.records).data)
  }

  /** Copies the record at `at` in `bytes`. Returns a promise when it has to write; await it before the next call. */
  add(bytes: Buffer, at: number): Promise<void> | undefined {
    const to = this.#page * PAGE_BYTES + this.#inPage * RECORD_BYTES
    const chunk = this.#chunk
    for (let i = 0; i < RECORD_BYTES; i++) chunk[to + i] = bytes[at + i] as number
    if (this.#inPage === 0) this.#fence[this.#first - 1 + this.#page] = bytes.readUIntBE(at, PREFIX_BYTES)
    this.filter.add(bytes, at)
    this.#inPage += 1
    if (this.#inPage < RECORDS_A_PAGE) return undefined
    return this.#endPage()
  }

  #endPage(): Promise<void> | undefined {
    closePage(this.#chunk, this.#page * PAGE_BYTES, this.#head.name, this.#first + this.#page)
    this.#inPage = 0
    this.#page += 1
    return this.#page === CHUNK_PAGES ? this.#write() : undefined
  }

  async #write(): Promise<void> {
    const pages = this.#page
    await writeAll(this.#file, this.#chunk.subarray(0, pages * PAGE_BYTES), this.#first * PAGE_BYTES)
    this.#chunk.fill(0)
    this.#first += pages
    this.#page = 0
  }

  /** Writes the remaining records, the fence, the filter and the head, and makes the run durable. */
  async end(): Promise<void> {
    if (this.#inPage > 0) await this.#endPage()
    if (this.#page > 0) await this.#write()
    const { name } = this.#head
    const pages = Math.ceil(this.#fence.length / PREFIXES_A_PAGE)
    const bytes = Buffer.alloc(pages * PAGE_BYTES)
    for (let i = 0; i < this.#fence.length; i++) {
      const at = Math.floor(i / PREFIXES_A_PAGE) * PAGE_BYTES + (i % PREFIXES_A_PAGE) * PREFIX_BYTES
      bytes.writeUIntBE(this.#fence[i] as number, at, PREFIX_BYTES)
    }
    for (let page = 0; page < pages; page++) closePage(bytes, page * PAGE_BYTES, name, this.#first + page)
    await writeAll(this.#file, bytes, this.#first * PAGE_BYTES)
    this.filter.close(name, this.#first + pages)
    await writeAll(this.#file, this.filter.bytes, (this.#first + pages) * PAGE_BYTES)
    await writeAll(this.#file, headPage(this.#head), 0)
    await this.#file.sync()
  }
}

async function writeAll(file: FileHandle, bytes: Buffer, at: number): Promise<void> {
  for (let done = 0; done < bytes.length;)
    done += (await file.write(bytes, done, bytes.length - done, at + done)).bytesWritten
}

/** A directory of runs, and the cache of their pages. */
export interface Place {
  readonly dir: string
  readonly cache: PageCache
}

/** Writes a run of `records` records; `fill` adds them in order. */
async function make(
  { dir, cache }: Place,
  range: Range,
  records: number,
  fill: (writer: RunWriter) => Promise<void>,
): Promise<Run> {
  const name = randomBytes(16).toString('hex')
  const path = join(dir, `${range.from}-${range.to}-${name.slice(0, 8)}`)
  // The directory is disposable and may have been removed.
  await mkdir(dir, { recursive: true })
  const file = await open(path + UNFINISHED, 'wx', 0o600)
  try {
    const writer = new RunWriter(file, { ...range, name, records })
    try {
      await fill(writer)
      await writer.end()
    } finally {
      await file.close()
    }
    await rename(path + UNFINISHED, path + FINISHED)
    await syncDir(dir)
    return Run.open(path + FINISHED, cache, writer.filter)
  } catch (error) {
    removeFile(path + UNFINISHED)
    removeFile(path + FINISHED)
    throw error
  }
}

/** Writes a run from records in memory. */
export function writeRun(place: Place, range: Range, pending: Pending): Promise<Run> {
  return make(place, range, pending.records, async (writer) => {
    const sorted = pending.sorted()
    for (let at = 0; at < sorted.length; at += RECORD_BYTES) {
      const writing = writer.add(sorted, at)
      if (writing !== undefined) await writing
    }
  })
}

/** Merges consecutive runs. @throws PageDamage, or the file system's error */
export async function mergeRuns(
  place: Place,
  runs: readonly Run[],
  isCalledOff: () => boolean,
): Promise<Run> {
  const [first, last] = [runs[0] as Run, runs.at(-1) as Run]
  const { from, before } = first.head
  const { to, root } = last.head
  let records = 0
  for (const { head } of runs) records += head.records
  const readers: RunReader[] = []
  try {
    for (const run of runs) readers.push(await RunReader.open(run))
    return await make(place, { from, before, to, root }, records, async (writer) => {
      for (let left = records; left > 0; left--) {
        const reader = lowest(readers)
        const writing = writer.add(reader.bytes, reader.at)
        if (writing !== undefined) {
          await writing
          if (isCalledOff()) throw new Error('the index is closing')
        }
        const reading = reader.next()
        if (reading !== undefined) await reading
      }
    })
  } finally {
    for (const reader of readers) await reader.close()
  }
}

/** Returns the reader with the lowest key; of equal keys, the first, which has the lower index. */
function lowest(readers: readonly RunReader[]): RunReader {
  let found = readers[0] as RunReader
  for (let i = 1; i < readers.length; i++) {
    const other = readers[i] as RunReader
    if (other.prefix > found.prefix || other.prefix === Number.POSITIVE_INFINITY) continue
    const isLower =
      other.prefix < found.prefix ||
      other.bytes.compare(found.bytes, found.at, found.at + KEY_BYTES, other.at, other.at + KEY_BYTES) < 0
    if (isLower) found = other
  }
  return found
}
