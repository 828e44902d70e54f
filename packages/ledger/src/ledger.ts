/** The WORM ledger: records go in, and come out with proofs. There is no operation that changes or removes one. */
import type { ClockCorrection } from '@service-fs/format/clock-correction'
import { joinParts, parseEntry, type Entry, type Field } from '@service-fs/format/entry'
import type { StorageCapability } from '@service-fs/storage/capability'
import { hexEncode } from '@service-fs/tlog/codec'
import { EMPTY_ROOT, type Hash } from '@service-fs/tlog/hash'
import type { Signer, Verifier } from '@service-fs/tlog/note'
import type { Edge } from '@service-fs/tlog/edge'
import { tileWidth } from '@service-fs/tlog/tile'
import { formatTlogProof } from '@service-fs/tlog/tlog-proof'
import { Appender } from './appender.ts'
import { RecordClock } from './clock.ts'
import { LedgerError, unreadable } from './errors.ts'
import { Growth } from './growth.ts'
import {
  checkMark,
  MarkKeeper,
  shorterThan,
  sizeNoted,
  type Accepted,
  type HighWaterMark,
} from './high-water-mark.ts'
import { DEFAULT_LIMITS, type LedgerLimits } from './limits.ts'
import { Publisher } from './publisher.ts'
import { Reader } from './reader.ts'
import { Indexer } from './indexer.ts'
import { MemoryIndex, type IndexedRecord, type RecordIndex } from './record-index.ts'
import type { Appended, NewRecord, StoredRecord } from './record.ts'
import { recoverReadOnly, type ReadOnlyOptions } from './read-only.ts'
import { recover, type Recovered } from './recover.ts'
import type { Runtime } from './runtime.ts'
import { Sealer } from './sealer.ts'
import { SealedTiles } from './sealed-tiles.ts'
import { settle, type Settled } from './settle.ts'
import { Sequencer, stopReason, type Batch, type Head } from './sequencer.ts'
import type { TailMemory } from './tail-memory.ts'
import { TailWriter } from './tail-writer.ts'

/** Full bundles that may wait to be sealed, and characters of lines that may wait for it, before commits wait too. */
const MAX_BACKLOG_ENTRIES = 64 * 256
const MAX_BACKLOG_CHARACTERS = 24 * 1024 * 1024

export interface LedgerObserver {
  /** A commit is durable; `milliseconds` is what signing, writing and syncing took. */
  committed?(commit: { entries: number; bytes: number; milliseconds: number; size: number }): void
  /** The record index was behind the ledger and covers more of it now. */
  indexing?(progress: { covered: number; size: number }): void
  /** An append begins; what it returns is called when that append is answered, with a result or an error. */
  appending?(): () => void
  /** No more appends are taken; told once. */
  stopped?(reason: LedgerError): void
  /** The ledger is opened by an operator's word although its tree is not the one that was acknowledged. */
  accepted?(accepted: Accepted): void
}

export interface LedgerOptions {
  storage: StorageCapability
  origin: string
  /** Signs checkpoints; its key is named as the origin. */
  signer: Signer
  /** Check the signer's signatures. */
  verifiers: Verifier[]
  runtime: Runtime
  index?: RecordIndex
  limits?: Partial<LedgerLimits>
  observer?: LedgerObserver
  /** Remembers what was acknowledged, outside of the storage; the ledger closes it. Default: nothing does. */
  mark?: HighWaterMark
  /** The size of the tree that an operator accepts although it is not what the mark says. */
  acceptSize?: number | undefined
}

export interface LedgerStatus {
  /** Whether appends are taken; `reason` says why not. */
  accepting: boolean
  reason?: string
  code?: string
  /** Whether the newest record's time is known and the record index covers the ledger. */
  prepared: boolean
  size: number
  /** Entries in sealed bundles. */
  sealed: number
  /** Entries that the record index covers: appends and lookups by identifier wait until these are all. */
  indexed: number
  queueEntries: number
  queueBytes: number
  /** Records that repeated the last time, since the clock had stepped back a little. */
  timesRepeated: number
  /** Why no record can have the time that the clock says: `clock-behind`, `clock-ahead`; absent: one can. */
  clock?: 'clock-behind' | 'clock-ahead'
}

