/** Checks that the entries of a log, read in order, form whole records of the ledger format. */
import { correctsTime } from '@service-fs/format/clock-correction'
import { Duties } from '@service-fs/format/duties'
import { dutyIn, isProblem, RETAIN_FIELD, TIME_EXPECTED, type Extension } from '@service-fs/format/duty'
import { isTime } from '@service-fs/format/time'
import { bindingIn, isBindingProblem, TREE_TYPE, type TreeBinding } from '@service-fs/format/tree-binding'
import { fieldOf, parseEntry, partLength, type Entry } from '@service-fs/format/entry'
import { messageOf } from '@service-fs/format/errors'
import type { CheckedBundle } from './bundle-check.ts'
import { CompanionCheck } from './companions.ts'
import { fingerprint, randomKey, type FingerprintKey } from './fingerprint.ts'
import { FingerprintSet } from './ids.ts'
import { nativeCodec, nativeHasher, sha256Stream } from '@service-fs/native/native'
import type { Place, Problems } from './problems.ts'

/** A split record whose remaining parts have not been read yet. */
interface Open {
  entry: Entry
  parts: number
  length: number
  sha256: string
  /** The number of parts seen. */
  seen: number
  digest: ReturnType<typeof sha256Stream>
}

/** The first extension of a record, which repeats the record's own `retain-until`. The extension's entry is at `place`. */
export interface FirstExtension extends Pick<Extension, 'payload_id' | 'index'> {
  was: string | undefined
  place: Place
}

/** The binding of a second tree, at `place` in the log. */
export interface PlacedBinding {
  binding: TreeBinding
  place: Place
}

/** The maximum number of bindings in a ledger. Each binding requires the computation of two root hashes. */
const MOST_BINDINGS = 1000

/** An additional check of each well-formed entry. It adds the faults that it finds to `problems`. */
export type EachEntry = (entry: Entry, place: Place, problems: Problems) => void

/**
 * Checks each entry's format, that time goes back only at an operator's correction, that split records are complete, and that identifiers
 * are unique.
 */
export class RecordCheck {
  /** The key of the fingerprints of identifiers. */
  readonly key: FingerprintKey = randomKey()
  readonly #problems: Problems
  readonly #ids: FingerprintSet
  readonly #words = new Uint32Array(2)
  #open: Open | undefined
  #time = ''
  readonly #corrections: number[] = []
  /** Whether entries directly before the next entry are missing. If so, a later part without its first part is not a separate problem. */
  #gap = false
  #records = 0
  /** The first thousand identifiers that may be duplicates, each with the indexes of the records that repeat it. */
  readonly suspects: Map<string, number[]> = new Map()
  readonly #each: EachEntry | undefined
  readonly #duties = new Duties()
  /** The first extension of each extended record, to be compared with the record. */
  readonly extensions: FirstExtension[] = []
  /** The bindings of second trees, to be compared with the trees. */
  readonly bindings: PlacedBinding[] = []
  readonly #companions: CompanionCheck

  /** @param size the number of entries @param stored the number of entries that are in files, for which memory can be allocated at once */
  constructor(problems: Problems, size: number, each?: EachEntry, stored = 0) {
    this.#problems = problems
    this.#ids = new FingerprintSet(size, stored)
    this.#each = each
    this.#companions = new CompanionCheck(problems)
  }

  /** The places of the signed records, whose signatures must be verified. */
  get signed(): readonly Place[] {
    return this.#companions.signed
  }

  /** The number of records seen. */
  get records(): number {
    return this.#records
  }

  /** The indexes of the first thousand entries in which an operator set the time back. */
  get corrections(): readonly number[] {
    return this.#corrections.slice(0, 1000)
  }

  /** Facts that are not problems but that an auditor should know. */
  get notes(): string[] {
    return this.corrections.map(
      (index) => `an operator set the time of the ledger back at entry ${index}; the entry states the reason`,
    )
  }

