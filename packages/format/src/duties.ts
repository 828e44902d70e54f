/**
 * Folds duty entries, in the order of the log, into the duties in force. No entry can shorten a duty: a ledger
 * refuses an entry that would, and if a log has such an entry anyway, it has no effect. The memory used grows with the number of duty
 * entries, not of records.
 */
import type { Duty, DutyProblem, Extension, Hold, Policy, Scope } from './duty.ts'
import { periodOf, timeAfter } from './duty.ts'

/** The fields of a record's header that duties depend on. */
export interface KeptRecord {
  id: string
  type: string
  time: string
  /** The value of the record's field `retain-until`. */
  retainUntil?: string | undefined
}

/** How long a record must be kept. */
export interface Kept {
  /** The latest time that the record, an extension or a policy states; absent if none of them states a time. */
  until?: string
  /** The kind of statement that set the time `until`. */
  by?: 'retain-until' | 'extend' | 'policy'
  /** The names of the holds in force. A hold lasts longer than any stated time. */
  holds: string[]
}

/** Formats the time until which a record must be kept. Returns an empty text if the record has no duty. */
export function keptText({ until, by, holds }: Kept): string {
  const times = until === undefined ? [] : [`until ${until} (${by})`]
  return [...times, ...holds.map((hold) => `held by ${hold}`)].join(', ')
}

/** A kind of limit that policies set for a scope. Each kind has a separate maximum, so that no later policy can lower it. */
type Part = 'Y' | 'D' | 'until'

/** The combined policies with the same scope. */
export interface PolicyState {
  scope: Scope
  /** The largest number of years and of days from a record's time; 0 if no policy states any. */
  Y: number
  D: number
  /** The latest time; '' if no policy states a time. */
  until: string
}

/** A hold with the index of the entry that placed it. */
export interface HoldState extends Hold {
  index: number
}

const NONE: readonly HoldState[] = []

export class Duties {
  readonly #policies = new Map<string, PolicyState>()
  /** Every hold by its name. The value is undefined once the hold is lifted. */
  readonly #holds = new Map<string, HoldState | undefined>()
  readonly #wideHolds = new Set<HoldState>()
  readonly #recordHolds = new Map<string, readonly HoldState[]>()
  readonly #extensions = new Map<string, string>()

