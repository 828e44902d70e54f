/** Limits how much of the disk and of the processor a background task uses. */
import type { Runtime } from '../runtime.ts'

export interface Pace {
  /** The maximum number of bytes to read per second. */
  bytesPerSecond: number
  /** The largest share of the time that the task computes, from 0 to 1. */
  duty: number
}

/** The longest timer. A longer pause consists of several, because timers of 2^31 ms and more do not work. */
const LONGEST_TIMER_MS = 3_600_000

export class Stopped extends Error {}

export class Pacer {
  readonly #runtime: Runtime
  readonly #pace: Pace
  #isStopped = false
  #wake: (() => void) | undefined

  constructor(runtime: Runtime, pace: Pace) {
    this.#runtime = runtime
    this.#pace = pace
  }

  /** Pauses after a read of this many bytes. @throws Stopped */
  read(bytes: number): Promise<void> {
    return this.pause((bytes * 1000) / this.#pace.bytesPerSecond)
  }

  /** Runs a computation that must be short, and pauses after it. @throws Stopped */
  async compute<T>(work: () => T): Promise<T> {
    const started = this.#runtime.monotonic()
    const result = work()
    const elapsed = this.#runtime.monotonic() - started
    await this.pause(elapsed / this.#pace.duty - elapsed)
    return result
  }

  /** Pauses for at least `ms` milliseconds, and until other tasks have run. @throws Stopped */
  async pause(ms: number): Promise<void> {
    const end = this.#runtime.monotonic() + ms
    for (;;) {
      await this.#runtime.turn()
      this.check()
      const left = end - this.#runtime.monotonic()
      if (left <= 0) return
      await new Promise<void>((resolve) => {
        const cancel = this.#runtime.after(Math.min(left, LONGEST_TIMER_MS), resolve)
        this.#wake = () => {
          cancel()
          resolve()
        }
      })
    }
  }

  /** @throws Stopped after stop() */
  check(): void {
    if (this.#isStopped) throw new Stopped('the check was stopped')
  }

  /** Ends the current pause and all later pauses. */
  stop(): void {
    this.#isStopped = true
    this.#wake?.()
  }
}
