import type { Hash } from '@service-fs/tlog/hash'

/** A record's identifier and the index of its first entry. */
export interface IndexedRecord {
  id: string
  index: number
}

/** The stored data of an index is corrupt. The index then covers fewer entries; the missing records must be put again. */
export class RecordIndexDamage extends Error {
  constructor(message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.name = 'RecordIndexDamage'
  }
}

/**
 * Finds a record by its identifier. An index is derived from the ledger and can be deleted at any time.
 *
 * `size` and `root` say which tree it covers. An index of an older tree of this ledger is completed by a scan; an index of another
 * ledger is cleared. An index detects lost and changed data: for the entries that it covers it finds every record, or throws. It may
 * cover fewer entries at any time, but never more than were put.
 */
export interface RecordIndex {
  /** Entries covered, and the root hash of the tree of that size; 0 and undefined when empty. */
  readonly size: number
  readonly root: Hash | undefined
  /** Returns the index of the first entry of the record `id`. It sees every earlier put(). @throws RecordIndexDamage, after which `size` is smaller */
  get(id: string): number | undefined
  /** Returns what get() returns for each identifier, in order. It reads no stored page twice. @throws RecordIndexDamage */
  getAll(ids: readonly string[]): (number | undefined)[]
  /** Adds the records of the entries after those covered; the index then covers `size` entries, but may write them later. */
  put(records: readonly IndexedRecord[], size: number, root: Hash): void
  /** Resolves when earlier puts are written. Records that cannot be written stay in memory. */
  flush(): Promise<void>
  clear(): Promise<void>
  close(): Promise<void>
}

/** An index in memory: about 100 bytes a record, rebuilt at each start. */
export class MemoryIndex implements RecordIndex {
  #records = new Map<string, number>()
  #size = 0
  #root: Hash | undefined

  get size(): number {
    return this.#size
  }

  get root(): Hash | undefined {
    return this.#root
  }

  get(id: string): number | undefined {
    return this.#records.get(id)
  }

  getAll(ids: readonly string[]): (number | undefined)[] {
    return ids.map((id) => this.#records.get(id))
  }

  put(records: readonly IndexedRecord[], size: number, root: Hash): void {
    for (const { id, index } of records) if (!this.#records.has(id)) this.#records.set(id, index)
    this.#size = size
    this.#root = root
  }

  flush(): Promise<void> {
    return Promise.resolve()
  }

  clear(): Promise<void> {
    this.#records.clear()
    this.#size = 0
    this.#root = undefined
    return Promise.resolve()
  }

  close(): Promise<void> {
    return this.clear()
  }
}
