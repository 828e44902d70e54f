/**
 * Keeps the record index up to date with the ledger. A lookup waits until the index covers every durable entry: only then is "not
 * found" true. The index covers less after a crash, after it was cleared, and when its stored data is corrupt. The indexer then scans
 * the remaining entries, each checked against the tree.
 */
import type { Hash } from '@service-fs/tlog/hash'
import { LedgerError } from './errors.ts'
import type { Head } from './head.ts'
import { RecordIndexDamage, type IndexedRecord, type RecordIndex } from './record-index.ts'
import type { Runtime } from './runtime.ts'

/** Entries scanned in one step. */
const STEP = 16_384
/** How many times a lookup may find the index damaged, or get the entry of another record, before it fails. */
const ATTEMPTS = 3

export interface IndexerParts {
  index: RecordIndex
  runtime: Runtime
  /** How long a lookup waits for an index that is behind, in milliseconds. */
  waitMs: number
  /** Entries in the durable tree. */
  size(): number
  /** Returns the root hash of the tree of `size` entries. */
  rootAt(size: number): Promise<Hash>
  /** Returns the records that start in the range. @throws LedgerError `corrupt` */
  records(from: number, to: number): Promise<IndexedRecord[]>
  /** Called after each step of catching up with the number of entries covered. */
  progress(covered: number, size: number): void
}

export class Indexer {
  readonly #parts: IndexerParts
  readonly #index: RecordIndex
  /** Whether the index was compared with the tree, and so belongs to this ledger. */
  #isOfLedger = false
  #running: Promise<void> | undefined
  #failure: unknown
  #closed: LedgerError | undefined

  constructor(parts: IndexerParts) {
    this.#parts = parts
    this.#index = parts.index
  }

  /** Whether the index covers the whole ledger. */
  get isComplete(): boolean {
    return this.#isOfLedger && this.#index.size === this.#parts.size()
  }

  /** Entries covered. */
  get covered(): number {
    return this.#isOfLedger ? this.#index.size : 0
  }

  /** The error that ended catching up for good. */
  get failure(): unknown {
    return this.#failure
  }

  /** Resolves when the index covers the ledger. @throws LedgerError `corrupt` when an entry cannot be read, `closed` */
  async complete(): Promise<void> {
    while (!this.isComplete) {
      if (this.#failure !== undefined) throw this.#failure
      this.#running ??= this.#catchUp().finally(() => (this.#running = undefined))
      await this.#running
    }
  }

  /** Like {@link complete}, but waits at most `waitMs`. @throws LedgerError `not-ready` too */
  async soon(): Promise<void> {
    if (this.isComplete) return
    let callOff: (() => void) | undefined
    const late = new Promise<never>((_, reject) => {
      callOff = this.#parts.runtime.after(this.#parts.waitMs, () => reject(this.#notReady()))
    })
    try {
      await Promise.race([this.complete(), late])
    } finally {
      callOff?.()
    }
  }

  #notReady(): LedgerError {
    return new LedgerError(
      'not-ready',
      `the record index covers ${this.covered} of ${this.#parts.size()} entries: try again when /readyz returns 200`,
    )
  }

  /** Returns the index of the first entry of the record `id`; undefined when there is none. @throws RecordIndexDamage when the index does not cover the ledger */
  find(id: string): number | undefined {
    if (!this.isComplete) throw new RecordIndexDamage('the record index is behind the ledger')
    return this.#index.get(id)
  }

  /** Returns what {@link find} returns for each identifier, in order. @throws RecordIndexDamage */
  findAll(ids: readonly string[]): (number | undefined)[] {
    if (ids.length === 1) return [this.find(ids[0] as string)]
    if (!this.isComplete) throw new RecordIndexDamage('the record index is behind the ledger')
    return this.#index.getAll(ids)
  }

  /**
   * Calls `use` when the index covers the ledger. When `use` throws {@link RecordIndexDamage}, catches up and calls it again; it
   * does so because {@link find} threw that, or returned a wrong entry. When find() returns nothing, `use` must act on that without
   * awaiting.
   * @throws LedgerError `not-ready` too
   */
  async with<T>(use: () => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      if (!this.isComplete) await this.soon()
      try {
        return await use()
      } catch (error) {
        if (!(error instanceof RecordIndexDamage)) throw error
        if (attempt < ATTEMPTS) continue
        throw new LedgerError('not-ready', 'the record index was damaged after every rebuild; see the log', {
          cause: error,
        })
      }
    }
  }

  /**
   * Clears the index, because it returned an entry for `id` that is not the first entry of that record. @throws RecordIndexDamage
   */
  async discard(id: string, index: number): Promise<never> {
    await this.#index.clear()
    throw new RecordIndexDamage(
      `the record index has ${JSON.stringify(id)} at entry ${index}, which holds another record`,
    )
  }

  /**
   * Adds the records of the entries from `first` up to `head`, which are durable. If the index is behind, it scans them later
   * instead.
   */
  committed(records: readonly IndexedRecord[], first: number, { size, root }: Head): void {
    if (this.#isOfLedger && this.#index.size === first) this.#index.put(records, size, root)
  }

  /** Ends catching up; waiters receive `reason`. */
  stop(reason: LedgerError): void {
    this.#closed ??= reason
  }

  async close(reason: LedgerError): Promise<void> {
    this.stop(reason)
    await this.#running?.catch(() => undefined)
    await this.#index.close().catch(() => undefined)
  }

  async #catchUp(): Promise<void> {
    try {
      if (!this.#isOfLedger) await this.#compare()
      for (let size = this.#parts.size(); this.#index.size < size; size = this.#parts.size()) {
        await this.#step(this.#index.size, Math.min(size, this.#index.size + STEP))
        this.#parts.progress(this.#index.size, size)
      }
    } catch (error) {
      this.#failure = error
      throw error
    }
  }

  /** Clears an index that belongs to another ledger or covers more entries than there are. */
  async #compare(): Promise<void> {
    const { size, root } = this.#index
    const expected = size === 0 || size > this.#parts.size() ? undefined : await this.#parts.rootAt(size)
    if (size > 0 && root !== expected) await this.#index.clear()
    this.#isOfLedger = true
  }

  async #step(from: number, to: number): Promise<void> {
    if (this.#closed !== undefined) throw this.#closed
    const records = await this.#parts.records(from, to)
    const root = await this.#parts.rootAt(to)
    // If the index has found damage meanwhile, it covers fewer entries, and the next step starts there.
    if (this.#index.size !== from) return
    this.#index.put(records, to, root)
    await this.#index.flush()
  }
}
