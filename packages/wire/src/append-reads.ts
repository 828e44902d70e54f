/**
 * An append can reveal an existing record: a conflict (409) reveals its identifier, and a duplicate reveals its content. Both
 * count as reads. The server records them in the audit sub-ledger before it responds, and limits how many a minute a subject
 * without a read role can cause.
 */
import type { Appended } from '@service-fs/ledger/record'

import type { Limits } from './limits.ts'
import { Problem } from './problem.ts'
import type { WireRequest } from './request.ts'

type Asker = Pick<WireRequest, 'subject' | 'roles'>

const ANONYMOUS = 'anonymous'

/** Appended records whose subject is remembered. */
const MOST_OWN = 16_384
const MOST_SUBJECTS = 4096
const MINUTE_MS = 60_000

/** The conflicts and duplicates that a subject may still cause. The numbers grow with time, and may be negative. */
interface Budget {
  conflicts: number
  duplicates: number
  /** Milliseconds since 1970. */
  at: number
}

/** The pending appends of a subject. Each may reveal one conflict, or may turn out to hold only duplicates. */
class Flight {
  appends = 0
  records = 0
  /** Appends that wait for room, in order of arrival. */
  readonly waiting: { records: number; go: () => void; fail: (error: Problem) => void }[] = []
}

/** Counts what appends have revealed to each subject since this process started. */
export class AppendReads {
  readonly #limits: Pick<Limits, 'conflictsPerMinute' | 'duplicatesPerMinute'>
  readonly #now: () => number
  /** By subject; the subject counted last is at the end. */
  readonly #budgets = new Map<string, Budget>()
  /** By subject, while it has pending appends. */
  readonly #flights = new Map<string, Flight>()
  /** Subjects by the index of the first entry of a record that they appended. */
  readonly #own = new Map<number, string>()

  constructor(limits: Pick<Limits, 'conflictsPerMinute' | 'duplicatesPerMinute'>, now: () => number) {
    this.#limits = limits
    this.#now = now
  }

  /**
   * Admits an append of a subject before its records are looked up, because even the lookup could reveal some of them.
   * Waits until the budget of the subject covers this append besides the pending ones. The caller calls the returned function
   * when the append is counted. A subject that may read needs no budget, and so no promise.
   * @throws Problem `rate-limited` when the budget is spent
   */
  enter(asker: Asker, records: number): (() => void) | Promise<() => void> {
    return mayNotRead(asker) ? this.#admit(asker.subject ?? ANONYMOUS, records) : leaveNothing
  }

  async #admit(subject: string, records: number): Promise<() => void> {
    const limited = this.#limited(subject)
    if (limited !== undefined) throw limited
    const flight = this.#flights.get(subject) ?? new Flight()
    this.#flights.set(subject, flight)
    if (flight.waiting.length > 0 || !this.#hasRoom(subject, flight, records))
      await new Promise<void>((go, fail) => flight.waiting.push({ records, go, fail }))
    else begin(flight, records)
    return () => this.#leave(subject, flight, records)
  }

  /** Releases an append that is counted, then admits or rejects the waiting ones. */
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

  /**
   * Reports whether the budget covers the pending appends and one more, with `records` records, even if the ledger already has all of
   * their records. Always admits a single append, because a batch may be larger than the budget.
   */
  #hasRoom(subject: string, flight: Flight, records: number): boolean {
    if (flight.appends === 0) return true
    const { conflicts, duplicates } = this.#budgets.get(subject) ?? this.#full()
    return flight.appends + 1 <= conflicts && flight.records + records <= duplicates
  }

  /** Returns the problem for a subject whose budget is spent. */
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
      `without the role read: expected at most ${conflictsPerMinute} conflicts and ${duplicatesPerMinute} duplicates a minute, found more`,
      { retry_after: Math.max(1, Math.ceil(minutes * 60)) },
    )
  }

  /** Counts a conflict. Reports whether the subject is limited: it has no read role. */
  conflict(asker: Asker): boolean {
    return this.#count(asker, 1, 0)
  }

  /**
   * Counts the duplicates that an append reveals, and remembers the subject of its new records. Returns the positions of the
   * entries that reveal a record of another or an unknown subject.
   */
  taken(asker: Asker, entries: readonly Appended[]): number[] {
    const subject = asker.subject ?? ANONYMOUS
    if (subject === ANONYMOUS && !entries.some(({ duplicate }) => duplicate)) return []
    const fresh = new Set<number>()
    for (const { index, duplicate } of entries) if (!duplicate) fresh.add(index)
    const told: number[] = []
    for (const [at, { index, duplicate }] of entries.entries()) {
      // A duplicate of a record in the same batch reveals nothing.
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
    // If the clock was set back, refill nothing.
    const minutes = Math.max(0, now - budget.at) / MINUTE_MS
    const { conflictsPerMinute, duplicatesPerMinute } = this.#limits
    budget.conflicts = Math.min(conflictsPerMinute, budget.conflicts + minutes * conflictsPerMinute)
    budget.duplicates = Math.min(duplicatesPerMinute, budget.duplicates + minutes * duplicatesPerMinute)
    budget.at = now
  }
}

function leaveNothing(): void {}

function begin(flight: Flight, records: number): void {
  flight.appends += 1
  flight.records += records
}

/** Reports whether the subject cannot read. Subjects that can read get the same facts from other routes. */
function mayNotRead({ roles }: Asker): boolean {
  return roles !== undefined && !roles.includes('read') && !roles.includes('examine')
}
