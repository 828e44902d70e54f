/** How long to wait before what ended by itself is started again. */

/** Milliseconds: the first time none, then 250, doubled each time, up to a minute. */
export function delayAfter(failures: number): number {
  return failures < 2 ? 0 : Math.min(250 * 2 ** (failures - 2), 60_000)
}

/** Milliseconds after which an end is not the last one's again. */
const STABLE_MS = 5000

/** Counts ends in a row. */
export class Backoff {
  #failures = 0
  #notBefore = 0

  /** It ended after so many milliseconds of running. */
  failed(now: number, ranMs: number): void {
    this.#failures = ranMs >= STABLE_MS ? 1 : this.#failures + 1
    this.#notBefore = now + delayAfter(this.#failures)
  }

  /** It ended because it was asked to. */
  stopped(): void {
    this.#failures = 0
    this.#notBefore = 0
  }

  /** Milliseconds until it may be started. */
  wait(now: number): number {
    return Math.max(0, this.#notBefore - now)
  }
}