export class Ledger {
  readonly origin: string
  readonly vkeys: readonly string[]
  readonly limits: LedgerLimits
  readonly #storage: StorageCapability
  readonly #runtime: Runtime
  readonly #observer: LedgerObserver
  readonly #indexer: Indexer
  readonly #clock: RecordClock
  readonly #memory: TailMemory
  readonly #sealed: SealedTiles
  readonly #reader: Reader
  readonly #tail: TailWriter
  readonly #publisher: Publisher
  readonly #sealer: Sealer
  readonly #sequencer: Sequencer
  readonly #appender: Appender
  readonly #growth: Growth = new Growth()
  readonly #mark: HighWaterMark | undefined
  readonly #marks: MarkKeeper | undefined
  #writeMs = 0
  #writeBytes = 0
  /** Whether every entry that may have been acknowledged is shown. */
  #isWhole = true
  #closing: Promise<void> | undefined

  /**
   * Opens the ledger in `storage`, or makes an empty one where there is none. Reads the checkpoint and the end of the tail. What
   * appends need besides (the newest record's time, the record index up to date) is seen to in the background; see {@link ready}.
   * @throws LedgerError `corrupt`, naming the file or the mark; nothing is changed then
   */
  static async open(options: LedgerOptions): Promise<Ledger> {
    const { storage, runtime, mark } = options
    const recovered = await recover(options)
    const accepted = mark && (await checkMark(mark, recovered, storage, runtime, options.acceptSize))
    if (accepted !== undefined) options.observer?.accepted?.(accepted)
    const settled = await settle(options, recovered)
    // Not before: what was recovered is durable from here on.
    await mark?.begin(settled.head)
    const ledger = new Ledger(options, settled)
    ledger.#sealer.wake()
    return ledger
  }

  /**
   * Opens the ledger in `storage` for reading only, as far as it is known to be durable: see {@link recoverReadOnly}. Nothing is
   * written. Appends are refused with `how.why`, but for records that are there already.
   * @throws LedgerError `corrupt`, naming the file
   */
  static async openReadOnly(options: LedgerOptions, how: ReadOnlyOptions): Promise<Ledger> {
    const { mark: _mark, ...others } = options
    const marked = await sizeNoted(options.mark)
    const known = Math.max(how.known ?? 0, marked ?? 0)
    const { found, why, isWhole } = await recoverReadOnly(options, { ...how, known })
    await refuseOther(options, found, marked)
    const ledger = new Ledger(
      others,
      { ...found, writer: new TailWriter(options, 0, 0) },
      shorterThan(marked, found.head.size, why),
    )
    ledger.#isWhole = isWhole && marked !== undefined && found.head.size >= marked
    return ledger
  }

