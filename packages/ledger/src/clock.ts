import { LedgerError } from './errors.ts'

/** The times of records: the wall clock, but never running backwards within a ledger. `toleranceMs`: how far it may step back. */
export class RecordClock {
  readonly #now: () => number
  readonly #toleranceMs: number
  #last = 0
  #text = ''
  #repeated = 0

  constructor(now: () => number, toleranceMs: number) {
    this.#now = now
    this.#toleranceMs = toleranceMs
  }

  /** How many records repeated the last time, since the clock had stepped back a little. */
  get repeated(): number {
    return this.#repeated
  }

  /** Takes note of a time that a record in the ledger has. */
  seen(time: string): void {
    const ms = Date.parse(time)
    if (ms > this.#last) this.#set(ms)
  }

  /**
   * The time for a record accepted now: RFC 3339 in UTC with milliseconds.
   * @throws LedgerError `clock-behind` when the clock is further behind the last record than the tolerance
   */
  stamp(): string {
    const now = Math.floor(this.#now())
    if (now > this.#last || this.#text === '') this.#set(now)
    else if (now < this.#last) {
      if (this.#last - now > this.#toleranceMs) {
        throw new LedgerError(
          'clock-behind',
          `the clock says ${new Date(now).toISOString()}, which is before the newest record's time, ${this.#text}`,
        )
      }
      this.#repeated += 1
    }
    return this.#text
  }

  #set(ms: number): void {
    this.#last = ms
    this.#text = new Date(ms).toISOString()
  }
}
