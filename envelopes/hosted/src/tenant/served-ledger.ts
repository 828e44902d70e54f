/**
 * The ledger that a tenant serves. When its disk is full or can only be read, it is opened for reading only; it is tried again, and
 * opened for writing as soon as the disk takes writes, while requests go on to come in.
 *
 *     writable ──stopped: full, read-only──▶ stopped ──the disk takes writes──▶ closed, opened for writing ──▶ writable
 *        ▲                                                                            │ refused again
 *        └──────────────────the disk takes writes──────────── for reading only ◀──────┘
 */
import type { AppendResult, NewRecord, StoredRecord } from '@service-fs/ledger/record'
import type { Hash } from '@service-fs/tlog/hash'
import { LedgerError } from '@service-fs/ledger/errors'
import type { Ledger, LedgerStatus } from '@service-fs/ledger/ledger'
import type { LedgerLimits } from '@service-fs/ledger/limits'
import type { WireLedger } from '@service-fs/wire/call'

export interface ServedLedgerOptions {
  /** Opens it for writing; `stopped` is told when it takes no more appends. */
  writable(stopped: (why: LedgerError) => void): Promise<Ledger>
  /** Opens it for reading only. `known`: entries that this process has seen to be durable. */
  readOnly(why: LedgerError, known: number): Promise<Ledger>
  /** Why it was not opened for writing, or takes no appends any more, when that is a disk that takes no writes; undefined: something else. */
  unwritable(error: unknown): Promise<LedgerError | undefined>
  /** Why the disk takes no writes now; undefined: it takes them. */
  probe(): Promise<LedgerError | undefined>
  /** Why it is to be opened for reading only, whatever the disk takes. */
  onlyRead?: LedgerError | undefined
  /** Calls `run` once after `ms` milliseconds; the returned function calls it off. */
  after(ms: number, run: () => void): () => void
  /** Told when it takes no appends any more, and why; and with undefined when it takes them again. */
  changed(why: LedgerError | undefined, status: LedgerStatus): void
  /** Told when it could be opened neither way: nothing can be served then. */
  failed(error: unknown): void
}

/** Milliseconds between two tries: the first, doubled each time, and the longest. */
const FIRST_TRY_MS = 1000
const LONGEST_TRY_MS = 60_000
/** How long a disk has to take writes for the next tries to begin with the first delay again. */
const STEADY_MS = 60_000

export class ServedLedger implements WireLedger {
  readonly #options: ServedLedgerOptions
  #ledger!: Ledger
  #isOpen = false
  /** Why the ledger that is open takes no appends, while it is to be tried again. */
  #why: LedgerError | undefined
  /** Another one is being opened in its place. */
  #swapping: Promise<void> | undefined
  #cancelTry: (() => void) | undefined
  #delay = FIRST_TRY_MS
  #writableSince = 0
  #closing: Promise<void> | undefined

  /** @throws what opening it for writing failed with, where that is not the disk, or where it can't be read either */
  static async open(options: ServedLedgerOptions): Promise<ServedLedger> {
    const served = new ServedLedger(options)
    const { onlyRead } = options
    if (onlyRead === undefined) await served.#openEither(0)
    else served.#ledger = await options.readOnly(onlyRead, 0)
    served.#isOpen = true
    const why = onlyRead ?? served.#why
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
    return { ...status, reason: `${reason}; it goes on by itself when the disk takes writes again` }
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

  bundle(index: number, width: number): Promise<readonly string[]> {
    return this.#run((ledger) => ledger.bundle(index, width))
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

  /** A clean stop, for good. */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    this.#cancelTry?.()
    await this.#swapping
    await this.#ledger.close()
  }

  /** Does it with the ledger that is open; once more when another one was opened meanwhile: a ledger that is closed has done nothing of it. */
  async #run<T>(operation: (ledger: Ledger) => Promise<T>): Promise<T> {
    for (;;) {
      await this.#swapping
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

  /** For writing, or for reading only where the disk takes no writes. `known`: entries that this process has seen to be durable. */
  async #openEither(known: number): Promise<void> {
    this.#why = undefined
    try {
      const ledger = await this.#options.writable((why) => this.#stopped(why))
      this.#ledger = ledger
      this.#writableSince = performance.now()
      ledger.ready().catch((error: unknown) => this.#notReady(ledger, error))
    } catch (error) {
      const why = await this.#options.unwritable(error)
      if (why === undefined) throw error
      this.#ledger = await this.#options.readOnly(why, known).catch((other: unknown) => {
        // Where there is no ledger yet, the disk is what keeps one from being made.
        throw other instanceof LedgerError && other.code === 'not-found' ? error : other
      })
      this.#standBy(why)
    }
  }

  /** The ledger that was writable has stopped. Where it was not the disk that stopped it, it is left to whoever looks at /readyz. */
  #stopped(why: LedgerError): void {
    if (why.code !== 'full' && why.code !== 'read-only') return
    if (performance.now() - this.#writableSince > STEADY_MS) this.#delay = FIRST_TRY_MS
    this.#standBy(why)
  }

  /** The record index needs room too. */
  async #notReady(ledger: Ledger, error: unknown): Promise<void> {
    const why = await this.#options.unwritable(error)
    if (why !== undefined && this.#ledger === ledger && this.#why === undefined) this.#standBy(why)
  }

  #standBy(why: LedgerError): void {
    if (this.#closing !== undefined) return
    this.#why = why
    this.#tryLater()
    // It may stop before the one who opens it has it.
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

  /** Never rejects. What reads from the ledger that is closed is done again with the next one. */
  async #swap(): Promise<void> {
    const known = this.#ledger.size
    try {
      await this.#ledger.close().catch(() => undefined)
      await this.#openEither(known)
      if (this.#why === undefined) this.#options.changed(undefined, this.status())
    } catch (error) {
      this.#options.failed(error)
    }
  }
}

function isClosed(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'closed'
}
