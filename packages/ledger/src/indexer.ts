/**
 * Keeps the record index up to date with the ledger. A lookup is answered when the index covers every durable entry, and not before: only
 * then is "not there" true. It covers less after a crash, when it was thrown away, and when what it had stored is damaged; the
 * ledger is then scanned for the rest, each entry checked against the tree.
 */
import type { Hash } from '@service-fs/tlog/hash'
import { LedgerError } from './errors.ts'
import type { Head } from './head.ts'
import { RecordIndexDamage, type IndexedRecord, type RecordIndex } from './record-index.ts'
import type { Runtime } from './runtime.ts'

/** Entries scanned for one step. */
const STEP = 16_384
/** How often one lookup may find the index damaged, or pointing at another record, before it is given up. */
const ATTEMPTS = 3

export interface IndexerParts {
  index: RecordIndex
  runtime: Runtime
  /** Milliseconds that a lookup waits for an index that is behind. */
  waitMs: number
  /** Entries in the durable tree. */
  size(): number
  rootAt(size: number): Promise<Hash>
  /** The records whose first entry is in the range. @throws LedgerError `corrupt` */
  records(from: number, to: number): Promise<IndexedRecord[]>
  /** Receives how many entries are covered after each step of catching up. */
  progress(covered: number, size: number): void
}

export class Indexer {
  readonly #parts: IndexerParts
  readonly #index: RecordIndex
  /** The index was compared with the tree: what it covers is of this ledger. */
  #isOfLedger = false
  #running: Promise<void> | undefined
  #failure: unknown
  #closed: LedgerError | undefined

  constructor(parts: IndexerParts) {
    this.#parts = parts
    this.#index = parts.index
  }

  /** Whether the index covers the whole ledger now. */
  get isComplete(): boolean {
    return this.#isOfLedger && this.#index.size === this.#parts.size()
  }

  /** Entries covered. */
  get covered(): number {
    return this.#isOfLedger ? this.#index.size : 0
  }

  /** Why catching up ended for good. */
  get failure(): unknown {
    return this.#failure
  }

  /** Resolves when the index covers the ledger. @throws LedgerError `corrupt` where an entry can't be read, `closed` */
  async complete(): Promise<void> {
    while (!this.isComplete) {
      if (this.#failure !== undefined) throw this.#failure
      this.#running ??= this.#catchUp().finally(() => (this.#running = undefined))
      await this.#running
    }
  }

  /** Like {@link complete}, for somebody who can't wait for long. @throws LedgerError `not-ready` too */
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
      `the record index covers ${this.covered} of ${this.#parts.size()} entries: try again when /readyz says so`,
    )
  }

  /** The index of the first entry of the record `id`. @throws RecordIndexDamage when the index does not cover the ledger (any more) */
  find(id: string): number | undefined {
    if (!this.isComplete) throw new RecordIndexDamage('the record index is behind the ledger')
    return this.#index.get(id)
  }

  /**
   * Calls `use` when the index covers the ledger, and again when it has caught up where `use` throws {@link RecordIndexDamage}: from
   * {@link find}, or since what was found is not true. `use` must act on what find() does not find without waiting in between.
   * @throws LedgerError `not-ready` too
   */
  async with<T>(use: () => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      await this.soon()
      try {
        return await use()
      } catch (error) {
        if (!(error instanceof RecordIndexDamage)) throw error
        if (attempt < ATTEMPTS) continue
        throw new LedgerError(
          'not-ready',
          'the record index is damaged again and again; the log says where',
          {
            cause: error,
          },
        )
      }
    }
  }

  /** Clears the index, which has the record `id` at an entry that is not its first. @throws RecordIndexDamage */
  async discard(id: string, index: number): Promise<never> {
    await this.#index.clear()
    throw new RecordIndexDamage(
      `the record index has ${JSON.stringify(id)} at entry ${index}, where it is not`,
    )
  }

  /** Takes the records of the entries from `first` up to `head`, which are durable. An index that is behind scans them later. */
  committed(records: readonly IndexedRecord[], first: number, { size, root }: Head): void {
    if (this.#isOfLedger && this.#index.size === first) this.#index.put(records, size, root)
  }

  /** Ends catching up with `reason`, for all who wait for it. */
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

  /** An index that is not of this ledger, or of more than it, is thrown away. */
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
    // Meanwhile the index may have lost something: then it goes on from there.
    if (this.#index.size !== from) return
    this.#index.put(records, to, root)
    await this.#index.flush()
  }
}
