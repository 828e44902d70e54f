/** Accepts records: checks limits, finds duplicates, assigns times, makes entries. */
import { CLOCK_TYPE, correctionPayload, type ClockCorrection } from '@service-fs/format/clock-correction'
import { entriesOf, type RecordContent, type Sha256Hex } from '@service-fs/format/entry'
import { equalBytes, hexEncode, type Codec } from '@service-fs/tlog/codec'
import type { Hash, Hasher } from '@service-fs/tlog/hash'
import type { RecordClock } from './clock.ts'
import { messageOf } from '@service-fs/format/errors'
import { LedgerError, stoppedBy } from './errors.ts'
import type { Indexer } from './indexer.ts'
import type { LedgerLimits } from './limits.ts'
import type { Appended, AppendResult, NewRecord, StoredRecord } from './record.ts'
import type { Runtime } from './runtime.ts'
import type { Batch, Place, Sequencer } from './sequencer.ts'

/** The largest payload of a correction: it fits into one entry with its header. */
const MAX_CORRECTION_BYTES = 16_384

interface Parts {
  runtime: Runtime
  clock: RecordClock
  indexer: Indexer
  sequencer: Sequencer
  limits: LedgerLimits
  /** Returns the record at `index`, the place of `id` in the record index. @throws RecordIndexDamage when it is another record */
  recordOf(id: string, index: number): Promise<StoredRecord>
  entry(index: number): Promise<Uint8Array>
  /** Resolves when the clock has the newest record's time. */
  clockSet: Promise<void>
}

/** A record that is being appended or is in the ledger. A new record with the same id is compared with it. */
interface Known {
  type: string
  payload: Uint8Array
  appended: Appended
}

/** Records that are appended together, all new to the ledger and with different identifiers. */
class Group {
  readonly records: NewRecord[] = []
  readonly entries: Uint8Array[] = []
  /** The place of each record's first entry among the entries. */
  readonly starts: number[] = []
  time = ''
  committed: Promise<Place> | undefined

  /** Returns the result for the `nth` record when the group is at `place`. */
  placed(nth: number, { index, leaves }: Place, duplicate: boolean): Appended {
    const start = this.starts[nth] as number
    const end = this.starts[nth + 1] ?? this.entries.length
    const leafHash = leaves[start] as Hash
    return { index: index + start, parts: end - start, leafHash, time: this.time, duplicate }
  }
}

/** The `nth` record of a group that is being committed. */
interface OnItsWay {
  group: Group
  nth: number
}

export class Appender {
  readonly #parts: Parts
  readonly #onTheirWay = new Map<string, OnItsWay>()
  #active = 0
  #whenSettled: (() => void) | undefined
  #isClockSet = false
  #stopped: LedgerError | undefined
  #failure: LedgerError | undefined

  constructor(parts: Parts) {
    this.#parts = parts
    parts.clockSet.then(
      () => {
        this.#isClockSet = true
      },
      (error: unknown) => {
        this.#failure = stoppedBy(error)
      },
    )
  }

  /** Why the ledger accepts no appends: reading the newest record or the record index failed. */
  get failure(): LedgerError | undefined {
    const { failure } = this.#parts.indexer
    return this.#failure ?? (failure === undefined ? undefined : stoppedBy(failure))
  }

  /** Whether both the clock and the record index are ready, so that appends need not wait. */
  get isReady(): boolean {
    return this.#isClockSet && this.#parts.indexer.isComplete
  }

  async ready(): Promise<void> {
    await this.#parts.clockSet
    await this.#parts.indexer.complete()
  }

  stop(reason: LedgerError): void {
    this.#stopped = reason
  }

