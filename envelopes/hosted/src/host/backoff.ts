/** The delay before restarting a process that ended by itself. */

/** Returns the delay in milliseconds after this number of failures in a row: 0 after the first, then 250, doubled up to a minute. */
export function delayAfter(failures: number): number {
  return failures < 2 ? 0 : Math.min(250 * 2 ** (failures - 2), 60_000)
}

/** Milliseconds of running after which a failure counts as the first one again. */
const STABLE_MS = 5000

/** Counts the failures in a row. */
export class Backoff {
  #failures = 0
  #notBefore = 0

  /** Records that the process ended by itself after running for `ranMs` milliseconds. */
  failed(now: number, ranMs: number): void {
    this.#failures = ranMs >= STABLE_MS ? 1 : this.#failures + 1
    this.#notBefore = now + delayAfter(this.#failures)
  }

  /** Records that the process ended on request. */
  stopped(): void {
    this.#failures = 0
    this.#notBefore = 0
  }

  /** Returns the milliseconds until the process may start again. */
  wait(now: number): number {
    return Math.max(0, this.#notBefore - now)
  }
}
