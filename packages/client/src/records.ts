/** Whether the entries of a log, read in order, make whole records of this ledger's format. */
import { correctsTime } from '@service-fs/format/clock-correction'
import { parseEntry, partLength, type Entry } from '@service-fs/format/entry'
import { messageOf } from '@service-fs/format/errors'
import { IdSet } from './ids.ts'
import { nativeCodec, sha256Stream } from '@service-fs/native/native'
import type { Place, Problems } from './problems.ts'

/** A split record of which more parts must come. */
interface Open {
  entry: Entry
  parts: number
  length: number
  sha256: string
  /** Parts seen. */
  seen: number
  digest: ReturnType<typeof sha256Stream>
}

/** What else is to be checked of each entry that has the format. */
export type EachEntry = (entry: Entry, place: Place, problems: Problems) => void

/**
 * Checks entry after entry: the format, that time goes back at an operator's correction only, that split records are whole, that identifiers are
 * unique.
 */
export class RecordCheck {
  readonly #problems: Problems
  readonly #ids = new IdSet()
  #open: Open | undefined
  #time = ''
  readonly #corrections: number[] = []
  /** Entries were missing just before: a part without its first part is no news then. */
  #gap = false
  #records = 0
  /** Identifiers that may have come before, with the index of the record that has it again. */
  readonly suspects: Map<string, number[]> = new Map()
  readonly #each: EachEntry | undefined

  constructor(problems: Problems, each?: EachEntry) {
    this.#problems = problems
    this.#each = each
  }

  /** Records seen. */
  get records(): number {
    return this.#records
  }

  /** Indexes of the entries with which an operator set the time back, the first thousand. */
  get corrections(): readonly number[] {
    return this.#corrections.slice(0, 1000)
  }

  /** What somebody who checks should know, although it is as it should be. */
  get notes(): string[] {
    return this.corrections.map(
      (index) => `an operator set the time of the ledger back at entry ${index}, which says why`,
    )
  }

  /** The newest record's time, or empty. */
  get time(): string {
    return this.#time
  }

  /** The next entry. */
  next(bytes: Uint8Array, place: Place): void {
    let entry: Entry
    try {
      entry = parseEntry(bytes, nativeCodec)
    } catch (error) {
      this.#problems.addError(place, error, `an entry of this ledger's format: ${messageOf(error)}`)
      this.gap()
      return
    }
    this.#checkTime(entry, place)
    this.#each?.(entry, place, this.#problems)
    if (entry.continuation === undefined) this.#first(entry, place)
    else this.#part(entry, entry.continuation, place)
  }

  #checkTime(entry: Entry, place: Place): void {
    const { time } = entry.header
    const isBack = time < this.#time
    if (isBack && correctsTime(entry, this.#time, nativeCodec)) this.#corrections.push(place.index ?? -1)
    else if (isBack) {
      this.#problems.add(place, `a time not before ${this.#time}`, time)
      return
    }
    this.#time = time
  }

  /** One or more entries are not there. */
  gap(): void {
    this.#open = undefined
    this.#gap = true
  }

  /** The end of the log. */
  end(place: Place): void {
    this.#close(place)
  }

  #first(entry: Entry, place: Place): void {
    this.#close(place)
    this.#gap = false
    this.#records += 1
    const { id } = entry.header
    if (!this.#ids.add(id) && (this.suspects.has(id) || this.suspects.size < 1_000)) {
      this.suspects.set(id, [...(this.suspects.get(id) ?? []), place.index ?? -1])
    }
    if (entry.split === undefined) return
    const digest = sha256Stream()
    digest.update(entry.payload)
    this.#open = { entry: { ...entry, payload: new Uint8Array() }, ...entry.split, seen: 1, digest }
  }

  #part(entry: Entry, continuation: { part: number; of: number }, place: Place): void {
    const open = this.#open
    const { part, of } = continuation
    if (open === undefined) {
      if (!this.#gap) this.#problems.add(place, 'the first part of a record', `part ${part}/${of}`)
      this.#gap = true
      return
    }
    const { header } = open.entry
    const same =
      entry.header.id === header.id && entry.header.type === header.type && entry.header.time === header.time
    if (!same || part !== open.seen + 1 || of !== open.parts) {
      this.#problems.add(
        place,
        `part ${open.seen + 1}/${open.parts} of ${JSON.stringify(header.id)}`,
        `part ${part}/${of} of ${JSON.stringify(entry.header.id)}`,
      )
      return this.gap()
    }
    const length = partLength(part, open.length)
    if (entry.payload.length !== length)
      this.#problems.add(place, `${length} payload bytes`, String(entry.payload.length))
    open.digest.update(entry.payload)
    open.seen = part
    if (part === open.parts) this.#whole(open, place)
  }

  #whole(open: Open, place: Place): void {
    this.#open = undefined
    const found = open.digest.hex()
    if (found !== open.sha256)
      this.#problems.add(place, `sha256 ${open.sha256} of ${JSON.stringify(open.entry.header.id)}`, found)
  }

  #close(place: Place): void {
    const open = this.#open
    this.#open = undefined
    if (open === undefined) return
    const wanted = `part ${open.seen + 1}/${open.parts} of ${JSON.stringify(open.entry.header.id)}`
    this.#problems.add(place, wanted, 'the next record or the end')
  }
}