  /** The newest record's time; '' before the first record. */
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
    if (entry.header.fields.length > 0) this.#checkDuty(entry, place)
    if (entry.header.type === TREE_TYPE) this.#checkBinding(entry, place)
    this.#each?.(entry, place, this.#problems)
    if (entry.continuation === undefined) this.#first(entry, place)
    else this.#part(entry, entry.continuation, place)
  }

  /**
   * Checks the next bundle, like `next` for each of its entries. `place` and `entry` return the place and the bytes of entry i of the bundle.
   * Call it only if no additional check was given to the constructor.
   */
  async bundle(
    { parts, ids }: Pick<CheckedBundle, 'parts' | 'ids'>,
    place: (i: number) => Place,
    entry: (i: number) => Promise<Uint8Array>,
  ): Promise<void> {
    for (const part of parts) {
      const { first } = part
      if ('bytes' in part) {
        this.next(part.bytes, place(first))
        continue
      }
      const end = first + part.count
      if (this.#open !== undefined || this.#companions.isAwaiting || part.from < this.#time) {
        for (let i = first; i < end; i++) this.next(await entry(i), place(i))
        continue
      }
      this.#gap = false
      this.#companions.others()
      this.#records += part.count
      this.#time = part.to
      this.#ids.touch(ids, first, part.count)
      for (let i = first; i < end; i++)
        if (!this.#ids.add(ids[2 * i]!, ids[2 * i + 1]!))
          this.#suspect(parseEntry(await entry(i), nativeCodec).header.id, place(i))
    }
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

  /** Checks that a record's `retain-until` has the right form, and that a duty entry shortens no duty. */
  #checkDuty(entry: Entry, place: Place): void {
    const until = fieldOf(entry.header, RETAIN_FIELD)
    if (until !== undefined && !isTime(until))
      this.#problems.add(place, `${RETAIN_FIELD}: ${TIME_EXPECTED}`, until)
    const duty = dutyIn(entry, nativeCodec)
    if (duty === undefined) return
    const { index = 0 } = place
    const isFirst =
      !isProblem(duty) && duty.duty === 'extend' && this.#duties.extendedUntil(duty.payload_id) === undefined
    const problem = isProblem(duty) ? duty : this.#duties.add(duty, index)
    if (problem !== undefined)
      this.#problems.add(place, `${problem.field}: ${problem.expected}`, problem.found)
    else if (isFirst) {
      if (duty.index >= index)
        this.#problems.add(place, `index: an entry before ${index}`, String(duty.index))
      else this.extensions.push({ payload_id: duty.payload_id, index: duty.index, was: duty.was, place })
    }
  }

  /** Checks the form of a second tree's binding. */
  #checkBinding(entry: Entry, place: Place): void {
    const binding = bindingIn(entry, nativeCodec, nativeHasher)
    if (binding === undefined) return
    if (isBindingProblem(binding))
      this.#problems.add(place, `${binding.field}: ${binding.expected}`, binding.found)
    else if (this.bindings.length === MOST_BINDINGS)
      this.#problems.add(place, `at most ${MOST_BINDINGS} bindings of second trees`, 'another one')
    else this.bindings.push({ binding, place })
  }

  /** Skips one or more missing entries. */
  gap(): void {
    this.#companions.gap()
    this.#open = undefined
    this.#gap = true
  }

  /** Ends the log. */
  end(place: Place): void {
    this.#close(place)
    this.#companions.end(place)
  }

  #first(entry: Entry, place: Place): void {
    this.#close(place)
    this.#gap = false
    this.#records += 1
    this.#companions.next(entry, place)
    const { id } = entry.header
    if (!this.#isNew(id)) this.#suspect(id, place)
    if (entry.split === undefined) return
    const digest = sha256Stream()
    digest.update(entry.payload)
    this.#open = { entry: { ...entry, payload: new Uint8Array() }, ...entry.split, seen: 1, digest }
  }

  #isNew(id: string): boolean {
    const bytes = nativeCodec.utf8Encode(id)
    fingerprint(bytes, 0, bytes.length, this.key, this.#words, 0)
    return this.#ids.add(this.#words[0]!, this.#words[1]!)
  }

  #suspect(id: string, { index = -1 }: Place): void {
    const known = this.suspects.get(id)
    if (known !== undefined) known.push(index)
    else if (this.suspects.size < 1_000) this.suspects.set(id, [index])
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