  private constructor(options: LedgerOptions, settled: Settled, readOnly?: LedgerError) {
    const { storage, runtime, origin } = options
    const limits = { ...DEFAULT_LIMITS, ...options.limits }
    const stop = (error: unknown): void => this.#sequencer.stop(stopReason(error))
    this.origin = origin
    this.vkeys = [options.signer.vkey]
    this.limits = limits
    this.#storage = storage
    this.#runtime = runtime
    this.#observer = options.observer ?? {}
    this.#clock = new RecordClock(runtime, limits)
    this.#memory = settled.memory
    this.#sealed = new SealedTiles(storage, runtime, settled.sealedEdge, limits.cacheBytes)
    this.#reader = new Reader(this.#sealed, this.#memory, runtime)
    this.#tail = settled.writer
    this.#publisher = new Publisher(storage, runtime, settled.published, stop)
    if (settled.head.size > 0) this.#publisher.offer(settled.head.note)
    this.#mark = options.mark
    this.#marks = options.mark && new MarkKeeper(options.mark, settled.head, stop)
    this.#sealer = new Sealer(this.#sealed, this.#memory, () => this.#afterSeal(), stop)
    this.#sequencer = new Sequencer(origin, options.signer, runtime, settled.edge, settled.head, limits, {
      write: async (before, lines, head) => {
        const started = runtime.monotonic()
        this.#writeBytes = await this.#tail.commit(before, lines, head.size, head.note)
        this.#writeMs = runtime.monotonic() - started
      },
      committed: (commit, head) => this.#committed(commit, head),
      between: () => this.#between().catch(stop),
      stopped: (reason) => this.#observer.stopped?.(reason),
    })
    if (readOnly !== undefined) this.#sequencer.stop(readOnly)
    this.#indexer = new Indexer({
      index: options.index ?? new MemoryIndex(),
      runtime,
      waitMs: limits.indexWaitMs,
      size: () => this.size,
      rootAt: (size) => this.#rootAt(size),
      records: (from, to) => this.#recordsIn(from, to),
      progress: (covered, size) => this.#observer.indexing?.({ covered, size }),
    })
    this.#appender = new Appender({
      runtime,
      clock: this.#clock,
      indexer: this.#indexer,
      sequencer: this.#sequencer,
      limits,
      recordOf: (id, index) => this.#recordOf(id, index),
      entry: (index) => this.entry(index),
      clockSet: this.#setClock(),
    })
    // Its failure shows in the status.
    this.ready().catch(() => undefined)
  }

  /** Entries in the newest durable checkpoint. */
  get size(): number {
    return this.#sequencer.head.size
  }

  /** The newest durable state: size, root hash, signed checkpoint. */
  get head(): Head {
    return this.#sequencer.head
  }

  /** The newest durable signed checkpoint (c2sp.org/tlog-checkpoint). */
  checkpoint(): string {
    return this.#sequencer.head.note
  }

  /**
   * Resolves with the size of the newest durable checkpoint once that is above `size`, at once if it is. A ledger that takes no more
   * appends lets wait until it is closed.
   * @throws LedgerError `closed` when the ledger is closed before
   */
  grown(size: number): Promise<number> {
    return this.size > size ? Promise.resolve(this.size) : this.#growth.beyond(size)
  }

  /** Resolves when appends are taken: the newest record's time is known and the record index covers the ledger. */
  ready(): Promise<void> {
    return this.#appender.ready()
  }

  /**
   * Appends records in one commit, all or none; resolves when it is durable. A record whose id is there already with the same type
   * and payload is answered with the first one's place.
   * @throws LedgerError `conflict` (its `index` holds another record of that id), `bad-record`, `too-large`, `busy`, `not-ready` (the
   *   record index is being made), `clock-behind`, `clock-ahead`, `signer`, `stopped`, `full`, `closed`
   */
  async append(records: readonly NewRecord[]): Promise<{ entries: Appended[]; checkpoint: string }> {
    const answered = this.#observer.appending?.()
    try {
      return await this.#appender.append(records)
    } finally {
      answered?.()
    }
  }

  /**
   * Appends records like {@link append}, but looks no identifier up, and so needs no record index: each must have been made for its
   * record alone, of enough random bits that it is nowhere in the ledger. Never for identifiers that somebody else chose.
   */
  async appendFresh(records: readonly NewRecord[]): Promise<{ entries: Appended[]; checkpoint: string }> {
    const answered = this.#observer.appending?.()
    try {
      return await this.#appender.appendFresh(records)
    } finally {
      answered?.()
    }
  }

  /**
   * Corrects the time of a ledger whose newest record lies in the future: appends an entry of {@link CLOCK_TYPE} with the clock's time, from
   * which on times are counted anew. See {@link ClockCorrection}; `id` is as in {@link appendFresh}.
   * @throws LedgerError `bad-record` when `newest` is not the newest record's time, or the clock is not behind it; and as append()
   */
  correctClock(
    id: string,
    correction: Omit<ClockCorrection, 'now'>,
  ): Promise<{ entries: Appended[]; checkpoint: string }> {
    return this.#appender.correct(id, correction)
  }

  /** What the clock says, and the newest record's time (absent without records). */
  async clock(): Promise<{ now: number; newest?: string; problem?: LedgerError }> {
    await this.#appender.clockSet()
    const { newest } = this.#clock
    const problem = this.#clock.problem()
    return {
      now: this.#runtime.now(),
      ...(newest === '' ? {} : { newest }),
      ...(problem === undefined ? {} : { problem }),
    }
  }

  /** The bytes of one entry. @throws LedgerError `not-found`, `corrupt` */
  async entry(index: number): Promise<Uint8Array> {
    this.#expectIndex(index)
    return this.#reader.entry(index)
  }

  /** The record whose first entry is `index`. @throws LedgerError `not-found`, `not-a-record` (inside a split one), `corrupt` */
  async record(index: number): Promise<StoredRecord> {
    const first = this.#parse(index, await this.entry(index))
    if (first.continuation !== undefined) {
      const { part, of } = first.continuation
      throw new LedgerError(
        'not-a-record',
        `entry ${index} is part ${part} of ${of} of a record that starts at entry ${index - part + 1}`,
        { index: index - part + 1 },
      )
    }
    const parts = first.split?.parts ?? 1
    const entries = [first]
    for (let i = 1; i < parts; i++) entries.push(this.#parse(index + i, await this.entry(index + i)))
    return { index, parts, ...described(first), payload: this.#join(index, entries) }
  }

  /** The record with the identifier `id`. @throws LedgerError `not-found`, `not-ready` (the record index is being made), `corrupt` */
  recordById(id: string): Promise<StoredRecord> {
    return this.#indexer.with(async () => {
      const index = this.#indexer.find(id)
      if (index !== undefined) return this.#recordOf(id, index)
      throw this.#absent('not-found', `no record has the identifier ${JSON.stringify(id)}`)
    })
  }

  /** The record at `index`, which the record index has for `id`; an index that is wrong is thrown away. @throws RecordIndexDamage then */
  async #recordOf(id: string, index: number): Promise<StoredRecord> {
    if (index < this.size && (await this.#isFirstOf(id, index))) return this.record(index)
    return this.#indexer.discard(
      `the record index has ${JSON.stringify(id)} at entry ${index}, where it is not`,
    )
  }

  async #isFirstOf(id: string, index: number): Promise<boolean> {
    const { header, continuation } = this.#parse(index, await this.entry(index))
    return header.id === id && continuation === undefined
  }

  /** The records whose first entry has an index of at least `since`, in order, as far as they are durable at the call. */
  async *records(since: number, options: { limit?: number } = {}): AsyncGenerator<StoredRecord> {
    const size = this.size
    let left = options.limit ?? Number.POSITIVE_INFINITY
    for (let at = since; at < size && left > 0;) {
      const skip = at === since ? this.#parse(at, await this.entry(at)).continuation : undefined
      if (skip !== undefined) {
        at += skip.of - skip.part + 1
        continue
      }
      const record = await this.record(at)
      yield record
      at += record.parts
      left -= 1
    }
  }

  /** The first `width` hashes of a tile. @throws LedgerError `not-found` for what no checkpoint covers */
  async hashTile(level: number, index: number, width: number): Promise<readonly Hash[]> {
    this.#expectTile(level, index, width)
    return this.#reader.hashTile(level, index, width)
  }

  /** The first `width` entries of a bundle as base64 lines. @throws LedgerError `not-found` for what no checkpoint covers */
  async bundle(index: number, width: number): Promise<readonly string[]> {
    this.#expectTile('entries', index, width)
    return this.#reader.bundle(index, width)
  }

  /** The inclusion proof of the entry `index` in the tree of `size` (RFC 6962, section 2.1.1). @throws LedgerError `range` */
  async inclusionProof(
    index: number,
    size: number,
  ): Promise<{ leafHash: Hash; rootHash: Hash; hashes: Hash[] }> {
    this.#expectRange('size', size, 1, this.size)
    this.#expectRange('index', index, 0, size - 1)
    const { leafHash, hashes } = await this.#reader.inclusion(index, size)
    return { leafHash, rootHash: await this.#rootAt(size), hashes }
  }

  /** The consistency proof between the trees of `from` and `to` (RFC 6962, section 2.1.2); no hashes from 0. @throws LedgerError `range` */
  async consistencyProof(from: number, to: number): Promise<{ hashes: Hash[] }> {
    this.#expectRange('to', to, 0, this.size)
    this.#expectRange('from', from, 0, to)
    return { hashes: from === 0 || from === to ? [] : await this.#reader.consistency(from, to) }
  }

  /** A `.tlog-proof` (c2sp.org/tlog-proof) of the entry `index` at the newest checkpoint; `extra` is the entry's header. */
  async tlogProof(index: number): Promise<string> {
    const { size, note } = this.head
    const bytes = await this.entry(index)
    const { headerLength } = this.#parse(index, bytes)
    const { hashes } = await this.#reader.inclusion(index, size)
    return formatTlogProof({ extra: bytes.slice(0, headerLength), index, hashes, checkpoint: note })
  }

  status(): LedgerStatus {
    const stopped = this.#sequencer.stopped ?? this.#appender.failure
    const { queueEntries, queueBytes } = this.#sequencer
    const reason = stopped === undefined ? {} : { reason: stopped.message, code: stopped.code }
    const accepting = stopped === undefined && this.#closing === undefined
    return {
      accepting,
      ...reason,
      prepared: this.#appender.isReady,
      size: this.size,
      sealed: this.#sealed.entries,
      indexed: this.#indexer.covered,
      queueEntries,
      queueBytes,
      timesRepeated: this.#clock.repeated,
      ...this.#clockCode(),
    }
  }

  #clockCode(): Pick<LedgerStatus, 'clock'> {
    const code = this.#clock.problem()?.code
    return code === 'clock-behind' || code === 'clock-ahead' ? { clock: code } : {}
  }

  /** A clean stop: what waits is committed, what is full is sealed, the checkpoint is published. Closes the storage and the index. */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    const closing = new LedgerError('closed', 'the ledger is being closed')
    this.#appender.stop(closing)
    this.#indexer.stop(closing)
    try {
      await this.#appender.settled()
      await this.#sequencer.idle()
      await this.#sealer.idle()
      await this.#sequencer.idle()
      await this.#marks?.idle()
      if (this.#sequencer.stopped === undefined) {
        const { start } = this.#tail
        if (start !== undefined && this.#storage.tailMode === 'grow' && this.#sealed.entries > start)
          await this.#roll(this.#sealed.edge())
        await this.#publisher.now()
      }
    } finally {
      const closed = new LedgerError('closed', 'the ledger is closed')
      this.#sequencer.stop(closed)
      this.#growth.end(closed)
      await this.#indexer.close(closed)
      await this.#mark?.close().catch(() => undefined)
      await this.#storage.close()
    }
  }

  #committed(commit: Batch, head: Head): void {
    const first = head.size - commit.lines.length
    this.#memory.push(commit.lines, commit.leaves)
    const records: IndexedRecord[] = commit.records.map(({ id, at }) => ({ id, index: first + at }))
    this.#indexer.committed(records, first, head.size, head.root)
    this.#publisher.offer(head.note)
    this.#marks?.offer(head)
    this.#sealer.wake()
    this.#growth.reached(head.size)
    this.#observer.committed?.({
      entries: commit.lines.length,
      bytes: this.#writeBytes,
      milliseconds: this.#writeMs,
      size: head.size,
    })
  }

  async #afterSeal(): Promise<void> {
    this.#memory.dropBelow(this.#sealed.entries)
    await this.#publisher.now()
    this.#sequencer.poke()
  }

  /** Between two commits: wait for the sealer when it is far behind, and leave a long tail file for a new one. */
  async #between(): Promise<void> {
    while (this.#sequencer.stopped === undefined && this.#sealer.backlog > 0) {
      if (this.#sealer.backlog < MAX_BACKLOG_ENTRIES && this.#memory.characters < MAX_BACKLOG_CHARACTERS)
        break
      this.#sealer.wake()
      await this.#sealer.round()
    }
    if (this.#tail.worthRolling(this.#sealed.entries, this.#memory.characters))
      await this.#roll(this.#sealed.edge())
  }

  /** Begins a tail file at `edge`. */
  async #roll(edge: Edge): Promise<void> {
    const lines = this.#memory.lines(edge.size, this.#memory.end)
    if (lines === undefined)
      throw new LedgerError('stopped', `entries from ${edge.size} on are neither sealed nor in memory`)
    await this.#tail.roll(edge, lines, this.head.note)
  }

  /** Tells the clock the newest record's time. */
  async #setClock(): Promise<void> {
    const { size } = this.head
    if (size > 0) this.#clock.seen(this.#parse(size - 1, await this.#reader.entry(size - 1)).header.time)
  }

  /** The records whose first entry is in the range, from entries checked against the tree. */
  async #recordsIn(from: number, to: number): Promise<IndexedRecord[]> {
    const records: IndexedRecord[] = []
    let next = this.#entriesOf(from, to)
    for (let at = from; at < to;) {
      const entries = await next
      const after = at + entries.length
      // Read while these are taken apart.
      next = after < to ? this.#entriesOf(after, to) : Promise.resolve([])
      next.catch(() => undefined)
      for (const bytes of entries) {
        const entry = this.#parse(at, bytes)
        if (entry.continuation === undefined) records.push({ id: entry.header.id, index: at })
        at += 1
      }
    }
    return records
  }

  /** The entries from `from` on, up to the end of its bundle or `to`. */
  #entriesOf(from: number, to: number): Promise<Uint8Array[]> {
    return this.#reader.entries(from, Math.min(to, from - (from % 256) + 256))
  }

  async #rootAt(size: number): Promise<Hash> {
    const { head } = this
    if (size === head.size) return head.root
    return size === 0 ? EMPTY_ROOT : this.#reader.root(size)
  }

  #parse(index: number, bytes: Uint8Array): Entry {
    try {
      return parseEntry(bytes, this.#runtime.codec)
    } catch (error) {
      throw unreadable(`entry ${index}`, error, index)
    }
  }

  #join(index: number, entries: readonly Entry[]): Uint8Array {
    try {
      return joinParts(entries, (data) => hexEncode(this.#runtime.hasher.sha256(data)))
    } catch (error) {
      throw unreadable(`entry ${index}`, error, index)
    }
  }

  #expectIndex(index: number): void {
    if (Number.isSafeInteger(index) && index >= 0 && index < this.size) return
    throw this.#absent('not-found', `index ${index}: the ledger has ${this.size} entries`)
  }

  /** What is not in this tree may still be in the ledger where not all of it is shown. */
  #absent(code: 'not-found' | 'range', message: string): LedgerError {
    if (this.#isWhole) return new LedgerError(code, message)
    return new LedgerError(
      'read-only',
      `${message} that are known to be durable; what is behind them is not shown`,
    )
  }

  #expectTile(level: number | 'entries', index: number, width: number): void {
    const found = tileWidth(level, index, this.size)
    if (width >= 1 && width <= found) return
    throw this.#absent(
      'not-found',
      `tile ${level}/${index} of width ${width}: the checkpoint of size ${this.size} covers ${found} of it`,
    )
  }

  #expectRange(name: string, value: number, from: number, to: number): void {
    if (Number.isSafeInteger(value) && value >= from && value <= to) return
    throw this.#absent(
      'range',
      `${name}: expected ${from} to ${to}, found ${value}; the current size is ${this.size}`,
    )
  }
}

/** A tree that is another one than was acknowledged is shown to nobody, a damaged one that is shorter to whoever asks for it. */
async function refuseOther(
  { mark, storage, runtime }: LedgerOptions,
  found: Recovered,
  marked: number | undefined,
): Promise<void> {
  if (mark === undefined || marked === undefined || found.head.size < marked) return
  await checkMark(mark, found, storage, runtime)
}

/** A record's own header: the fields of the format that tell of the split are left out. */
function described({ header, split }: Entry): {
  id: string
  type: string
  time: string
  fields: readonly Field[]
} {
  const { id, type, time, fields } = header
  const own =
    split === undefined
      ? fields
      : fields.filter(([name]) => name !== 'parts' && name !== 'length' && name !== 'sha256')
  return { id, type, time, fields: own }
}