  /** The policies, in the order of the first policy for each scope. */
  get policies(): readonly PolicyState[] {
    return [...this.#policies.values()]
  }

  /** The holds in force, in the order of the log. */
  get holds(): readonly HoldState[] {
    return [...this.#holds.values()].filter((hold) => hold !== undefined)
  }

  /** Reports whether a hold of this name is in force. */
  isHeld(hold: string): boolean {
    return this.#holds.get(hold) !== undefined
  }

  /** Returns the time of the last extension of a record; undefined if the record was never extended. */
  extendedUntil(id: string): string | undefined {
    return this.#extensions.get(id)
  }

  /** Returns the rule that a duty would break as the next entry; undefined if it breaks no rule. */
  problem(duty: Duty): DutyProblem | undefined {
    if (duty.duty === 'policy') return this.#policyProblem(duty)
    if (duty.duty === 'extend') return this.#extensionProblem(duty)
    const { hold } = duty
    if (duty.duty === 'lift')
      return this.#holds.get(hold) === undefined
        ? {
            field: 'hold',
            expected: 'a hold in force',
            found: `${hold}, ${this.#holds.has(hold) ? 'which was lifted' : 'which was never put'}`,
          }
        : undefined
    return this.#holds.has(hold)
      ? { field: 'hold', expected: 'a name that no earlier hold has', found: hold }
      : undefined
  }

  /** Adds the next duty entry of the log, at `index`. If it breaks a rule, it has no effect, and its problem is returned. */
  add(duty: Duty, index: number): DutyProblem | undefined {
    const problem = this.problem(duty)
    if (problem !== undefined) return problem
    if (duty.duty === 'policy') this.#addPolicy(duty)
    else if (duty.duty === 'extend') this.#extensions.set(duty.payload_id, duty.until)
    else if (duty.duty === 'hold') this.#put({ ...duty, index })
    else this.#lift(duty.hold)
    return undefined
  }

  /** Returns the time until which a record must be kept. */
  of(record: KeptRecord): Kept {
    const kept: Kept = { holds: this.#holdsOf(record) }
    const consider = (until: string | undefined, by: NonNullable<Kept['by']>): void => {
      if (until === undefined || until === '' || until <= (kept.until ?? '')) return
      kept.until = until
      kept.by = by
    }
    consider(record.retainUntil, 'retain-until')
    consider(this.#extensions.get(record.id), 'extend')
    for (const { scope, Y, D, until } of this.#policies.values()) {
      if (!covers(scope, record)) continue
      consider(until, 'policy')
      if (Y > 0) consider(timeAfter(record.time, Y, 'Y'), 'policy')
      if (D > 0) consider(timeAfter(record.time, D, 'D'), 'policy')
    }
    return kept
  }

  #holdsOf(record: KeptRecord): string[] {
    const names = (this.#recordHolds.get(record.id) ?? NONE).map(({ hold }) => hold)
    for (const hold of this.#wideHolds) if (covers(hold, record)) names.push(hold.hold)
    return names.sort()
  }

  #policyProblem(policy: Policy): DutyProblem | undefined {
    const [part, value] = partOf(policy)
    const before = this.#policies.get(scopeKey(policy))?.[part]
    if (before === undefined || value > before) return undefined
    const field = part === 'until' ? 'until' : 'for'
    const least = part === 'until' ? `a time after ${before}` : `a period longer than P${before}${part}`
    return { field, expected: `${least}, which the policy has`, found: policy.for ?? policy.until ?? '' }
  }

  #addPolicy(policy: Policy): void {
    const key = scopeKey(policy)
    const [part, value] = partOf(policy)
    const state = this.#policies.get(key) ?? { scope: scopeOf(policy), Y: 0, D: 0, until: '' }
    this.#policies.set(key, { ...state, [part]: value })
  }

  #extensionProblem({ payload_id, until, was }: Extension): DutyProblem | undefined {
    const before = this.#extensions.get(payload_id)
    if (before !== undefined && was !== before)
      return { field: 'was', expected: `${before}, of the last extension`, found: was ?? 'nothing' }
    if (was !== undefined && until <= was)
      return { field: 'until', expected: `a time after ${was}, until which the record is kept`, found: until }
    return undefined
  }

  #put(hold: HoldState): void {
    this.#holds.set(hold.hold, hold)
    const { payload_id: id } = hold
    if (id === undefined) this.#wideHolds.add(hold)
    else this.#recordHolds.set(id, [...(this.#recordHolds.get(id) ?? NONE), hold])
  }

  #lift(name: string): void {
    const hold = this.#holds.get(name)
    this.#holds.set(name, undefined)
    if (hold === undefined) return
    this.#wideHolds.delete(hold)
    const { payload_id: id } = hold
    if (id === undefined) return
    const left = (this.#recordHolds.get(id) ?? NONE).filter((other) => other !== hold)
    if (left.length === 0) this.#recordHolds.delete(id)
    else this.#recordHolds.set(id, left)
  }
}

/** Reports whether a scope covers a record. */
export function covers(scope: Scope, { id, type }: Pick<KeptRecord, 'id' | 'type'>): boolean {
  if (scope.payload_id !== undefined) return id === scope.payload_id
  return (
    (scope.type === undefined || type === scope.type) &&
    (scope.prefix === undefined || id.startsWith(scope.prefix))
  )
}

function scopeOf({ all, type, prefix }: Scope): Scope {
  return {
    ...(all === undefined ? {} : { all }),
    ...(prefix === undefined ? {} : { prefix }),
    ...(type === undefined ? {} : { type }),
  }
}

function scopeKey(scope: Scope): string {
  return JSON.stringify(scopeOf(scope))
}

function partOf({ for: period, until = '' }: Policy): [part: Part, value: number | string] {
  if (period === undefined) return ['until', until]
  const { count, unit } = periodOf(period)
  return [unit, count]
}
