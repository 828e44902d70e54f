/** Taking records in: limits, identifiers that are there already, times, entries. */
import { entriesOf } from '@service-fs/format/entry'
import { equalBytes, hexEncode } from '@service-fs/tlog/codec'
import type { Hash } from '@service-fs/tlog/hash'
import type { RecordClock } from './clock.ts'
import { LedgerError, messageOf } from './errors.ts'
import type { LedgerLimits } from './limits.ts'
import type { Appended, NewRecord, StoredRecord } from './record.ts'
import type { RecordIndex } from './record-index.ts'
import type { Runtime } from './runtime.ts'
import type { Batch, Sequencer } from './sequencer.ts'

interface Parts {
  runtime: Runtime
  clock: RecordClock
  index: RecordIndex
  sequencer: Sequencer
  limits: LedgerLimits
  record(index: number): Promise<StoredRecord>
  entry(index: number): Promise<Uint8Array>
  /** Resolves when clock and index know what is in the ledger. */
  ready: Promise<void>
}

/** A record on its way, or one that is there: what another one of its id is compared with. */
interface Known {
  type: string
  payload: Uint8Array
  appended: Appended
}

interface OnItsWay {
  record: NewRecord
  done: Promise<Appended>
}

export class Appender {
  readonly #parts: Parts
  readonly #onTheirWay = new Map<string, OnItsWay>()
  #active = 0
  #whenSettled: (() => void) | undefined
  #isReady = false
  #stopped: LedgerError | undefined
  #failure: LedgerError | undefined

  constructor(parts: Parts) {
    this.#parts = parts
    parts.ready.then(
      () => {
        this.#isReady = true
      },
      (error: unknown) => {
        this.#failure =
          error instanceof LedgerError
            ? error
            : new LedgerError('stopped', messageOf(error), { cause: error })
      },
    )
  }

  /** Why no append can be taken: getting ready failed. */
  get failure(): LedgerError | undefined {
    return this.#failure
  }

  ready(): Promise<void> {
    return this.#parts.ready
  }

  stop(reason: LedgerError): void {
    this.#stopped = reason
  }

  /** Resolves when every append that was taken is answered. */
  async settled(): Promise<void> {
    await this.#parts.ready.catch(() => undefined)
    if (this.#active > 0) await new Promise<void>((resolve) => (this.#whenSettled = resolve))
  }

  async append(records: readonly NewRecord[]): Promise<{ entries: Appended[]; checkpoint: string }> {
    this.#checkLimits(records)
    if (this.#active >= this.#parts.limits.queueEntries)
      throw new LedgerError('busy', `${this.#active} appends are waiting: try again later`)
    this.#active += 1
    try {
      if (!this.#isReady) await this.#parts.ready
      return await this.#append(records)
    } finally {
      this.#active -= 1
      if (this.#active === 0) this.#whenSettled?.()
    }
  }

  #checkLimits(records: readonly NewRecord[]): void {
    const { limits } = this.#parts
    if (this.#stopped !== undefined) throw this.#stopped
    if (records.length === 0) throw new LedgerError('bad-record', 'expected at least one record')
    if (records.length > limits.maxBatchRecords)
      throw new LedgerError(
        'too-large',
        `expected at most ${limits.maxBatchRecords} records at once, found ${records.length}`,
      )
    let bytes = 0
    for (const { payload } of records) {
      bytes += payload.length
      if (payload.length > limits.maxPayloadBytes)
        throw new LedgerError(
          'too-large',
          `payload: expected at most ${limits.maxPayloadBytes} bytes, found ${payload.length}`,
        )
    }
    if (records.length > 1 && bytes * 4 > limits.queueBytes * 3) {
      throw new LedgerError(
        'too-large',
        `expected at most ${Math.floor((limits.queueBytes * 3) / 4)} payload bytes at once, found ${bytes}`,
      )
    }
  }

  async #append(records: readonly NewRecord[]): Promise<{ entries: Appended[]; checkpoint: string }> {
    const results: (Appended | undefined)[] = records.map(() => undefined)
    // Comparing with what is there takes time in which others may append: look until nothing new is found, then enqueue at once.
    for (;;) {
      const fresh = new Map<string, NewRecord>()
      const known = new Map<number, OnItsWay | number>()
      for (const [at, record] of records.entries()) {
        if (results[at] !== undefined) continue
        const holder = this.#onTheirWay.get(record.id) ?? this.#parts.index.get(record.id)
        if (holder !== undefined) known.set(at, holder)
        else this.#addFresh(fresh, record)
      }
      if (known.size === 0) return this.#enqueue(records, fresh, results)
      for (const [at, holder] of known) results[at] = await this.#duplicate(records[at] as NewRecord, holder)
    }
  }

  #addFresh(fresh: Map<string, NewRecord>, record: NewRecord): void {
    const twin = fresh.get(record.id)
    if (twin === undefined) fresh.set(record.id, record)
    else if (!sameContent(twin, record)) {
      throw new LedgerError(
        'conflict',
        `identifier ${JSON.stringify(record.id)}: stands twice in the batch, with different content`,
      )
    }
  }

  /** The place of the record that has this one's identifier, if it is the same record; undefined if it did not get into the ledger. */
  async #duplicate(record: NewRecord, holder: OnItsWay | number): Promise<Appended | undefined> {
    const known = typeof holder === 'number' ? await this.#stored(holder) : await this.#arrived(holder)
    if (known === undefined) return undefined
    if (sameContent(known, record)) return { ...known.appended, duplicate: true }
    const { index } = known.appended
    throw new LedgerError(
      'conflict',
      `identifier ${JSON.stringify(record.id)}: entry ${index} (cursor ${index + 1}) holds another record of that identifier`,
      { index },
    )
  }

  async #stored(index: number): Promise<Known> {
    const { type, payload, parts, time } = await this.#parts.record(index)
    const leafHash = this.#parts.runtime.hasher.leaf(await this.#parts.entry(index))
    return { type, payload, appended: { index, parts, leafHash, time, duplicate: true } }
  }

