/**
 * The search index of a ledger: segments in its cache/, each for a fixed range of entries, and collectors in memory
 * for ranges that are not complete yet. Indexing begins with the first search, follows the ledger in the background,
 * and takes at most a quarter of the time. The index rebuilds a missing or damaged segment from its entries; until then
 * a search reads the entries.
 */
import { createHash } from 'node:crypto'
import { mkdir, readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { codeOf, messageOf } from '@service-fs/format/errors'
import type { SearchField } from '@service-fs/format/json-fields'
import type { Selection } from '@service-fs/format/selection'
import type { WireLedger } from '@service-fs/wire/call'
import type { EntryRange, Places, SearchIndex } from '@service-fs/wire/search-page'
import { BUNDLE, Collector } from './collector.ts'
import { Segment, SegmentReplaced, writeSegment } from './segment.ts'

/** The part of a ledger that is indexed. */
export type IndexedLedger = Pick<WireLedger, 'size' | 'entries' | 'tileHash' | 'grown'>

export interface SearchIndexOptions {
  /** Receives the reason why a segment could not be written or was discarded. */
  readonly report: (reason: string) => void
  /** Calls `run` once after `ms` milliseconds. */
  readonly after: (ms: number, run: () => void) => void
  /** The fields whose values are indexed. Default: none. */
  readonly fields?: readonly SearchField[]
  /** Whether segments are written. Default: true. */
  readonly writes?: boolean
  /** Bundles of a segment. Default: 64. */
  readonly bundles?: number
  /** Bytes of the heads of the segments that are kept open. Default: 8 MiB. */
  readonly openBytes?: number
}

/** 16,384 entries: a search of 10,000,000 entries reads about 600 segments. */
const BUNDLES = 64
/**
 * Open segments that are kept in memory, and the bytes of their heads. A head takes about 10 KB, or up to 5 MB with the
 * longest types.
 */
const MOST_OPEN = 64
const MOST_OPEN_BYTES = 8 * 2 ** 20
/** Temporary failures of the disk or of the process. */
const PASSING: ReadonlySet<string> = new Set([
  'EMFILE',
  'ENFILE',
  'ENOMEM',
  'EAGAIN',
  'ENOSPC',
  'EDQUOT',
  'EIO',
])
/** Milliseconds that the index waits after such a failure before it makes the segment again. */
const AGAIN_MS = 60_000
/** After each bundle, the indexing waits this many times as long as the bundle took, but not longer than the limit. */
const REST = 3
const LONGEST_REST_MS = 100
const NAME = /^(?:0|[1-9]\d{0,11})$/

/** The state of an index. An index lists its files at the first search. */
export interface IndexStatus {
  /** The number of entries that are indexed with all declared fields. */
  readonly entries: number
  /** The bytes of the index's files. */
  readonly bytes: number
  /** Whether the index reads entries, or is about to read them. */
  readonly isIndexing: boolean
}

export class SegmentIndex implements SearchIndex {
  readonly #ledger: IndexedLedger
  readonly #dir: string
  readonly #options: SearchIndexOptions
  readonly #bundles: number
  readonly #fields: readonly SearchField[]
  /** The segments with a file: their numbers, and the lengths of the files. */
  readonly #stored = new Map<number, number>()
  /** The segments that lack a declared field. Searches use them until they are made again. */
  readonly #outdated = new Set<number>()
  /** The segments that cannot be built, because an entry cannot be read or the file cannot be written. */
  readonly #skipped = new Set<number>()
  /** The segments that are being built. */
  readonly #collectors = new Map<number, Collector>()
  readonly #open = new Map<number, Segment>()
  #running: Promise<void> | undefined
  #isClosed = false
  #isWaiting = false
  #wake: () => void = () => undefined

  constructor(ledger: IndexedLedger, dir: string, options: SearchIndexOptions) {
    this.#ledger = ledger
    this.#dir = dir
    this.#options = options
    this.#bundles = options.bundles ?? BUNDLES
    this.#fields = options.fields ?? []
  }

  get status(): IndexStatus {
    const stored = (this.#stored.size - this.#outdated.size) * this.#bundles * BUNDLE
    let [entries, bytes] = [stored, 0]
    for (const { first, end } of this.#collectors.values()) entries += end - first
    for (const length of this.#stored.values()) bytes += length
    const isIndexing = this.#running !== undefined && !this.#isClosed && !this.#isWaiting
    return { entries, bytes, isIndexing }
  }

  async places(selection: Selection, from: number, to: number): Promise<Places | undefined> {
    this.#running ??= this.#run()
    const entries = this.#bundles * BUNDLE
    const number = Math.floor(from / entries)
    const collector = this.#collectors.get(number)
    if (collector !== undefined && from < collector.end)
      return within(collector.ranges(selection, from), collector.end, to)
    if (!this.#stored.has(number)) return undefined
    try {
      const segment = this.#open.get(number) ?? (await this.#opened(number))
      const before = segment.sections
      const ranges = await segment.ranges(selection, from, this.#fields)
      return { ...within(ranges, (number + 1) * entries, to), sections: segment.sections - before }
    } catch (error) {
      if (error instanceof SegmentReplaced) this.#open.delete(number)
      else if (!isPassing(error)) await this.#discard(number, error)
      return undefined
    }
  }

  /** Stops the indexing. */
  async close(): Promise<void> {
    this.#isClosed = true
    this.#wake()
    await this.#running
  }

  async #opened(number: number): Promise<Segment> {
    const first = number * this.#bundles * BUNDLE
    const segment = await Segment.open(this.#path(number), first, await this.#tree(number))
    this.#open.set(number, segment)
    if (!segment.covers(this.#fields) && this.#options.writes !== false && !this.#outdated.has(number)) {
      this.#outdated.add(number)
      this.#wake()
    }
    const { openBytes = MOST_OPEN_BYTES } = this.#options
    let bytes = [...this.#open.values()].reduce((sum, { headBytes }) => sum + headBytes, 0)
    for (const [oldest, { headBytes }] of this.#open) {
      if (this.#open.size <= MOST_OPEN && bytes <= openBytes) break
      this.#open.delete(oldest)
      bytes -= headBytes
    }
    return segment
  }

  /** Removes a segment that is damaged. It is made again. A ledger that is open for reading only keeps the file, and does not use it. */
  async #discard(number: number, why: unknown): Promise<void> {
    this.#open.delete(number)
    this.#outdated.delete(number)
    if (codeOf(why) === 'closed' || !this.#stored.delete(number)) return
    const path = this.#path(number)
    const writes = this.#options.writes !== false
    if (writes) await rm(path, { force: true, recursive: true }).catch(() => undefined)
    const then = writes ? 'the segment is made again' : 'searches read its entries instead'
    this.#options.report(`${path}: ${messageOf(why)}; ${then}`)
    this.#wake()
  }

  #path(number: number): string {
    return join(this.#dir, String(number))
  }

  /** Returns a hash of the hashes of the bundles' tiles, which names the content of the entries. */
  async #tree(number: number): Promise<string> {
    const hash = createHash('sha256')
    for (let i = 0; i < this.#bundles; i++)
      hash.update(`${await this.#ledger.tileHash(0, number * this.#bundles + i)}\n`)
    return hash.digest('base64')
  }

  /** Never rejects. */
  async #run(): Promise<void> {
    try {
      await this.#list()
      while (!this.#isClosed) await this.#step()
    } catch (error) {
      if (!this.#isClosed && codeOf(error) !== 'closed')
        this.#options.report(`the indexing ended: ${messageOf(error)}`)
    }
  }

  /** Finds the segments of an earlier run, and removes all other files. */
  async #list(): Promise<void> {
    const names = await readdir(this.#dir).catch(() => [])
    for (const name of names) {
      if (NAME.test(name)) this.#stored.set(Number(name), await lengthOf(join(this.#dir, name)))
      else if (this.#options.writes !== false)
        await rm(join(this.#dir, name), { force: true, recursive: true }).catch(() => undefined)
    }
  }

  /** Reads the next bundle of the first segment that is missing or outdated, or waits until there is such a segment. */
  async #step(): Promise<void> {
    let number = 0
    while (this.#isStored(number) || this.#skipped.has(number)) number += 1
    const first = number * this.#bundles * BUNDLE
    const collector = this.#collectors.get(number) ?? new Collector(first, this.#fields)
    this.#collectors.set(number, collector)
    if (this.#ledger.size < collector.end + BUNDLE) return this.#wait(collector.end + BUNDLE - 1)
    const started = performance.now()
    try {
      collector.add(await this.#ledger.entries(collector.end, collector.end + BUNDLE))
      if (collector.times.length === this.#bundles) await this.#store(number, collector)
    } catch (error) {
      if (codeOf(error) === 'closed') throw error
      // Somebody removed the directory meanwhile.
      if (codeOf(error) === 'ENOENT') this.#collectors.delete(number)
      else this.#skip(number, error)
    }
    await this.#rest(REST * (performance.now() - started))
  }

  #isStored(number: number): boolean {
    return this.#stored.has(number) && !this.#outdated.has(number)
  }

  /** Waits until the ledger has more than `size` entries, a segment is missing, or the index is closed. */
  async #wait(size: number): Promise<void> {
    const grown = this.#ledger.grown(size)
    grown.catch(() => undefined)
    const woken = new Promise<void>((resolve) => (this.#wake = resolve))
    this.#isWaiting = true
    await Promise.race([grown, woken])
    this.#isWaiting = false
  }

  /** Waits until the time has passed or the index is closed. */
  async #rest(ms: number): Promise<void> {
    if (this.#isClosed) return
    await new Promise<void>((resolve) => {
      this.#wake = resolve
      this.#options.after(Math.min(LONGEST_REST_MS, Math.ceil(ms)), resolve)
    })
  }

  async #store(number: number, collector: Collector): Promise<void> {
    if (this.#options.writes === false) throw new Error('the ledger was opened read-only')
    await mkdir(this.#dir, { recursive: true, mode: 0o700 })
    const length = await writeSegment(this.#path(number), collector, await this.#tree(number))
    this.#stored.set(number, length)
    this.#outdated.delete(number)
    this.#open.delete(number)
    this.#collectors.delete(number)
  }

  #skip(number: number, why: unknown): void {
    this.#skipped.add(number)
    this.#collectors.delete(number)
    if (isPassing(why))
      this.#options.after(AGAIN_MS, () => {
        this.#skipped.delete(number)
        this.#wake()
      })
    if (this.#options.writes !== false)
      this.#options.report(`${this.#path(number)}: ${messageOf(why)}; searches read its entries instead`)
  }
}

async function lengthOf(path: string): Promise<number> {
  const found = await stat(path).catch(() => undefined)
  return found?.size ?? 0
}

function isPassing(error: unknown): boolean {
  return PASSING.has(String(codeOf(error)))
}

function within(ranges: readonly EntryRange[], end: number, to: number): Places {
  if (end <= to) return { ranges, end }
  const inside = ranges
    .filter(([from]) => from < to)
    .map(([from, until]) => [from, Math.min(until, to)] as const)
  return { ranges: inside, end: to }
}
