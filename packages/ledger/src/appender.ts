/** Accepts records: checks limits, finds duplicates, assigns times, makes entries. */
import { CLOCK_TYPE, correctionPayload, type ClockCorrection } from '@service-fs/format/clock-correction'
import { SIGNATURE_FIELD, SIGNATURE_ID_PREFIX, SIGNATURE_OF_FIELD } from '@service-fs/format/author'
import { DUTY_ID_PREFIX, DUTY_TYPE, RETAIN_FIELD } from '@service-fs/format/duty'
import type { Field } from '@service-fs/format/entry'
import { SCRUB_TYPE } from '@service-fs/format/scrub-entry'
import { TREE_ID_PREFIX, TREE_TYPE } from '@service-fs/format/tree-binding'
import { packEntries, type PackedRecords } from '@service-fs/format/pack-entries'
import { equalBytes, hexEncode } from '@service-fs/tlog/codec'
import type { Hash, Hasher } from '@service-fs/tlog/hash'
import type { RecordClock } from './clock.ts'
import { FormatError } from '@service-fs/format/errors'
import { checkValidity, storedAuthor, withCompanions } from './companion.ts'
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
  /** Returns the record at `index`, where the record index finds `id`. @throws RecordIndexDamage when it is another record */
  recordOf(id: string, index: number): Promise<StoredRecord>
  entry(index: number): Promise<Uint8Array>
  /** Resolves when the clock has the newest record's time. */
  clockSet: Promise<void>
}

/** A record that is being appended or is in the ledger. A new record with the same id is compared with it. */
interface Known {
  type: string
  payload: Uint8Array
  fields?: readonly Field[] | undefined
  appended: Appended
}

const NO_ENTRIES: PackedRecords = { bytes: new Uint8Array(), offsets: Uint32Array.of(0), starts: [] }

/** Records that are appended together, all new to the ledger and with different identifiers. */
class Group implements Batch {
  readonly records: NewRecord[] = []
  entries: PackedRecords = NO_ENTRIES
  time = ''
  committed: Promise<Place> | undefined
  /** The place of each record, by identifier. Built when another append first looks for an identifier. */
  #places: Map<string, number> | undefined

  /** Returns the place of the record with this identifier. */
  placeOf(id: string): number {
    this.#places ??= new Map(this.records.map((record, nth) => [record.id, nth]))
    return this.#places.get(id) as number
  }

  /** Returns the result for the `nth` record when the group is at `place`. */
  placed(nth: number, { index, leaves }: Place, duplicate: boolean): Appended {
    const { starts, offsets } = this.entries
    const start = starts[nth] as number
    const end = starts[nth + 1] ?? offsets.length - 1
    const leafHash = leaves[start] as Hash
    return { index: index + start, parts: end - start, leafHash, time: this.time, duplicate }
  }
}

interface Looking {
  /** The places of records that are known to be in the ledger. */
  readonly found: readonly (Appended | undefined)[]
  /** For each record, the place that the record index has for its identifier. */
  readonly stored: readonly (number | undefined)[]
  /** Whether two of the records have the same identifier. */
  readonly hasTwins: boolean
}

