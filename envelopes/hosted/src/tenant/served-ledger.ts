/**
 * The ledger that a tenant serves. When it lacks acknowledged entries, it is opened read-only. When its disk is full or not writable, the ledger is opened read-only. It is opened for writing
 * again as soon as the disk is writable, without interrupting requests.
 *
 *     writable ──stopped: full, read-only──▶ stopped ──disk is writable──▶ closed, opened for writing ──▶ writable
 *        ▲                                                                       │ fails again
 *        └───────────────────disk is writable───────────── read-only ◀───────────┘
 */
import { codeOf } from '@service-fs/format/errors'
import type { AppendResult, NewRecord, StoredRecord } from '@service-fs/ledger/record'
import type { Hash } from '@service-fs/tlog/hash'
import { LedgerError } from '@service-fs/ledger/errors'
import type { Ledger, LedgerStatus } from '@service-fs/ledger/ledger'
import type { LedgerLimits } from '@service-fs/ledger/limits'
import type { WireLedger } from '@service-fs/wire/call'

export interface ServedLedgerOptions {
  /** Opens the ledger for writing. The ledger calls `stopped` when it accepts no more appends. */
  writable(stopped: (why: LedgerError) => void): Promise<Ledger>
  /** Opens the ledger read-only. `known`: the number of entries that this process knows to be durable. */
  readOnly(why: LedgerError, known: number): Promise<Ledger>
  /** Returns the error to show when an unwritable disk is the cause of `error`; undefined for every other cause. */
  unwritable(error: unknown): Promise<LedgerError | undefined>
  /**
   * Returns the error to show when `error` says that the ledger lacks acknowledged entries, so that it can only be
   * read, even on a writable disk. Undefined for every other error.
   */
  shorter(error: unknown): LedgerError | undefined
  /** Returns the reason why the disk is not writable now; undefined when it is writable. */
  probe(): Promise<LedgerError | undefined>
  /** The reason to open the ledger read-only even on a writable disk. */
  onlyRead?: LedgerError | undefined
  /** Calls `run` once after `ms` milliseconds; the returned function cancels it. */
  after(ms: number, run: () => void): () => void
  /** Called with the reason when the ledger stops accepting appends, and with undefined when it accepts them again. */
  changed(why: LedgerError | undefined, status: LedgerStatus): void
  /** Called when the ledger can be opened neither for writing nor read-only, so that it cannot be served. */
  failed(error: unknown): void
}

/** Delay before the first retry, doubled for each further one, and the longest delay. */
const FIRST_TRY_MS = 1000
const LONGEST_TRY_MS = 60_000
/** How long the disk must stay writable before the delay is reset. */
const STEADY_MS = 60_000

export class ServedLedger implements WireLedger {
  readonly #options: ServedLedgerOptions
  #ledger!: Ledger
  #isOpen = false
  /** Why the open ledger accepts no appends, while retries are scheduled. */
  #why: LedgerError | undefined
  /** Why the ledger was opened read-only for good. */
  #refusal: LedgerError | undefined
  /** Pending while another ledger is opened in its place. */
  #swapping: Promise<void> | undefined
  #cancelTry: (() => void) | undefined
  #delay = FIRST_TRY_MS
  #writableSince = 0
  #closing: Promise<void> | undefined

  /** Opens the ledger. @throws the error of opening it for writing, unless the ledger can be read, and the disk or missing entries are the cause */
  static async open(options: ServedLedgerOptions): Promise<ServedLedger> {
    const served = new ServedLedger(options)
    const { onlyRead } = options
    if (onlyRead === undefined) await served.#openEither(0)
    else served.#ledger = await options.readOnly(onlyRead, 0)
    served.#isOpen = true
    const why = onlyRead ?? served.#refusal ?? served.#why
    if (why !== undefined) options.changed(why, served.status())
    return served
  }

  private constructor(options: ServedLedgerOptions) {
    this.#options = options
  }

  get origin(): string {
    return this.#ledger.origin
  }

  get vkeys(): readonly string[] {
    return this.#ledger.vkeys
  }

  get size(): number {
    return this.#ledger.size
  }

