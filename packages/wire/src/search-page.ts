/**
 * Finds the records of a selection. An index may suggest where to look, but every hit comes from an entry that was read and checked against
 * the tree.
 */
import { parseEntry, type Entry } from '@service-fs/format/entry'
import { MAX_JSON_BYTES } from '@service-fs/format/json-fields'
import type { Selection } from '@service-fs/format/selection'
import { LedgerError, unreadable } from '@service-fs/ledger/errors'
import type { Ledger } from '@service-fs/ledger/ledger'
import type { Codec } from '@service-fs/tlog/codec'

/** Entries from the first index up to, not including, the second. */
export type EntryRange = readonly [from: number, to: number]

/** The places where records of a selection may be. */
export interface Places {
  /**
   * The ranges to read, in ascending order. They include the first entry of every record of the selection from the requested entry up to
   * `end`.
   */
  readonly ranges: readonly EntryRange[]
  readonly end: number
  /** The number of sections of the index that were read. Default: 0. */
  readonly sections?: number
}

/** Suggests where to look for records. The index is derived from the ledger and is never trusted: see {@link searchPage}. */
export interface SearchIndex {
  /**
   * Returns the places where records of a selection may be, from the entry `from` up to some `end`, which is above `from` and at most `to`.
   * Returns undefined when the index does not cover the entry `from`, or cannot be read. Never rejects.
   */
  places(selection: Selection, from: number, to: number): Promise<Places | undefined>
}

export interface SearchOptions {
  readonly ledger: Pick<Ledger, 'entries' | 'record'>
  readonly index: SearchIndex | undefined
  readonly codec: Codec
  readonly selection: Selection
  /** The types that a hit may have. If undefined, a hit may have any type. */
  readonly types?: ReadonlySet<string> | undefined
  /** The index of the first entry to search. */
  readonly after: number
  /** The size of the tree that is searched. */
  readonly size: number
  /** The maximum number of hits. */
  readonly limit: number
  /** The search ends once it has read this many entries. A long entry counts once more for each {@link ENTRY_BYTES} of its length. */
  readonly most: number
}

/** The first entry of a record that meets the selection. */
export interface Hit {
  readonly index: number
  readonly id: string
  readonly type: string
  readonly time: string
}

export interface SearchPage {
  readonly hits: readonly Hit[]
  /** The index after the entries that were searched. */
  readonly end: number
}

const BUNDLE = 256
const ENTRY_BYTES = 4096
/** The cost of a query of the index: it takes about as long as reading this many entries. */
const ASKING = 64
/** The cost of reading a section of the index, in entries. */
const SECTION = 16
/** The least cost of reading entries of a bundle, in entries, because the bundle must be decoded. */
const DECODING = 64

/** Searches entries in order, until there are enough hits or enough work was done. @throws LedgerError `corrupt` and others */
export async function searchPage(options: SearchOptions): Promise<SearchPage> {
  const { index, selection, after, size, most } = options
  const search = new Search(options)
  while (search.at < size && !search.isDone) {
    const places = await index?.places(selection, search.at, size)
    if (places === undefined) {
      await search.read(search.at, Math.min(size, search.at + most))
      continue
    }
    search.work += ASKING + SECTION * (places.sections ?? 0)
    for (const [from, to] of places.ranges) {
      if (search.isDone) break
      await search.read(from, to)
    }
    if (!search.isDone || places.ranges.length === 0) search.at = Math.max(search.at, places.end)
  }
  return { hits: search.hits, end: Math.max(after, search.at) }
}

class Search {
  readonly hits: Hit[] = []
  /** The index after the entries that were searched. */
  at: number
  /** The work done, counted in entries read. */
  work = 0
  #isDamaged = false
  readonly #options: SearchOptions

  constructor(options: SearchOptions) {
    this.#options = options
    this.at = options.after
  }

  get isDone(): boolean {
    const { limit, most } = this.#options
    return this.hits.length >= limit || this.work >= most || this.#isDamaged
  }

  /** Reads entries, bundle by bundle, until the search is done. */
  async read(from: number, to: number): Promise<void> {
    for (let at = from; at < to && !this.isDone;) {
      const end = Math.min(to, at - (at % BUNDLE) + BUNDLE)
      const entries = await this.#entries(at, end)
      this.work += Math.max(0, DECODING - entries.length)
      for (const entry of entries) {
        if (!(await this.#look(at, entry))) return this.#endBefore(at)
        at += 1
        this.work += 1 + Math.floor(entry.length / ENTRY_BYTES)
        this.at = at
        if (this.hits.length >= this.#options.limit) return
      }
    }
  }

  /**
   * Returns entries of one bundle. If an entry is damaged, returns the entries before it and ends the search. The next page then begins
   * with the damaged entry, and fails.
   */
  async #entries(from: number, to: number): Promise<readonly Uint8Array[]> {
    const { ledger, after } = this.#options
    const found = await orDamaged(ledger.entries(from, to))
    if (found !== undefined) return found
    const intact: Uint8Array[] = []
    for (let at = from; at < to; at++) {
      const one = at > after ? await orDamaged(ledger.entries(at, at + 1)) : await ledger.entries(at, at + 1)
      if (one === undefined) break
      intact.push(...one)
    }
    this.#isDamaged = intact.length < to - from
    if (this.#isDamaged && intact.length === 0) this.at = from
    return intact
  }

  #endBefore(index: number): void {
    this.#isDamaged = true
    this.at = index
  }

  /** Adds a hit if an entry meets the selection. Returns false if a part of its record is damaged. */
  async #look(index: number, bytes: Uint8Array): Promise<boolean> {
    const { codec, selection, types } = this.#options
    const entry = parsed(index, bytes, codec)
    const { id, type, time } = entry.header
    if (entry.continuation !== undefined || !selection.selects(entry.header)) return true
    if (types?.has(type) === false) return true
    const isHit = selection.where === undefined || (await this.#hasFields(index, entry))
    if (isHit === true) this.hits.push({ index, id, type, time })
    return isHit !== undefined
  }

  /** Reports whether a record meets the conditions on fields. Returns undefined if a part of it is damaged. */
  async #hasFields(index: number, { payload, split }: Entry): Promise<boolean | undefined> {
    const { ledger, selection, after } = this.#options
    const length = split?.length ?? payload.length
    if (length > MAX_JSON_BYTES) return false
    this.work += Math.ceil(length / ENTRY_BYTES)
    if (split === undefined) return selection.selectsPayload(payload)
    this.work += DECODING
    const reading = ledger.record(index)
    const record = await (index > after ? orDamaged(reading) : reading)
    return record === undefined ? undefined : selection.selectsPayload(record.payload)
  }
}

function parsed(index: number, bytes: Uint8Array, codec: Codec): ReturnType<typeof parseEntry> {
  try {
    return parseEntry(bytes, codec)
  } catch (error) {
    throw unreadable(`entry ${index}`, error, index)
  }
}

async function orDamaged<T>(reading: Promise<T>): Promise<T | undefined> {
  try {
    return await reading
  } catch (error) {
    if (error instanceof LedgerError && error.code === 'corrupt') return undefined
    throw error
  }
}
