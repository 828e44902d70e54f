/**
 * Lets waiting connections in before requests are handled.
 *
 * libuv accepts one connection in each iteration of the event loop (since 1.45). An iteration that handles requests is long, so with
 * many clients a new connection could wait for seconds to be accepted. Therefore requests wait while connections arrive, until an
 * iteration accepts none: such an iteration takes microseconds.
 */
import { performance } from 'node:perf_hooks'

/** The longest time that requests wait, so that a flood of connections does not stop them. */
const MAX_WAIT_MS = 20

export class Arrivals {
  readonly #report: (error: unknown) => void
  readonly #now: () => number
  #waiting: (() => void)[] = []
  #isLooking = false
  #hasNew = false
  #since = 0

  /** `report` receives the exceptions of delayed calls; `now` returns milliseconds. */
  constructor(report: (error: unknown) => void, now: () => number = () => performance.now()) {
    this.#report = report
    this.#now = now
  }

  /** Notes that a connection was accepted. */
  accepted(): void {
    this.#hasNew = true
    if (this.#isLooking) return
    this.#isLooking = true
    this.#since = this.#now()
    setImmediate(this.#look)
  }

  /** Calls `run` at once, or when no more connections arrive. Calls run in order; one that throws does not stop the next. */
  whenIn(run: () => void): void {
    if (this.#isLooking) this.#waiting.push(run)
    else run()
  }

  #look = (): void => {
    if (this.#hasNew && this.#now() - this.#since < MAX_WAIT_MS) {
      this.#hasNew = false
      setImmediate(this.#look)
      return
    }
    this.#isLooking = false
    const waiting = this.#waiting
    this.#waiting = []
    for (const run of waiting) {
      try {
        run()
      } catch (error) {
        // The other calls are for other connections.
        this.#report(error)
      }
    }
  }
}