  /** Resolves when no append is running. */
  async settled(): Promise<void> {
    if (this.#active > 0) await new Promise<void>((resolve) => (this.#whenSettled = resolve))
  }

  append(records: readonly NewRecord[]): Promise<AppendResult> {
    for (const { type } of records) {
      if (type.trim().toLowerCase().startsWith(CLOCK_TYPE))
        return Promise.reject(
          new LedgerError('bad-record', `type: ${CLOCK_TYPE} is reserved for clock corrections`),
        )
    }
    return this.#taken(records, () => this.#parts.indexer.with(() => this.#append(records)))
  }

  /** Appends records whose identifiers are new; see Ledger.appendFresh(). */
  appendFresh(records: readonly NewRecord[]): Promise<AppendResult> {
    return this.#taken(records, () => {
      const group = new Group()
      const nths = records.map((record) => addNew(group, record, undefined))
      return this.#enqueue(group, nths, [])
    })
  }

  async #taken<T>(records: readonly NewRecord[], append: () => Promise<T>): Promise<T> {
    this.#checkLimits(records)
    if (this.#active >= this.#parts.limits.queueEntries)
      throw new LedgerError('busy', `${this.#active} appends are waiting: try again later`)
    this.#active += 1
    try {
      if (!this.#isClockSet) await this.#parts.clockSet
      return await append()
    } finally {
      this.#active -= 1
      if (this.#active === 0) this.#whenSettled?.()
    }
  }

  /**
   * Appends the entry that corrects the clock. No other record gets a time until that entry is durable or has failed. `id` is as in
   * {@link appendFresh}.
   */
  async correct(id: string, correction: Omit<ClockCorrection, 'now'>): Promise<AppendResult> {
    const { clock, clockSet, runtime } = this.#parts
    await clockSet
    const now = clock.correct(correction.newest)
    try {
      const payload = correctionPayload({ ...correction, now }, runtime.codec)
      if (payload.length > MAX_CORRECTION_BYTES)
        throw new LedgerError('too-large', `expected a correction of at most ${MAX_CORRECTION_BYTES} bytes`)
      const record = { id, type: CLOCK_TYPE, payload }
      const result = await this.#taken([record], () => {
        const group = new Group()
        group.time = now
        return this.#enqueue(group, [addNew(group, record, undefined)], [])
      })
      clock.corrected(now)
      return result
    } catch (error) {
      clock.uncorrected()
      throw error
    }
  }

  /** Resolves when the clock has the newest record's time. */
  async clockSet(): Promise<void> {
    await this.#parts.clockSet
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

  async #append(records: readonly NewRecord[]): Promise<AppendResult> {
    // Compare the records of the batch before looking in the ledger, so this error reveals nothing about the ledger.
    checkTwins(records, this.#parts.runtime.hasher)
    const found: (Appended | undefined)[] = []
    // Other appends may run during a comparison. Look again until all duplicates are known, then enqueue without awaiting.
    for (;;) {
      const { group, nths, known } = this.#look(records, found)
      if (known.length === 0) return this.#enqueue(group, nths, found)
      for (const { at, holder } of known) {
        found[at] = await this.#duplicate(records[at] as NewRecord, holder)
      }
    }
  }

  /** Separates new records from those with a known identifier. `nths`: the place of each new record in the group, -1 for the others. */
  #look(
    records: readonly NewRecord[],
    found: readonly (Appended | undefined)[],
  ): { group: Group; nths: number[]; known: { at: number; holder: OnItsWay | number }[] } {
    const group = new Group()
    const nths: number[] = []
    const known: { at: number; holder: OnItsWay | number }[] = []
    const twins = records.length > 1 ? new Map<string, number>() : undefined
    const stored = this.#parts.indexer.findAll(records.map(({ id }) => id))
    for (let at = 0; at < records.length; at++) {
      const record = records[at] as NewRecord
      nths.push(-1)
      if (found[at] !== undefined) continue
      const holder = this.#onTheirWay.get(record.id) ?? stored[at]
      if (holder !== undefined) known.push({ at, holder })
      else nths[at] = addNew(group, record, twins)
    }
    return { group, nths, known }
  }

  /**
   * Returns the place of the record with this identifier; undefined when its append failed.
   * @throws LedgerError `conflict` when it is a different record
   */
  async #duplicate(record: NewRecord, holder: OnItsWay | number): Promise<Appended | undefined> {
    const known =
      typeof holder === 'number' ? await this.#stored(record.id, holder) : await this.#arrived(holder)
    if (known === undefined) return undefined
    if (sameContent(known, record, this.#parts.runtime.hasher)) return { ...known.appended, duplicate: true }
    const { index } = known.appended
    throw new LedgerError(
      'conflict',
      `identifier ${JSON.stringify(record.id)}: entry ${index} (cursor ${index + 1}) holds another record with that identifier`,
      { index, recordId: record.id },
    )
  }

  async #stored(id: string, index: number): Promise<Known> {
    const { type, payload, parts, time } = await this.#parts.recordOf(id, index)
    const leafHash = this.#parts.runtime.hasher.leaf(await this.#parts.entry(index))
    return { type, payload, appended: { index, parts, leafHash, time, duplicate: true } }
  }

  async #arrived({ group, nth }: OnItsWay): Promise<Known | undefined> {
    const { type, payload } = group.records[nth] as NewRecord
    try {
      const committed = await group.committed
      return committed && { type, payload, appended: group.placed(nth, committed, true) }
    } catch {
      return undefined
    }
  }

  /** Appends the group. `nths`: the place in the group of each record, or -1 where `found` has its place in the ledger. */
  async #enqueue(
    group: Group,
    nths: readonly number[],
    found: readonly (Appended | undefined)[],
  ): Promise<AppendResult> {
    const { sequencer } = this.#parts
    if (group.records.length === 0) return { entries: found as Appended[], checkpoint: sequencer.head.note }
    this.#fill(group)
    group.committed = sequencer.append(this.#batch(group))
    for (let nth = 0; nth < group.records.length; nth++) {
      this.#onTheirWay.set((group.records[nth] as NewRecord).id, { group, nth })
    }
    try {
      const place = await group.committed
      let answered = -1
      const entries = nths.map((nth, at) => {
        if (nth < 0) return found[at] as Appended
        const isFirst = nth > answered
        if (isFirst) answered = nth
        return group.placed(nth, place, !isFirst)
      })
      return { entries, checkpoint: place.head.note }
    } finally {
      for (const { id } of group.records) this.#onTheirWay.delete(id)
    }
  }

  /** Makes the entries of the group's records. */
  #fill(group: Group): void {
    const { codec, hasher } = this.#parts.runtime
    if (group.time === '') group.time = this.#parts.clock.stamp()
    const sha256Hex = (data: Uint8Array): string => hexEncode(hasher.sha256(data))
    for (const { id, type, payload, fields } of group.records) {
      group.starts.push(group.entries.length)
      const content = { id, type, time: group.time, payload, fields: fields ?? [] }
      for (const entry of made(content, sha256Hex, codec)) group.entries.push(entry)
    }
  }

  #batch({ entries, records, starts }: Group): Batch {
    return { entries, records: records.map(({ id }, nth) => ({ id, at: starts[nth] as number })) }
  }
}