export class Appender {
  readonly #parts: Parts
  /** By identifier, the group of each record that is being committed. */
  readonly #onTheirWay = new Map<string, Group>()
  #active = 0
  #whenSettled: (() => void) | undefined
  #isClockSet = false
  #stopped: LedgerError | undefined
  #failure: LedgerError | undefined
  readonly #sha256Hex = (data: Uint8Array): string => hexEncode(this.#parts.runtime.hasher.sha256(data))

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
    const reserved = reservedName(records)
    if (reserved !== undefined) return Promise.reject(new LedgerError('bad-record', reserved))
    const isSigned = records.some(({ signature }) => signature !== undefined)
    return isSigned ? this.#appendSigned(records) : this.#appendAny(records)
  }

  /** Appends records of which some are signed. The result leaves out the companions. */
  async #appendSigned(records: readonly NewRecord[]): Promise<AppendResult> {
    const { all, places } = withCompanions(records, this.#sha256Hex, this.#parts.runtime.codec)
    // Count only the signed records, and not the records of their signatures, against the limits of a batch.
    const { entries, checkpoint } = await this.#taken(records, () =>
      this.#parts.indexer.with(() => this.#append(all)),
    )
    const own = places.map((at, nth) => {
      const place = entries[at] as Appended
      const author = place.author ?? records[nth]?.signature?.author
      return author === undefined ? place : { ...place, author }
    })
    return { entries: own, checkpoint }
  }

  /** Appends an entry of the ledger itself or of an operator, whose type and identifier no client's record can have. */
  appendReserved(record: NewRecord): Promise<AppendResult> {
    return this.#appendAny([record])
  }

  #appendAny(records: readonly NewRecord[]): Promise<AppendResult> {
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
    for (const { payload, signature } of records) {
      bytes += payload.length + (signature?.bytes.length ?? 0)
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
    const ids = records.map(({ id }) => id)
    const hasTwins = ids.length > 1 && new Set(ids).size < ids.length
    // Compare the records of the batch before looking in the ledger, so this error reveals nothing about the ledger.
    if (hasTwins) checkTwins(records, this.#parts.runtime.hasher)
    const found: (Appended | undefined)[] = []
    // Other appends may run during a comparison. Look again until all duplicates are known, then enqueue without awaiting.
    for (;;) {
      const stored = this.#parts.indexer.findAll(ids)
      const { group, nths, known } = this.#look(records, { found, stored, hasTwins })
      if (known.length === 0) return this.#enqueue(group, nths, found)
      for (const { at, holder } of known) {
        found[at] = await this.#duplicate(records[at] as NewRecord, holder)
      }
    }
  }

  /**
   * Separates new records from those with a known identifier. `nths`: the place of each new record in the group, -1 for the others.
   * `stored`: the place of each identifier in the record index.
   */
  #look(
    records: readonly NewRecord[],
    { found, stored, hasTwins }: Looking,
  ): { group: Group; nths: number[]; known: { at: number; holder: Group | number }[] } {
    const group = new Group()
    const nths: number[] = []
    const known: { at: number; holder: Group | number }[] = []
    const twins = hasTwins ? new Map<string, number>() : undefined
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
  async #duplicate(record: NewRecord, holder: Group | number): Promise<Appended | undefined> {
    const known =
      typeof holder === 'number'
        ? await this.#stored(record.id, holder)
        : await this.#arrived(record.id, holder)
    if (known === undefined) return undefined
    const { index } = known.appended
    if (sameContent(known, record, this.#parts.runtime.hasher)) {
      checkFields(record, known)
      const author = record.signature === undefined ? undefined : storedAuthor(known.fields)
      return { ...known.appended, duplicate: true, ...(author === undefined ? {} : { author }) }
    }
    throw new LedgerError(
      'conflict',
      `identifier ${JSON.stringify(record.id)}: entry ${index} (cursor ${index + 1}) holds another record with that identifier`,
      { index, recordId: record.id },
    )
  }

  async #stored(id: string, index: number): Promise<Known> {
    const { type, payload, fields, parts, time } = await this.#parts.recordOf(id, index)
    const leafHash = this.#parts.runtime.hasher.leaf(await this.#parts.entry(index))
    return { type, payload, fields, appended: { index, parts, leafHash, time, duplicate: true } }
  }

  async #arrived(id: string, group: Group): Promise<Known | undefined> {
    const nth = group.placeOf(id)
    const { type, payload, fields } = group.records[nth] as NewRecord
    try {
      const committed = await group.committed
      return committed && { type, payload, fields, appended: group.placed(nth, committed, true) }
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
    group.committed = sequencer.append(group)
    for (const { id } of group.records) this.#onTheirWay.set(id, group)
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

  /** Makes the entries of the group's records. @throws LedgerError `bad-record` */
  #fill(group: Group): void {
    const { codec } = this.#parts.runtime
    if (group.time === '') group.time = this.#parts.clock.stamp()
    checkValidity(group.records, group.time)
    try {
      group.entries = packEntries(group.records, group.time, this.#sha256Hex, codec)
    } catch (error) {
      if (!(error instanceof FormatError)) throw error
      throw new LedgerError('bad-record', error.message, { cause: error })
    }
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

/** @throws LedgerError `conflict` when two records have the same identifier and different content */
function checkTwins(records: readonly NewRecord[], hasher: Hasher): void {
  const first = new Map<string, NewRecord>()
  for (const record of records) {
    const twin = first.get(record.id)
    if (twin === undefined) first.set(record.id, record)
    else if (!sameContent(twin, record, hasher) || differentField(twin.fields, record.fields) !== undefined) {
      throw new LedgerError(
        'conflict',
        `identifier ${JSON.stringify(record.id)}: occurs twice in the batch with different content`,
      )
    }
  }
}

/** Returns why a client cannot append the records: one of them has a reserved type or identifier. */
function reservedName(records: readonly NewRecord[]): string | undefined {
  let last = ''
  for (const { id, type } of records) {
    if (id.startsWith(DUTY_ID_PREFIX)) return `payload_id: ${DUTY_ID_PREFIX} is reserved for duty entries`
    if (id.startsWith(SIGNATURE_ID_PREFIX))
      return `payload_id: ${SIGNATURE_ID_PREFIX} is reserved for signatures of authors`
    if (id.startsWith(TREE_ID_PREFIX))
      return `payload_id: ${TREE_ID_PREFIX} is reserved for bindings of second trees`
    if (type === last) continue
    last = type
    const name = type.trim().toLowerCase()
    if (name.startsWith(CLOCK_TYPE)) return `type: ${CLOCK_TYPE} is reserved for clock corrections`
    if (name.startsWith(DUTY_TYPE)) return `type: ${DUTY_TYPE} is reserved for duty entries`
    if (name.startsWith(SCRUB_TYPE)) return `type: ${SCRUB_TYPE} is reserved for the check of sealed files`
    if (name.startsWith(TREE_TYPE)) return `type: ${TREE_TYPE} is reserved for bindings of second trees`
  }
  return undefined
}

/** The fields by which two records with the same type and payload are different records. */
const COMPARED = [RETAIN_FIELD, SIGNATURE_FIELD, SIGNATURE_OF_FIELD]

/** Returns the first field in which two records differ. */
function differentField(
  a: readonly Field[] | undefined,
  b: readonly Field[] | undefined,
): string | undefined {
  if (a === undefined && b === undefined) return undefined
  return COMPARED.find((name) => valueOf(a, name) !== valueOf(b, name))
}

function valueOf(fields: readonly Field[] | undefined, name: string): string | undefined {
  return fields?.find(([one]) => one === name)?.[1]
}

/** Checks that two records with the same type and payload are kept equally long and signed alike. @throws LedgerError `conflict` */
function checkFields(record: NewRecord, { fields, appended: { index } }: Known): void {
  const name = differentField(record.fields, fields)
  if (name === undefined) return
  const found = valueOf(record.fields, name) ?? 'absent'
  const hint = name === RETAIN_FIELD ? '; an extension can keep it longer' : ''
  throw new LedgerError(
    'conflict',
    // The stored value is not for a client that may only append.
    `identifier ${JSON.stringify(record.id)}: entry ${index} (cursor ${index + 1}) holds the same payload with another ${name}, ` +
      `found ${found}${hint}`,
    { index, recordId: record.id },
  )
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