  async #arrived({ record, done }: OnItsWay): Promise<Known | undefined> {
    try {
      return { type: record.type, payload: record.payload, appended: await done }
    } catch {
      return undefined
    }
  }

  #entries(record: NewRecord, time: string): Uint8Array[] {
    const { codec, hasher } = this.#parts.runtime
    try {
      return entriesOf({ ...record, time }, (data) => hexEncode(hasher.sha256(data)), codec)
    } catch (error) {
      throw new LedgerError('bad-record', messageOf(error), { cause: error })
    }
  }

  async #enqueue(
    records: readonly NewRecord[],
    fresh: ReadonlyMap<string, NewRecord>,
    results: (Appended | undefined)[],
  ): Promise<{ entries: Appended[]; checkpoint: string }> {
    const { sequencer } = this.#parts
    if (fresh.size === 0) return { entries: results as Appended[], checkpoint: sequencer.head.note }
    const places = new Map<string, { at: number; parts: number }>()
    const time = this.#parts.clock.stamp()
    const batch = this.#batch(fresh.values(), time, places)
    const committed = sequencer.append(batch)
    const placed = (id: string, index: number, duplicate: boolean): Appended => {
      const { at, parts } = places.get(id) as { at: number; parts: number }
      return { index: index + at, parts, leafHash: batch.leaves[at] as Hash, time, duplicate }
    }
    this.#announce(
      fresh,
      committed.then(
        ({ index }) =>
          (id: string) =>
            placed(id, index, false),
      ),
    )
    try {
      const { index, head } = await committed
      const first = new Set(fresh.keys())
      const entries = records.map(({ id }, at) => results[at] ?? placed(id, index, !first.delete(id)))
      return { entries, checkpoint: head.note }
    } finally {
      for (const id of fresh.keys()) this.#onTheirWay.delete(id)
    }
  }

  #announce(fresh: ReadonlyMap<string, NewRecord>, placed: Promise<(id: string) => Appended>): void {
    placed.catch(() => undefined)
    for (const [id, record] of fresh) {
      const done = placed.then((place) => place(id))
      done.catch(() => undefined)
      this.#onTheirWay.set(id, { record, done })
    }
  }

  #batch(
    records: Iterable<NewRecord>,
    time: string,
    places: Map<string, { at: number; parts: number }>,
  ): Batch {
    const { codec, hasher } = this.#parts.runtime
    const lines: string[] = []
    const leaves: Hash[] = []
    const ids: { id: string; at: number }[] = []
    for (const record of records) {
      const entries = this.#entries(record, time)
      places.set(record.id, { at: lines.length, parts: entries.length })
      ids.push({ id: record.id, at: lines.length })
      for (const entry of entries) {
        lines.push(codec.base64Encode(entry))
        leaves.push(hasher.leaf(entry))
      }
    }
    return { lines, leaves, records: ids }
  }
}

function sameContent(
  a: { type: string; payload: Uint8Array },
  b: { type: string; payload: Uint8Array },
): boolean {
  return a.type === b.type && equalBytes(a.payload, b.payload)
}