  checkpoint(): string {
    return this.#ledger.checkpoint()
  }

  get limits(): LedgerLimits {
    return this.#ledger.limits
  }

  status(): LedgerStatus {
    const status = this.#ledger.status()
    if (status.accepting || this.#why === undefined) return status
    const reason = status.reason ?? this.#why.message
    return { ...status, reason: `${reason}; appends resume when the disk is writable again` }
  }

  ready(): Promise<void> {
    return this.#run((ledger) => ledger.ready())
  }

  append(records: readonly NewRecord[]): Promise<AppendResult> {
    return this.#run((ledger) => ledger.append(records))
  }

  appendFresh(records: readonly NewRecord[]): Promise<AppendResult> {
    return this.#run((ledger) => ledger.appendFresh(records))
  }

  correctClock(...correction: Parameters<Ledger['correctClock']>): Promise<AppendResult> {
    return this.#run((ledger) => ledger.correctClock(...correction))
  }

  stateDuty(...duty: Parameters<Ledger['stateDuty']>): ReturnType<Ledger['stateDuty']> {
    return this.#run((ledger) => ledger.stateDuty(...duty))
  }

  treeBinding(...tree: Parameters<Ledger['treeBinding']>): ReturnType<Ledger['treeBinding']> {
    return this.#run((ledger) => ledger.treeBinding(...tree))
  }

  bindTree(...tree: Parameters<Ledger['bindTree']>): ReturnType<Ledger['bindTree']> {
    return this.#run((ledger) => ledger.bindTree(...tree))
  }

  clock(): ReturnType<Ledger['clock']> {
    return this.#run((ledger) => ledger.clock())
  }

  grown(size: number): Promise<number> {
    return this.#run((ledger) => ledger.grown(size))
  }

  entry(index: number): Promise<Uint8Array> {
    return this.#run((ledger) => ledger.entry(index))
  }

  record(index: number): Promise<StoredRecord> {
    return this.#run((ledger) => ledger.record(index))
  }

  recordById(id: string): Promise<StoredRecord> {
    return this.#run((ledger) => ledger.recordById(id))
  }

  entryById(id: string): Promise<{ index: number; entry: Uint8Array }> {
    return this.#run((ledger) => ledger.entryById(id))
  }

  async *records(since: number, options: { limit?: number } = {}): AsyncGenerator<StoredRecord> {
    let at = since
    let left = options.limit ?? Number.POSITIVE_INFINITY
    for (;;) {
      await this.#swapping
      const ledger = this.#ledger
      try {
        for await (const record of ledger.records(at, { limit: left })) {
          yield record
          at = record.index + record.parts
          left -= 1
        }
        return
      } catch (error) {
        if (!this.#isReplaced(ledger, error)) throw error
      }
    }
  }

  hashTile(level: number, index: number, width: number): Promise<readonly Hash[]> {
    return this.#run((ledger) => ledger.hashTile(level, index, width))
  }

  tileHash(level: number, index: number): Promise<Hash> {
    return this.#run((ledger) => ledger.tileHash(level, index))
  }

  bundle(index: number, width: number): Promise<readonly string[]> {
    return this.#run((ledger) => ledger.bundle(index, width))
  }

  tileBytes(level: number, index: number, width: number): Promise<Uint8Array> {
    return this.#run((ledger) => ledger.tileBytes(level, index, width))
  }

  bundleBytes(index: number, width: number): Promise<Uint8Array> {
    return this.#run((ledger) => ledger.bundleBytes(index, width))
  }

  entries(from: number, to: number): Promise<readonly Uint8Array[]> {
    return this.#run((ledger) => ledger.entries(from, to))
  }

  inclusionProof(index: number, size: number): Promise<{ leafHash: Hash; rootHash: Hash; hashes: Hash[] }> {
    return this.#run((ledger) => ledger.inclusionProof(index, size))
  }

  consistencyProof(from: number, to: number): Promise<{ hashes: Hash[] }> {
    return this.#run((ledger) => ledger.consistencyProof(from, to))
  }

  tlogProof(index: number): Promise<string> {
    return this.#run((ledger) => ledger.tlogProof(index))
  }

  /** Stops the ledger cleanly. */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    this.#cancelTry?.()
    await this.#swapping
    await this.#ledger.close()
  }

  /**
   * Runs the operation on the open ledger, and retries it when another ledger was opened meanwhile. Does nothing if the ledger is
   * closed for good.
   */
  async #run<T>(operation: (ledger: Ledger) => Promise<T>): Promise<T> {
    for (;;) {
      if (this.#swapping !== undefined) await this.#swapping
      const ledger = this.#ledger
      try {
        return await operation(ledger)
      } catch (error) {
        if (!this.#isReplaced(ledger, error)) throw error
      }
    }
  }

  #isReplaced(ledger: Ledger, error: unknown): boolean {
    if (this.#closing !== undefined || !isClosed(error)) return false
    return this.#swapping !== undefined || this.#ledger !== ledger
  }

  /** Opens the ledger for writing, or read-only when the disk is not writable. `known`: entries known to be durable. */
  async #openEither(known: number): Promise<void> {
    this.#why = undefined
    this.#refusal = undefined
    try {
      const ledger = await this.#options.writable((why) => this.#stopped(why))
      this.#ledger = ledger
      this.#writableSince = performance.now()
      ledger.ready().catch((error: unknown) => this.#notReady(ledger, error))
    } catch (error) {
      const refusal = this.#options.shorter(error)
      if (refusal !== undefined) return this.#openShorter(refusal, known, error)
      const why = await this.#options.unwritable(error)
      if (why === undefined) throw error
      this.#ledger = await this.#options.readOnly(why, known).catch((other: unknown) => {
        // If there is no ledger yet, report why the disk prevents creating one.
        throw other instanceof LedgerError && other.code === 'not-found' ? error : other
      })
      this.#standBy(why)
    }
  }

