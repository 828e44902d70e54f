/** A read that takes more milliseconds than this has waited for the medium. */
const SLOW_MS = 1
/** Milliseconds for which reads go to the thread pool after such a read. */
const PAUSE_MS = 1000
/** A larger read goes to the pool, because copying alone would take long. */
const MOST_BYTES = 1024 * 1024

/**
 * Decides where a read runs. A read of data in the page cache runs at once: it takes microseconds, less than handing it to a pool thread. A
 * slow medium must not hold up the event loop, so after one slow read all reads go to the thread pool for a second.
 */
export class ReadPace {
  readonly #now: () => number
  #resume = Number.NEGATIVE_INFINITY

  constructor(now: () => number = () => performance.now()) {
    this.#now = now
  }

  /** Reports whether to read `bytes` bytes at once. */
  isFast(bytes: number): boolean {
    return bytes <= MOST_BYTES && this.#now() >= this.#resume
  }

  /** Runs a read at once, and takes its duration into account. */
  timed<T>(read: () => T): T {
    const started = this.#now()
    try {
      return read()
    } finally {
      const ended = this.#now()
      if (ended - started > SLOW_MS) this.#resume = ended + PAUSE_MS
    }
  }
}
