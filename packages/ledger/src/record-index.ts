import type { Hash } from '@service-fs/tlog/hash'

/** A record's identifier and the index of its first entry. */
export interface IndexedRecord {
  id: string
  index: number
}

/**
 * Finds a record by its identifier. Disposable: whatever it has is derived from the ledger, and it may be thrown away at any time.
 *
 * It says which tree it covers (`size`, `root`), so that the ledger can tell an index that fell behind (it scans the rest) from one
 * that is not of this ledger (it clears it).
 */
export interface RecordIndex {
  /** Entries covered, and the root hash of the tree of that size; 0 and undefined when empty. */
  readonly size: number
  readonly root: Hash | undefined
  /** The first entry's index of the record `id`. Sees every put at once. */
  get(id: string): number | undefined
  /** Adds records, after which the index covers `size` entries. Atomic: a crash leaves all of a put or nothing. May be written later. */
  put(records: readonly IndexedRecord[], size: number, root: Hash): void
  /** Resolves when every put is in the file system's hands, or rejects when that failed. */
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
