/** The WORM ledger: appends records, reads them, and proves them. No operation changes or removes a record. */
import type { ClockCorrection } from '@service-fs/format/clock-correction'
import type { TreeAlgorithm } from '@service-fs/format/tree-binding'
import type { StorageCapability } from '@service-fs/storage/capability'
import type { Hash } from '@service-fs/tlog/hash'
import { TILE_WIDTH } from '@service-fs/tlog/tile'
import { formatTlogProof } from '@service-fs/tlog/tlog-proof'
import type { Appender } from './appender.ts'
import type { RecordClock } from './clock.ts'
import { DutyBook, type StatedDuty, type StatedResult } from './duty-book.ts'
import { LedgerError } from './errors.ts'
import type { Extent } from './extent.ts'
import type { Growth } from './growth.ts'
import type { Head } from './head.ts'
import type { HighWaterMark } from './high-water-mark.ts'
import type { Indexer } from './indexer.ts'
import type { LedgerLimits } from './limits.ts'
import type { LedgerObserver } from './options.ts'
import type { Reader } from './reader.ts'
import type { AppendResult, NewRecord, StoredRecord } from './record.ts'
import type { Records } from './records.ts'
import type { Runtime } from './runtime.ts'
import type { Scrub, ScrubStatus } from './scrub/scrub.ts'
import type { SealedTiles } from './sealed-tiles.ts'
import { TreeBook, type BoundTree, type PlacedTree } from './second-tree/tree-book.ts'
import type { Sequencer } from './sequencer.ts'
import type { Upkeep } from './upkeep.ts'

export interface LedgerStatus {
  /** Whether the ledger takes appends; if not, `reason` and `code` say why. */
  accepting: boolean
  reason?: string
  code?: string
  /** Whether the newest record's time is known and the record index covers the ledger. */
  prepared: boolean
  /** Entries in the newest durable checkpoint. */
  size: number
  /** Entries in sealed bundles. */
  sealed: number
  /** Entries that the record index covers: appends and lookups by identifier wait until it covers all. */
  indexed: number
  /** Entries, and bytes of their lines, that wait for a commit. */
  queueEntries: number
  queueBytes: number
  /** Records that repeated the previous time because the clock had stepped back a little. */
  timesRepeated: number
  /** Why no record can have the clock's time now; absent when one can. */
  clock?: 'clock-behind' | 'clock-ahead'
  /** The background check of the sealed files; absent without one. */
  scrub?: ScrubStatus
}

/** The parts of a ledger, which open.ts connects. */
export interface LedgerParts {
  readonly origin: string
  readonly vkeys: readonly string[]
  readonly limits: LedgerLimits
  readonly storage: StorageCapability
  readonly runtime: Runtime
  readonly observer: LedgerObserver
  readonly mark: HighWaterMark | undefined
  readonly clock: RecordClock
  readonly indexer: Indexer
  readonly sealed: SealedTiles
  readonly extent: Extent
  readonly reader: Reader
  readonly records: Records
  readonly sequencer: Sequencer
  readonly appender: Appender
  readonly upkeep: Upkeep
  readonly growth: Growth
  readonly scrub: Scrub | undefined
  /** Returns the entry at `index`, where the record index finds `id`. @throws RecordIndexDamage when another record is there */
  readonly entryOf: (id: string, index: number) => Promise<Uint8Array>
  /** Returns the record that starts with that entry. */
  readonly recordOf: (id: string, index: number) => Promise<StoredRecord>
}

export class Ledger {
  readonly origin: string
  readonly vkeys: readonly string[]
  readonly limits: LedgerLimits
  readonly #parts: LedgerParts
  readonly #duties: DutyBook
  readonly #trees: TreeBook
  #closing: Promise<void> | undefined