  /** Opens the remaining entries read-only. No retry can help: only an operator can restore the ledger or accept the loss. */
  async #openShorter(refusal: LedgerError, known: number, error: unknown): Promise<void> {
    this.#ledger = await this.#options.readOnly(refusal, known).catch(() => {
      // The first error names the mark and the remedy.
      throw error
    })
    this.#refusal = refusal
  }

  /** Handles a stopped ledger. It retries only when the disk is the cause; /readyz reports every other cause. */
  #stopped(why: LedgerError): void {
    if (why.code !== 'full' && why.code !== 'read-only') return
    if (performance.now() - this.#writableSince > STEADY_MS) this.#delay = FIRST_TRY_MS
    this.#standBy(why)
  }

  /** Handles a failure to prepare the ledger: its record index needs disk space too. */
  async #notReady(ledger: Ledger, error: unknown): Promise<void> {
    const why = await this.#options.unwritable(error)
    if (why !== undefined && this.#ledger === ledger && this.#why === undefined) this.#standBy(why)
  }

  #standBy(why: LedgerError): void {
    if (this.#closing !== undefined) return
    this.#why = why
    this.#tryLater()
    // The ledger may stop before open() returns.
    if (this.#isOpen) this.#options.changed(why, this.status())
  }

  #tryLater(): void {
    this.#cancelTry?.()
    this.#cancelTry = this.#options.after(this.#delay, () => void this.#try())
    this.#delay = Math.min(this.#delay * 2, LONGEST_TRY_MS)
  }

  async #try(): Promise<void> {
    const takesWrites = (await this.#options.probe()) === undefined
    if (this.#closing !== undefined || this.#swapping !== undefined) return
    if (!takesWrites) {
      this.#tryLater()
      return
    }
    this.#swapping = this.#swap().finally(() => {
      this.#swapping = undefined
    })
  }

  /** Replaces the ledger. Reads from the closed ledger are retried on the new one. Never rejects. */
  async #swap(): Promise<void> {
    const known = this.#ledger.size
    try {
      await this.#ledger.close().catch(() => undefined)
      await this.#openEither(known)
      if (this.#why === undefined) this.#options.changed(this.#refusal, this.status())
    } catch (error) {
      this.#options.failed(error)
    }
  }
}

function isClosed(error: unknown): boolean {
  return codeOf(error) === 'closed'
}
