/**
 * The rules of docs/retention.md, implemented again for tests. The model keeps the whole history, computes each answer from all of it, and
 * shares no code with duties.ts.
 */
export interface ModelScope {
  all?: true
  type?: string
  prefix?: string
  payload_id?: string
}

export type ModelStep =
  | { duty: 'policy'; scope: ModelScope; years?: number; days?: number; until?: string }
  | { duty: 'hold'; hold: string; scope: ModelScope }
  | { duty: 'lift'; hold: string }
  | { duty: 'extend'; id: string; until: string }

export interface ModelRecord {
  id: string
  type: string
  time: string
  retainUntil?: string | undefined
}

export class DutyModel {
  readonly records: ModelRecord[] = []
  /** Every statement that the ledger must have accepted. */
  readonly #taken: ModelStep[] = []

  /** Reports whether the ledger must accept the statement; if so, adds it to the history. */
  take(step: ModelStep): boolean {
    const isTaken = this.#allows(step)
    if (isTaken) this.#taken.push(step)
    return isTaken
  }

  /** Reports whether the ledger has accepted the same statement before, and that statement is still in force, unlike a lifted hold. */
  repeats(step: ModelStep): boolean {
    const isLifted =
      step.duty === 'hold' && this.#taken.some((past) => past.duty === 'lift' && past.hold === step.hold)
    return !isLifted && this.#taken.some((past) => JSON.stringify(past) === JSON.stringify(step))
  }

  #allows(step: ModelStep): boolean {
    const count = (test: (past: ModelStep) => boolean): number => this.#taken.filter(test).length
    switch (step.duty) {
      case 'policy':
        // No earlier policy with this scope requires as much in the same unit.
        return !this.#taken.some(
          (past) =>
            past.duty === 'policy' &&
            sameScope(past.scope, step.scope) &&
            ((step.years !== undefined && (past.years ?? -1) >= step.years) ||
              (step.days !== undefined && (past.days ?? -1) >= step.days) ||
              (step.until !== undefined && (past.until ?? '') >= step.until)),
        )
      case 'hold':
        return count((past) => past.duty === 'hold' && past.hold === step.hold) === 0
      case 'lift':
        return (
          count((past) => past.duty === 'hold' && past.hold === step.hold) === 1 &&
          count((past) => past.duty === 'lift' && past.hold === step.hold) === 0
        )
      default: {
        const record = this.records.find(({ id }) => id === step.id)
        return record !== undefined && this.#own(record).every((until) => until < step.until)
      }
    }
  }

  /** Returns the times that a record itself and its extensions state. */
  #own({ id, retainUntil }: ModelRecord): string[] {
    const extensions = this.#taken.flatMap((past) =>
      past.duty === 'extend' && past.id === id ? past.until : [],
    )
    return retainUntil === undefined ? extensions : [retainUntil, ...extensions]
  }

  /** Returns the time until which a record must be kept, and the holds on it. */
  of(record: ModelRecord): { until: string | undefined; holds: string[] } {
    const times = this.#own(record)
    const holds = new Set<string>()
    for (const past of this.#taken) {
      if (past.duty === 'lift') holds.delete(past.hold)
      else if (past.duty !== 'extend' && inScope(past.scope, record)) {
        if (past.duty === 'hold') holds.add(past.hold)
        else if (past.until !== undefined) times.push(past.until)
        else if (past.years !== undefined) times.push(yearsAfter(record.time, past.years))
        else times.push(daysAfter(record.time, past.days ?? 0))
      }
    }
    return { until: times.sort().at(-1), holds: [...holds].sort() }
  }
}

function sameScope(a: ModelScope, b: ModelScope): boolean {
  return a.all === b.all && a.type === b.type && a.prefix === b.prefix && a.payload_id === b.payload_id
}

function inScope({ all, type, prefix = '', payload_id }: ModelScope, record: ModelRecord): boolean {
  if (all === true) return true
  if (payload_id !== undefined) return payload_id === record.id
  return record.id.slice(0, prefix.length) === prefix && (type ?? record.type) === record.type
}

const LAST = '9999-12-31T23:59:59.999Z'

function isLeap(year: number): boolean {
  return (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0
}

function yearsAfter(time: string, years: number): string {
  const year = Number(time.slice(0, 4)) + years
  if (year > 9999) return LAST
  const rest = time.slice(4)
  const date = rest.startsWith('-02-29') && !isLeap(year) ? rest.replace('-02-29', '-03-01') : rest
  return digits(year, 4) + date
}

function daysAfter(time: string, days: number): string {
  let [year = 0, month = 0, day = 0] = time.slice(0, 10).split('-').map(Number)
  for (let left = days; left > 0; left--) {
    day += 1
    if (day > [31, isLeap(year) ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month - 1]!) {
      day = 1
      month += 1
    }
    if (month > 12) {
      month = 1
      year += 1
    }
    if (year > 9999) return LAST
  }
  return `${digits(year, 4)}-${digits(month, 2)}-${digits(day, 2)}${time.slice(10)}`
}

function digits(value: number, width: number): string {
  return String(value).padStart(width, '0')
}
