import type { Hash } from '@service-fs/tlog/hash'

/** A record's identifier and the index of its first entry. */
export interface IndexedRecord {
  id: string
  index: number
}

/** What an index has stored is not what it wrote. It covers less from then on; what it lacks has to be put again. */
export class RecordIndexDamage extends Error {
  constructor(message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.name = 'RecordIndexDamage'
  }
}

/**
 * Finds a record by its identifier. Disposable: whatever it has is derived from the ledger, and it may be thrown away at any time.
 *
 * It says which tree it covers (`size`, `root`), so that the ledger can tell an index that fell behind (it scans the rest) from one
 * that is not of this ledger (it clears it). What it says is true whatever a disk lost or changed: it finds every record of the entries
 * that it covers, or throws. It may cover less at any time, never more than was put.
 */
export interface RecordIndex {
  /** Entries covered, and the root hash of the tree of that size; 0 and undefined when empty. */
  readonly size: number
  readonly root: Hash | undefined
  /** The first entry's index of the record `id`. Sees every put at once. @throws RecordIndexDamage, after which `size` is smaller */
  get(id: string): number | undefined
  /** Adds the records of the entries from `size` on, after which the index covers `size` entries. It may be written later. */
  put(records: readonly IndexedRecord[], size: number, root: Hash): void
  /** Resolves when what was put before has been written, as far as it can be: what can't be written stays in memory. */
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
