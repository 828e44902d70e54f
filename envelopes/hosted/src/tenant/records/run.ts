/**
 * A run: a file of the record index with every record whose first entry is in one range of the ledger, sorted by key. It is written
 * once and never changed. Page 0 holds the range and the trees at both ends; then come the records, then the first key of each
 * page of them (the fence), then the filter. Each page carries a checksum, so that damage is detected before data is used.
 */
import { closeSync, fstatSync, openSync, readSync, unlinkSync } from 'node:fs'
import { open, type FileHandle } from 'node:fs/promises'
import type { Hash } from '@service-fs/tlog/hash'
import { Filter } from './filter.ts'
import {
  BODY_BYTES,
  checkPage,
  closePage,
  KEY_BYTES,
  PAGE_BYTES,
  PageDamage,
  pagesOf,
  PREFIX_BYTES,
  PREFIXES_A_PAGE,
  RECORD_BYTES,
  RECORDS_A_PAGE,
} from './page.ts'

const MAGIC = 'service-fs/record-index/v2'
/** A run of an earlier version, which has no filter: each lookup reads a page of it. */
const MAGIC_V1 = 'service-fs/record-index/v1'
const HEAD =
  /^service-fs\/record-index\/v[12]\n(?<name>[0-9a-f]{32})\n(?<from>\d{1,15}) (?<before>\S+)\n(?<to>\d{1,15}) (?<root>\S+)\n(?<records>\d{1,15})\n\0*$/

/** The range of a run: the entries from `from` up to `to`, between the trees of those sizes. */
export interface Range {
  readonly from: number
  /** The root hash of the tree of `from` entries; undefined for the empty tree. */
  readonly before: Hash | undefined
  readonly to: number
  readonly root: Hash
}

export interface Head extends Range {
  /** 32 random hex digits, so that pages of another file never pass as pages of this one. */
  readonly name: string
  readonly records: number
  readonly hasFilter: boolean
}

interface Slot {
  /** The head of the run that the page belongs to; undefined for an empty slot. */
  head: Head | undefined
  number: number
  readonly bytes: Buffer
}

const SLOTS = 256

/** Checked pages of all runs, at most 1 MiB. A page has one slot, by its number, so keeping it costs no allocation. */
export class PageCache {
  readonly #slots: Slot[] = []

  slot(number: number): Slot {
    const at = number % SLOTS
    return (this.#slots[at] ??= { head: undefined, number: 0, bytes: Buffer.alloc(PAGE_BYTES) })
  }
}

/** Page 0 of a run. */
export function headPage({ name, from, before, to, root, records }: Omit<Head, 'hasFilter'>): Buffer {
  const page = Buffer.alloc(PAGE_BYTES)
  page.write(`${MAGIC}\n${name}\n${from} ${before ?? '-'}\n${to} ${root}\n${records}\n`, 'latin1')
  closePage(page, 0, MAGIC, 0)
  return page
}

function parseHead(page: Buffer): Head {
  const hasFilter = !page.toString('latin1', 0, BODY_BYTES).startsWith(`${MAGIC_V1}\n`)
  checkPage(page, 0, hasFilter ? MAGIC : MAGIC_V1, 0)
  const found = HEAD.exec(page.toString('latin1', 0, BODY_BYTES))?.groups
  if (found === undefined) throw new PageDamage('page 0: not the head of a run')
  const { name = '', before = '-', root = '' } = found
  const [from, to, records] = [Number(found['from']), Number(found['to']), Number(found['records'])]
  if (from > to || records > to - from) throw new PageDamage('page 0: more records than entries')
  return { name, from, before: before === '-' ? undefined : before, to, root, records, hasFilter }
}

export class Run {
  readonly path: string
  readonly head: Head
  readonly #fd: number
  /** The first 48 bits of the first key of each page of records. */
  readonly #fence: Float64Array
  readonly #filter: Filter | undefined
  readonly #cache: PageCache

