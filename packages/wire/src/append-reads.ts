/**
 * What an append tells of records that were there before: that an identifier is taken (409), or that a record is there with this
 * content (`duplicate`). Both are reads: they are recorded as such before they are answered, and whoever may not read gets
 * so many of them a minute, and no more.
 */
import type { Appended } from '@service-fs/ledger/record'

import type { Limits } from './limits.ts'
import { Problem } from './problem.ts'
import type { WireRequest } from './request.ts'

type Asker = Pick<WireRequest, 'subject' | 'roles'>

const ANONYMOUS = 'anonymous'

/** How many appended records it is remembered whose they are. */
const MOST_OWN = 16_384
const MOST_SUBJECTS = 4096
const MINUTE_MS = 60_000

/** What is left of a subject's minute: it fills up with time, and may be below zero. */
interface Budget {
  conflicts: number
  duplicates: number
  /** Milliseconds since 1970. */
  at: number
}

/** A subject's appends that are being looked up, of which each may tell of one conflict, or of all its records. */
class Flight {
  appends = 0
  records = 0
  /** Those that go on when there is room, in the order in which they came. */
  readonly waiting: { records: number; go: () => void; fail: (error: Problem) => void }[] = []
}

/** What subjects were told so far, in this process. */
export class AppendReads {
  readonly #limits: Pick<Limits, 'conflictsPerMinute' | 'duplicatesPerMinute'>
  readonly #now: () => number
  /** By subject, the one that was told something last at the end. */
  readonly #budgets = new Map<string, Budget>()
  /** By subject, while it has appends under way. */
  readonly #flights = new Map<string, Flight>()
  /** Who appended the record whose first entry has this index. */
  readonly #own = new Map<number, string>()

  constructor(limits: Pick<Limits, 'conflictsPerMinute' | 'duplicatesPerMinute'>, now: () => number) {
    this.#limits = limits
    this.#now = now
  }

  /**
   * Refuses a subject that has been told too much, before its records are looked up: an answer that depends on them would tell
   * it more. Resolves when what it may still be told is enough for this append beside those that are under way, however many it sends at
   * once; the caller calls the result when the append is counted. @throws Problem `rate-limited`
   */
  async enter(asker: Asker, records: number): Promise<() => void> {
    if (!mayNotRead(asker)) return () => undefined
    const subject = asker.subject ?? ANONYMOUS
    const limited = this.#limited(subject)
    if (limited !== undefined) throw limited
    const flight = this.#flights.get(subject) ?? new Flight()
    this.#flights.set(subject, flight)
    if (flight.waiting.length > 0 || !this.#hasRoom(subject, flight, records))
      await new Promise<void>((go, fail) => flight.waiting.push({ records, go, fail }))
    else begin(flight, records)
    return () => this.#leave(subject, flight, records)
  }

  /** An append is counted: those that wait go on, or are refused. */
  #leave(subject: string, flight: Flight, records: number): void {
    flight.appends -= 1
    flight.records -= records
    for (let [next] = flight.waiting; next !== undefined; [next] = flight.waiting) {
      const limited = this.#limited(subject)
      if (limited === undefined && !this.#hasRoom(subject, flight, next.records)) return
      flight.waiting.shift()
      if (limited === undefined) {
        begin(flight, next.records)
        next.go()
      } else next.fail(limited)
    }
    if (flight.appends === 0) this.#flights.delete(subject)
  }

  /** Whether all that is under way, and so many records more, may turn out to be there. One append is always taken: a batch may be large. */
  #hasRoom(subject: string, flight: Flight, records: number): boolean {
    if (flight.appends === 0) return true
    const { conflicts, duplicates } = this.#budgets.get(subject) ?? this.#full()
    return flight.appends + 1 <= conflicts && flight.records + records <= duplicates
  }

  /** Why the subject is told nothing now. */
  #limited(subject: string): Problem | undefined {
    const budget = this.#budgets.get(subject)
    if (budget === undefined) return undefined
    this.#fill(budget)
    const { conflictsPerMinute, duplicatesPerMinute } = this.#limits
    const waits = [(1 - budget.conflicts) / conflictsPerMinute, (1 - budget.duplicates) / duplicatesPerMinute]
    const minutes = Math.max(...waits)
    if (minutes <= 0) return undefined
    return new Problem(
      'rate-limited',
      `more identifiers and records that were there already than a subject without the role read may ask for: ${conflictsPerMinute} conflicts and ${duplicatesPerMinute} duplicates a minute`,
      { retry_after: Math.max(1, Math.ceil(minutes * 60)) },
    )
  }

  /** Counts a conflict. Whether the subject is one that may not read. */
  conflict(asker: Asker): boolean {
    return this.#count(asker, 1, 0)
  }

  /**
   * Counts the duplicates that a subject is told of, and remembers whose the new records are. Which of the entries tell of a
   * record that somebody else appended, or that it is not known who did.
   */
  taken(asker: Asker, entries: readonly Appended[]): number[] {
    const subject = asker.subject ?? ANONYMOUS
    const fresh = new Set<number>()
    for (const { index, duplicate } of entries) if (!duplicate) fresh.add(index)
    const told: number[] = []
    for (const [at, { index, duplicate }] of entries.entries()) {
      // A twin within the batch is as new as the first of the two.
      if (!duplicate || fresh.has(index)) continue
      if (subject === ANONYMOUS || this.#own.get(index) !== subject) told.push(at)
    }
    if (subject !== ANONYMOUS) this.#remember(subject, fresh)
    if (told.length > 0) this.#count(asker, 0, told.length)
    return told
  }

  #remember(subject: string, indexes: ReadonlySet<number>): void {
    for (const index of indexes) this.#own.set(index, subject)
    for (const index of this.#own.keys()) {
      if (this.#own.size <= MOST_OWN) return
      this.#own.delete(index)
    }
  }

  #count(asker: Asker, conflicts: number, duplicates: number): boolean {
    if (!mayNotRead(asker)) return false
    const subject = asker.subject ?? ANONYMOUS
    const budget = this.#budgets.get(subject) ?? this.#full()
    this.#fill(budget)
    budget.conflicts -= conflicts
    budget.duplicates -= duplicates
    this.#budgets.delete(subject)
    this.#budgets.set(subject, budget)
    for (const oldest of this.#budgets.keys()) {
      if (this.#budgets.size <= MOST_SUBJECTS) break
      this.#budgets.delete(oldest)
    }
    return true
  }

  #full(): Budget {
    const { conflictsPerMinute, duplicatesPerMinute } = this.#limits
    return { conflicts: conflictsPerMinute, duplicates: duplicatesPerMinute, at: this.#now() }
  }

  #fill(budget: Budget): void {
    const now = this.#now()
    // A clock that was set back fills nothing.
    const minutes = Math.max(0, now - budget.at) / MINUTE_MS
    const { conflictsPerMinute, duplicatesPerMinute } = this.#limits
    budget.conflicts = Math.min(conflictsPerMinute, budget.conflicts + minutes * conflictsPerMinute)
    budget.duplicates = Math.min(duplicatesPerMinute, budget.duplicates + minutes * duplicatesPerMinute)
    budget.at = now
  }
}

function begin(flight: Flight, records: number): void {
  flight.appends += 1
  flight.records += records
}

/** Whether the subject may append and not read: others could read the same by the routes for it. */
function mayNotRead({ roles }: Asker): boolean {
  return roles !== undefined && !roles.includes('read') && !roles.includes('examine')
}
