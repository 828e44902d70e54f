/** Checks that the entries of a log, read in order, form whole records of the ledger format. */
import { correctsTime } from '@service-fs/format/clock-correction'
import { parseEntry, partLength, type Entry } from '@service-fs/format/entry'
import { messageOf } from '@service-fs/format/errors'
import { IdSet } from './ids.ts'
import { nativeCodec, sha256Stream } from '@service-fs/native/native'
import type { Place, Problems } from './problems.ts'

/** A split record whose remaining parts must follow. */
interface Open {
  entry: Entry
  parts: number
  length: number
  sha256: string
  /** The number of parts seen. */
  seen: number
  digest: ReturnType<typeof sha256Stream>
}

/** An additional check of each well-formed entry. It adds what it finds to `problems`. */
export type EachEntry = (entry: Entry, place: Place, problems: Problems) => void

/**
 * Checks each entry's format, that time goes back only at an operator's correction, that split records are complete, and that identifiers
 * are unique.
 */
export class RecordCheck {
  readonly #problems: Problems
  readonly #ids = new IdSet()
  #open: Open | undefined
  #time = ''
  readonly #corrections: number[] = []
  /** Entries are missing just before this one, so a part without its first part is not another problem. */
  #gap = false
  #records = 0
  /** Identifiers that may be duplicates, with the indexes of the records that repeat them. The first thousand. */
  readonly suspects: Map<string, number[]> = new Map()
  readonly #each: EachEntry | undefined

  constructor(problems: Problems, each?: EachEntry) {
    this.#problems = problems
    this.#each = each
  }

  /** The number of records seen. */
  get records(): number {
    return this.#records
  }

  /** The indexes of the first thousand entries in which an operator set the time back. */
  get corrections(): readonly number[] {
    return this.#corrections.slice(0, 1000)
  }

  /** Facts that an auditor should know although they are not problems. */
  get notes(): string[] {
    return this.corrections.map(
      (index) => `an operator set the time of the ledger back at entry ${index}, which states the reason`,
    )
  }

  /** The newest record's time; '' before the first. */
  get time(): string {
    return this.#time
  }

  /** Checks the next entry. */
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

  /** Skips one or more missing entries. */
  gap(): void {
    this.#open = undefined
    this.#gap = true
  }

  /** Ends the log. */
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