  /** `filter`: the filter, if this process wrote the run; otherwise it is read from the file. @throws PageDamage, or the file system's error */
  static open(path: string, cache: PageCache, filter?: Filter): Run {
    const fd = openSync(path, 'r')
    try {
      const page = Buffer.alloc(PAGE_BYTES)
      if (readSync(fd, page, 0, PAGE_BYTES, 0) < PAGE_BYTES) throw new PageDamage('the file is truncated')
      const head = parseHead(page)
      const { data, fence, filter: filterPages } = pagesOf(head.records)
      if (fstatSync(fd).size !== (1 + data + fence + (head.hasFilter ? filterPages : 0)) * PAGE_BYTES)
        throw new PageDamage('the length of the file does not match its head')
      const prefixes = readFence(fd, head, data, fence)
      const read = head.hasFilter ? (filter ?? readFilter(fd, head, 1 + data + fence)) : undefined
      return new Run(path, fd, head, prefixes, read, cache)
    } catch (error) {
      closeSync(fd)
      throw error
    }
  }

  private constructor(
    path: string,
    fd: number,
    head: Head,
    fence: Float64Array,
    filter: Filter | undefined,
    cache: PageCache,
  ) {
    this.path = path
    this.#fd = fd
    this.head = head
    this.#fence = fence
    this.#filter = filter
    this.#cache = cache
  }

  /** Entries covered. */
  get entries(): number {
    return this.head.to - this.head.from
  }

  /** Reports whether the run may have the key at `at` in `keys`, without reading. False is certain. */
  mayHave(keys: Buffer, at: number): boolean {
    return this.#filter === undefined || this.#filter.has(keys, at)
  }