  constructor(parts: LedgerParts) {
    this.origin = parts.origin
    this.vkeys = parts.vkeys
    this.limits = parts.limits
    this.#parts = parts
    this.#duties = new DutyBook({
      codec: parts.runtime.codec,
      hasher: parts.runtime.hasher,
      find: (id) => this.#maybe(id),
      append: (record) => this.#observed(() => parts.appender.appendReserved(record)),
    })
    this.#trees = new TreeBook({
      origin: parts.origin,
      runtime: parts.runtime,
      find: (id) => this.#maybe(id),
      rootAt: (size) => parts.reader.root(size, this.head),
      append: (record) => this.#observed(() => parts.appender.appendReserved(record)),
    })
  }

  /** Entries in the newest durable checkpoint. */
  get size(): number {
    return this.head.size
  }

  /** The newest durable state: size, root hash, signed checkpoint. */
  get head(): Head {
    return this.#parts.sequencer.head
  }

  /** Returns the newest durable checkpoint as a signed note (c2sp.org/tlog-checkpoint). */
  checkpoint(): string {
    return this.head.note
  }

  /**
   * Resolves with the size of the newest durable checkpoint once it is above `size`, at once if it already is. It stays pending while
   * the ledger takes no appends.
   * @throws LedgerError `closed` when the ledger is closed first
   */
  grown(size: number): Promise<number> {
    return this.size > size ? Promise.resolve(this.size) : this.#parts.growth.beyond(size)
  }

  /** Resolves when the ledger takes appends: the newest record's time is known and the record index covers the ledger. */
  ready(): Promise<void> {
    return this.#parts.appender.ready()
  }

  /**
   * Appends records in one commit, all or none; resolves when it is durable. For a record whose id is already in the ledger with
   * the same type and payload, returns the place of the first one.
   * @throws LedgerError `conflict` (entry `index` holds another record with that id), `bad-record`, `too-large`, `busy`,
   *   `not-ready` (the record index is being built), `clock-behind`, `clock-ahead`, `signer`, `stopped`, `full`, `closed`
   */
  append(records: readonly NewRecord[]): Promise<AppendResult> {
    return this.#observed(() => this.#parts.appender.append(records))
  }

  /**
   * Appends records like {@link append}, but without looking up their identifiers, and so without the record index.
   * Each identifier must be new: make it for its record alone, with enough random bits. Never use it for an
   * identifier that a client chose.
   */
  appendFresh(records: readonly NewRecord[]): Promise<AppendResult> {
    return this.#observed(() => this.#parts.appender.appendFresh(records))
  }

  async #observed(append: () => Promise<AppendResult>): Promise<AppendResult> {
    const answered = this.#parts.observer.appending?.()
    try {
      return await append()
    } finally {
      answered?.()
    }
  }

  /**
   * Corrects the clock of a ledger whose newest record lies in the future: appends an entry of type CLOCK_TYPE with the clock's
   * time. Later times are not before that one. See {@link ClockCorrection}; `id` is as in {@link appendFresh}.
   * @throws LedgerError `bad-record` when `newest` is not the newest record's time, or the clock is not behind it; and as append()
   */
  correctClock(id: string, correction: Omit<ClockCorrection, 'now'>): Promise<AppendResult> {
    return this.#parts.appender.correct(id, correction)
  }

  /**
   * Appends the entry of a duty to keep records: a policy, a hold, the end of a hold, or an extension. Returns the entry
   * that states the same and still holds, if there is one, or the problem of a duty that the duties in the log do not allow.
   * docs/retention.md has the rules.
   * @throws LedgerError as append()
   */
  stateDuty(duty: StatedDuty): Promise<StatedResult> {
    return this.#duties.state(duty)
  }

  /** Returns the newest binding of a second tree; undefined when there is none. @throws LedgerError as {@link recordById} */
  treeBinding(algorithm: TreeAlgorithm): Promise<PlacedTree | undefined> {
    return this.#trees.newest(algorithm)
  }

  /** Appends the entry that binds a second tree: see {@link TreeBook.bind}. @throws LedgerError as append(); `range` */
  async bindTree(tree: BoundTree): Promise<PlacedTree> {
    this.#parts.extent.checkRange('size', tree.size, 0, this.size)
    return this.#trees.bind(tree)
  }

  /** Returns the clock's time in milliseconds since the Unix epoch, and the newest record's time (absent without records). */
  async clock(): Promise<{ now: number; newest?: string; problem?: LedgerError }> {
    const { appender, clock, runtime } = this.#parts
    await appender.clockSet()
    const { newest } = clock
    const problem = clock.problem()
    return {
      now: runtime.now(),
      ...(newest === '' ? {} : { newest }),
      ...(problem === undefined ? {} : { problem }),
    }
  }

  /** Returns the bytes of one entry. @throws LedgerError `not-found`, `corrupt` */
  entry(index: number): Promise<Uint8Array> {
    return this.#parts.records.entry(index)
  }

  /** Returns the record whose first entry is `index`. @throws LedgerError `not-found`, `not-a-record` (inside a split one), `corrupt` */
  record(index: number): Promise<StoredRecord> {
    return this.#parts.records.record(index)
  }

  /** Returns the record with the identifier `id`. @throws LedgerError `not-found`, `not-ready` (the record index is being built), `corrupt` */
  recordById(id: string): Promise<StoredRecord> {
    return this.#found(id, (index) => this.#parts.recordOf(id, index))
  }

  /**
   * Returns the first entry of the record with the identifier `id`, and its index. The caller must not change the bytes. @throws
   * LedgerError as {@link recordById}
   */
  entryById(id: string): Promise<{ index: number; entry: Uint8Array }> {
    return this.#found(id, async (index) => ({ index, entry: await this.#parts.entryOf(id, index) }))
  }

  /** Returns the result of {@link entryById}; undefined when no record has the identifier. */
  async #maybe(id: string): Promise<{ index: number; entry: Uint8Array } | undefined> {
    try {
      return await this.entryById(id)
    } catch (error) {
      if (error instanceof LedgerError && error.code === 'not-found') return undefined
      throw error
    }
  }

  #found<T>(id: string, read: (index: number) => Promise<T>): Promise<T> {
    const { indexer, extent } = this.#parts
    return indexer.with(async () => {
      const index = indexer.find(id)
      if (index !== undefined) return read(index)
      throw extent.absent('not-found', `no record has the identifier ${JSON.stringify(id)}`)
    })
  }

  /** Yields the records whose first entry has an index of at least `since`, in order, up to the durable size at the call. */
  records(since: number, options: { limit?: number } = {}): AsyncGenerator<StoredRecord> {
    return this.#parts.records.from(since, options.limit ?? Number.POSITIVE_INFINITY)
  }

  /** Returns the first `width` hashes of a tile. @throws LedgerError `not-found` when the checkpoint does not cover them */
  async hashTile(level: number, index: number, width: number): Promise<readonly Hash[]> {
    const { extent, reader } = this.#parts
    extent.checkTile(level, index, width)
    return reader.hashTile(level, index, width)
  }

  /** Returns the hash of a full tile, which the tile above it holds. @throws LedgerError `not-found` when the checkpoint does not cover it */
  async tileHash(level: number, index: number): Promise<Hash> {
    const { extent, reader } = this.#parts
    extent.checkTile(level, index, TILE_WIDTH)
    return reader.tileHash(level, index)
  }

  /** Returns the first `width` entries of a bundle as base64 lines. @throws LedgerError `not-found` when the checkpoint does not cover them */
  async bundle(index: number, width: number): Promise<readonly string[]> {
    const { extent, reader } = this.#parts
    extent.checkTile('entries', index, width)
    return reader.bundle(index, width)
  }

  /** Returns {@link hashTile} in the binary form of c2sp.org/tlog-tiles. The caller must not change the bytes. */
  async tileBytes(level: number, index: number, width: number): Promise<Uint8Array> {
    const { extent, reader } = this.#parts
    extent.checkTile(level, index, width)
    return reader.tileBytes(level, index, width)
  }

  /** Returns {@link bundle} in the binary form of c2sp.org/tlog-tiles. The caller must not change the bytes. */
  async bundleBytes(index: number, width: number): Promise<Uint8Array> {
    const { extent, reader } = this.#parts
    extent.checkTile('entries', index, width)
    return reader.bundleBytes(index, width)
  }

  /**
   * Returns the bytes of the entries from `from` up to, not including, `to`, or to the end of the bundle of `from`. The caller must not
   * change them.
   * @throws LedgerError `not-found`, `corrupt`
   */
  async entries(from: number, to: number): Promise<readonly Uint8Array[]> {
    const { extent, reader } = this.#parts
    extent.checkIndex(from)
    extent.checkIndex(to - 1)
    return reader.entries(from, Math.min(to, from - (from % 256) + 256))
  }

  /** Returns the inclusion proof of entry `index` in the tree of `size` (RFC 6962, section 2.1.1). @throws LedgerError `range` */
  async inclusionProof(
    index: number,
    size: number,
  ): Promise<{ leafHash: Hash; rootHash: Hash; hashes: Hash[] }> {
    const { extent, reader } = this.#parts
    extent.checkRange('size', size, 1, this.size)
    extent.checkRange('index', index, 0, size - 1)
    const { leafHash, hashes } = await reader.inclusion(index, size)
    return { leafHash, rootHash: await reader.root(size, this.head), hashes }
  }

  /**
   * Returns the consistency proof between the trees of `from` and `to` (RFC 6962, section 2.1.2), empty when `from` is 0.
   * @throws LedgerError `range`
   */
  async consistencyProof(from: number, to: number): Promise<{ hashes: Hash[] }> {
    const { extent, reader } = this.#parts
    extent.checkRange('to', to, 0, this.size)
    extent.checkRange('from', from, 0, to)
    return { hashes: from === 0 || from === to ? [] : await reader.consistency(from, to) }
  }

  /** Returns the `.tlog-proof` (c2sp.org/tlog-proof) of entry `index` at the newest checkpoint; `extra` is the entry's header. */
  async tlogProof(index: number): Promise<string> {
    const { records, reader } = this.#parts
    const { size, note } = this.head
    const bytes = await records.entry(index)
    const { headerLength } = records.parse(index, bytes)
    const { hashes } = await reader.inclusion(index, size)
    return formatTlogProof({ extra: bytes.slice(0, headerLength), index, hashes, checkpoint: note })
  }

  status(): LedgerStatus {
    const { appender, clock, indexer, scrub, sealed, sequencer } = this.#parts
    const stopped = sequencer.stopped ?? appender.failure
    const { queueEntries, queueBytes } = sequencer
    const reason = stopped === undefined ? {} : { reason: stopped.message, code: stopped.code }
    const code = clock.problem()?.code
    return {
      accepting: stopped === undefined && this.#closing === undefined,
      ...reason,
      prepared: appender.isReady,
      size: this.size,
      sealed: sealed.entries,
      indexed: indexer.covered,
      queueEntries,
      queueBytes,
      timesRepeated: clock.repeated,
      ...(code === 'clock-behind' || code === 'clock-ahead' ? { clock: code } : {}),
      ...(scrub === undefined ? {} : { scrub: scrub.status() }),
    }
  }

  /**
   * Stops cleanly: commits the waiting records, seals full bundles, publishes the checkpoint. Closes the storage, the index and the
   * mark.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    const { appender, indexer, upkeep, sequencer, growth, mark, scrub, storage } = this.#parts
    const closing = new LedgerError('closed', 'the ledger is being closed')
    appender.stop(closing)
    indexer.stop(closing)
    if (scrub !== undefined) await scrub.stop()
    try {
      await appender.settled()
      await upkeep.finish()
    } finally {
      const closed = new LedgerError('closed', 'the ledger is closed')
      sequencer.stop(closed)
      growth.end(closed)
      await indexer.close(closed)
      await mark?.close().catch(() => undefined)
      await storage.close()
    }
  }
}