/**
 * Adds the record to the group and returns its place there. When the batch has the record twice, returns the place of the first.
 */
function addNew(group: Group, record: NewRecord, twins: Map<string, number> | undefined): number {
  const twin = twins?.get(record.id)
  if (twin === undefined) {
    twins?.set(record.id, group.records.length)
    return group.records.push(record) - 1
  }
  return twin
}

/** @throws LedgerError `conflict` when two records have one identifier and different content */
function checkTwins(records: readonly NewRecord[], hasher: Hasher): void {
  if (records.length === 1) return
  const first = new Map<string, NewRecord>()
  for (const record of records) {
    const twin = first.get(record.id)
    if (twin === undefined) first.set(record.id, record)
    else if (!sameContent(twin, record, hasher)) {
      throw new LedgerError(
        'conflict',
        `identifier ${JSON.stringify(record.id)}: occurs twice in the batch with different content`,
      )
    }
  }
}

function made(content: RecordContent, sha256Hex: Sha256Hex, codec: Codec): Uint8Array[] {
  try {
    return entriesOf(content, sha256Hex, codec)
  } catch (error) {
    throw new LedgerError('bad-record', messageOf(error), { cause: error })
  }
}

/** Compares larger payloads by their SHA-256, because an interpreter compares bytes slowly. */
const MANY_BYTES = 4096

function sameContent(
  a: { type: string; payload: Uint8Array },
  b: { type: string; payload: Uint8Array },
  hasher: Hasher,
): boolean {
  const length = a.payload.length
  if (a.type !== b.type || length !== b.payload.length) return false
  if (length < MANY_BYTES) return equalBytes(a.payload, b.payload)
  return equalBytes(hasher.sha256(a.payload), hasher.sha256(b.payload))
}