  /**
   * Returns the index stored with the key at `at` in `keys`, or the lowest index if several are stored.
   * @throws PageDamage, or the file system's error
   */
  find(keys: Buffer, at: number): number | undefined {
    const prefix = keys.readUIntBE(at, PREFIX_BYTES)
    // The first page that may hold the key is the last page whose first key is lower.
    for (let page = Math.max(0, this.#lowerBound(prefix) - 1); page < this.#fence.length; page++) {
      if ((this.#fence[page] as number) > prefix) return undefined
      const found = this.#inPage(page, keys, at)
      if (found !== undefined) return found
    }
    return undefined
  }

  /** Returns the first page whose first key is not below `prefix`. */
  #lowerBound(prefix: number): number {
    let [low, high] = [0, this.#fence.length]
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.#fence[middle] as number) < prefix) low = middle + 1
      else high = middle
    }
    return low
  }

  /** Returns a page of records from the cache, or reads and checks it. */
  #page(number: number): Buffer {
    const slot = this.#cache.slot(number)
    if (slot.head === this.head && slot.number === number) return slot.bytes
    slot.head = undefined
    if (readSync(this.#fd, slot.bytes, 0, PAGE_BYTES, (number + 1) * PAGE_BYTES) < PAGE_BYTES)
      throw new PageDamage(`page ${number + 1}: truncated`)
    checkPage(slot.bytes, 0, this.head.name, number + 1)
    slot.head = this.head
    slot.number = number
    return slot.bytes
  }

  #inPage(number: number, keys: Buffer, key: number): number | undefined {
    const page = this.#page(number)
    const { from, to, records } = this.head
    const count = Math.min(RECORDS_A_PAGE, records - number * RECORDS_A_PAGE)
    let [low, high] = [0, count]
    while (low < high) {
      const middle = (low + high) >>> 1
      const at = middle * RECORD_BYTES
      if (page.compare(keys, key, key + KEY_BYTES, at, at + KEY_BYTES) < 0) low = middle + 1
      else high = middle
    }
    const at = low * RECORD_BYTES
    if (low === count || page.compare(keys, key, key + KEY_BYTES, at, at + KEY_BYTES) !== 0) return undefined
    const index = page.readUIntBE(at + KEY_BYTES, 6)
    if (index < from || index >= to)
      throw new PageDamage(`page ${number + 1}: entry ${index} is outside of this run`)
    return index
  }

  close(): void {
    closeSync(this.#fd)
  }

  /** Closes and removes the run. */
  remove(): void {
    this.close()
    removeFile(this.path)
  }
}

/** Removes a file. If that fails, the next start finds the file and checks it again. */
export function removeFile(path: string): void {
  try {
    unlinkSync(path)
  } catch {
    // The file may be removed already.
  }
}

function readFence(fd: number, { name, records }: Head, data: number, pages: number): Float64Array {
  const fence = new Float64Array(data)
  const page = Buffer.alloc(PAGE_BYTES)
  for (let number = 0; number < pages; number++) {
    const at = 1 + data + number
    if (readSync(fd, page, 0, PAGE_BYTES, at * PAGE_BYTES) < PAGE_BYTES)
      throw new PageDamage(`page ${at}: truncated`)
    checkPage(page, 0, name, at)
    const first = number * PREFIXES_A_PAGE
    for (let i = first; i < Math.min(data, first + PREFIXES_A_PAGE); i++)
      fence[i] = page.readUIntBE((i - first) * PREFIX_BYTES, PREFIX_BYTES)
  }
  if (data !== Math.ceil(records / RECORDS_A_PAGE))
    throw new PageDamage('page 0: the number of pages does not match')
  return fence
}

/** Reads the filter, which begins at page `first`. */
function readFilter(fd: number, { name, records }: Head, first: number): Filter {
  const bytes = Buffer.allocUnsafeSlow(pagesOf(records).filter * PAGE_BYTES)
  for (let at = 0; at < bytes.length;) {
    const read = readSync(fd, bytes, at, bytes.length - at, first * PAGE_BYTES + at)
    if (read === 0) throw new PageDamage(`page ${first}: truncated`)
    at += read
  }
  const filter = new Filter(records, bytes)
  filter.check(name, first)
  return filter
}

/** Pages per read when a whole run is read. */
const CHUNK_PAGES = 64

/** Reads a run from its first record to its last. */
export class RunReader {
  readonly #file: FileHandle
  readonly #head: Head
  #chunk = Buffer.alloc(0)
  #next = 0
  /** The current record is at `at` in `bytes`; `prefix` is the start of its key, Infinity at the end. */
  bytes: Buffer = Buffer.alloc(0)
  at = 0
  prefix = 0
  #inPage = 0
  #pageAt = 0

  static async open(run: Run): Promise<RunReader> {
    const reader = new RunReader(await open(run.path, 'r'), run.head)
    await reader.#read()
    return reader
  }

  private constructor(file: FileHandle, head: Head) {
    this.#file = file
    this.#head = head
  }

  /** Moves to the next record. Returns a promise when it has to read; await it before using the record. */
  next(): Promise<void> | undefined {
    this.#next += 1
    this.#inPage += 1
    if (this.#next >= this.#head.records) {
      this.prefix = Number.POSITIVE_INFINITY
      return undefined
    }
    if (this.#inPage === RECORDS_A_PAGE) {
      this.#inPage = 0
      this.#pageAt += PAGE_BYTES
      if (this.#pageAt === this.#chunk.length) return this.#read()
    }
    this.#stand()
    return undefined
  }

  #stand(): void {
    this.at = this.#pageAt + this.#inPage * RECORD_BYTES
    this.prefix = this.bytes.readUIntBE(this.at, PREFIX_BYTES)
  }

  async #read(): Promise<void> {
    const { name, records } = this.#head
    if (this.#next >= records) {
      this.prefix = Number.POSITIVE_INFINITY
      return
    }
    const first = 1 + Math.floor(this.#next / RECORDS_A_PAGE)
    const pages = Math.min(CHUNK_PAGES, 1 + pagesOf(records).data - first)
    this.#chunk = Buffer.alloc(pages * PAGE_BYTES)
    const { bytesRead } = await this.#file.read(this.#chunk, 0, this.#chunk.length, first * PAGE_BYTES)
    if (bytesRead < this.#chunk.length) throw new PageDamage(`page ${first}: truncated`)
    for (let i = 0; i < pages; i++) checkPage(this.#chunk, i * PAGE_BYTES, name, first + i)
    this.bytes = this.#chunk
    this.#pageAt = 0
    this.#inPage = 0
    this.#stand()
  }

  close(): Promise<void> {
    return this.#file.close()
  }
}
