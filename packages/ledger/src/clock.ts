import { LedgerError } from './errors.ts'
import type { Runtime } from './runtime.ts'

export interface ClockLimits {
  /** How far the clock may step back, in milliseconds. */
  clockToleranceMs: number
  /** How far the clock may run ahead of the time since the ledger was opened, in milliseconds. */
  clockAheadMs: number
}

/**
 * Assigns times to records: the wall clock's time, which never decreases within a ledger unless an operator corrects it. Trusts the
 * clock's time when the ledger was opened. After that, the clock may not run far ahead of the time elapsed since.
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

  /** Records that repeated the previous time because the clock had stepped back a little. */
  get repeated(): number {
    return this.#repeated
  }

  /** The newest record's time; empty without records. */
  get newest(): string {
    return this.#text
  }

  /** Takes the time of a record in the ledger. */
  seen(time: string): void {
    const ms = Date.parse(time)
    if (ms > this.#last) this.#set(ms)
  }

  /** Returns why no record can have the clock's time now; undefined when it can. */
  problem(): LedgerError | undefined {
    return this.#problemAt(this.#now())
  }

  /**
   * Returns the time for a record accepted now: RFC 3339 in UTC with milliseconds.
   * @throws LedgerError `clock-behind` when the clock is behind the newest record by more than the tolerance; `clock-ahead` when it is
   *   ahead of the time since the opening by more than the limit
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
   * Begins a correction. No record gets a time until {@link corrected} or {@link uncorrected} is called.
   * @param newest the newest record's time, given by the operator, so that a repeated request does not correct twice
   * @returns the clock's time
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
        this.#text === ''
          ? 'newest: the ledger has no records, so there is nothing to correct'
          : `newest: expected ${this.#text}, the newest record's time, found ${newest}`,
      )
    if (this.#behindAt(now) === undefined)
      throw new LedgerError(
        'bad-record',
        `newest: the clock shows ${text(now)}, which is not before ${newest}, so there is nothing to correct`,
      )
    this.#isCorrecting = true
    return text(now)
  }

  /** Ends the correction: its entry is durable and has this time. */
  corrected(time: string): void {
    this.#isCorrecting = false
    this.#set(Date.parse(time))
  }

  /** Ends the correction: its entry was not appended. */
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
      `the clock shows ${text(now)}, which is before the newest record's time, ${this.#text}`,
    )
  }

  #aheadAt(now: number): LedgerError | undefined {
    const { clockAheadMs } = this.#limits
    const { now: wall, monotonic, uptime } = this.#opened
    const passed = this.#runtime.monotonic() - monotonic
    if (now - wall - passed <= clockAheadMs) return undefined
    // A monotonic clock may stop while the machine sleeps, so also compare with the uptime.
    const sinceBoot = this.#runtime.uptime?.()
    if (sinceBoot !== undefined && uptime !== undefined && now - wall - (sinceBoot - uptime) <= clockAheadMs)
      return undefined
    return new LedgerError(
      'clock-ahead',
      `the clock shows ${text(now)}, more than ${clockAheadMs / 1000} s ahead: it showed ${text(wall)} when the ledger was opened, ` +
        `${Math.floor(passed / 1000)} s ago`,
    )
  }

  #set(ms: number): void {
    this.#last = ms
    this.#text = text(ms)
  }
}

/** Returns the time as RFC 3339; as a number when RFC 3339 cannot express it. */
function text(ms: number): string {
  return Math.abs(ms) <= 8.64e15 ? new Date(ms).toISOString() : `${ms} ms`
}
