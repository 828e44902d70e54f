import { LedgerError } from './errors.ts'
import type { Runtime } from './runtime.ts'

export interface ClockLimits {
  /** How far the clock may step back, in milliseconds. */
  clockToleranceMs: number
  /** How far the clock may get ahead of the time that has passed since the ledger was opened, in milliseconds. */
  clockAheadMs: number
}

/**
 * The times of records: the wall clock, but never running backwards within a ledger, other than by an operator's correction. What the
 * clock said when the ledger was opened is believed; from then on it may not get far ahead of the time that has passed since.
 */
export class RecordClock {
  readonly #runtime: Pick<Runtime, 'now' | 'monotonic' | 'uptime'>
  readonly #limits: ClockLimits
  readonly #opened: { now: number; monotonic: number; uptime: number | undefined }
  #last = 0
  #text = ''
  #repeated = 0
  #isCorrecting = false

  constructor(runtime: Pick<Runtime, 'now' | 'monotonic' | 'uptime'>, limits: ClockLimits) {
    this.#runtime = runtime
    this.#limits = limits
    this.#opened = { now: runtime.now(), monotonic: runtime.monotonic(), uptime: runtime.uptime?.() }
  }

  /** How many records repeated the last time, since the clock had stepped back a little. */
  get repeated(): number {
    return this.#repeated
  }

  /** The newest record's time; empty without records. */
  get newest(): string {
    return this.#text
  }

  /** Takes note of a time that a record in the ledger has. */
  seen(time: string): void {
    const ms = Date.parse(time)
    if (ms > this.#last) this.#set(ms)
  }

  /** Why no record can have the time that the clock says now; undefined: one can. */
  problem(): LedgerError | undefined {
    return this.#problemAt(this.#now())
  }

  /**
   * The time for a record accepted now: RFC 3339 in UTC with milliseconds.
   * @throws LedgerError `clock-behind` when the clock is further behind the last record than the tolerance; `clock-ahead` when it is
   *   further ahead of the time since the opening than the limit
   */
  stamp(): string {
    const now = this.#now()
    const problem = this.#problemAt(now)
    if (problem !== undefined) throw problem
    if (now > this.#last || this.#text === '') this.#set(now)
    else if (now < this.#last) this.#repeated += 1
    return this.#text
  }

  /**
   * Begins a correction: until {@link corrected} or {@link uncorrected} is called, no other record gets a time.
   * @param newest what the operator takes for the newest record's time: so that one correction corrects one time, once
   * @returns what the clock says now
   * @throws LedgerError `bad-record` when `newest` is another time or the clock is not behind it; `clock-ahead`; `busy`
   */
  correct(newest: string): string {
    const now = this.#now()
    const ahead = this.#aheadAt(now)
    if (ahead !== undefined) throw ahead
    if (this.#isCorrecting) throw new LedgerError('busy', 'the clock is being corrected: try again later')
    if (newest !== this.#text)
      throw new LedgerError(
        'bad-record',
        `newest: expected ${this.#text || 'no correction, as there are no records'}, the newest record's time, found ${newest}`,
      )
    if (this.#behindAt(now) === undefined)
      throw new LedgerError(
        'bad-record',
        `newest: the clock says ${text(now)}, which is not behind ${newest}: there is nothing to correct`,
      )
    this.#isCorrecting = true
    return text(now)
  }

  /** The correction is on record, with that time. */
  corrected(time: string): void {
    this.#isCorrecting = false
    this.#set(Date.parse(time))
  }

  /** The correction is not on record. */
  uncorrected(): void {
    this.#isCorrecting = false
  }

  #now(): number {
    return Math.floor(this.#runtime.now())
  }

  #problemAt(now: number): LedgerError | undefined {
    return this.#aheadAt(now) ?? this.#behindAt(now)
  }

  #behindAt(now: number): LedgerError | undefined {
    if (!this.#isCorrecting && this.#last - now <= this.#limits.clockToleranceMs) return undefined
    return new LedgerError(
      'clock-behind',
      `the clock says ${text(now)}, which is before the newest record's time, ${this.#text}`,
    )
  }

  #aheadAt(now: number): LedgerError | undefined {
    const { clockAheadMs } = this.#limits
    const { now: wall, monotonic, uptime } = this.#opened
    const passed = this.#runtime.monotonic() - monotonic
    if (now - wall - passed <= clockAheadMs) return undefined
    // A monotonic clock may stand still while the machine sleeps.
    const sinceBoot = this.#runtime.uptime?.()
    if (sinceBoot !== undefined && uptime !== undefined && now - wall - (sinceBoot - uptime) <= clockAheadMs)
      return undefined
    return new LedgerError(
      'clock-ahead',
      `the clock says ${text(now)}, which is more than ${clockAheadMs / 1000} s ahead: it said ${text(wall)} when the ledger was opened, ` +
        `${Math.floor(passed / 1000)} s ago`,
    )
  }

  #set(ms: number): void {
    this.#last = ms
    this.#text = text(ms)
  }
}

/** RFC 3339; of a clock beyond what that can say, the number. */
function text(ms: number): string {
  return Math.abs(ms) <= 8.64e15 ? new Date(ms).toISOString() : `${ms} ms`
}
