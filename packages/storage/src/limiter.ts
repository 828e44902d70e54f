/** Runs at most `width` jobs at a time; further jobs start in the order of their calls. */
export class Limiter {
  readonly #width: number
  #running = 0
  readonly #waiting: (() => void)[] = []

  constructor(width: number) {
    this.#width = width
  }

  async run<T>(job: () => Promise<T>): Promise<T> {
    if (this.#running < this.#width) this.#running++
    else await new Promise<void>((resolve) => this.#waiting.push(resolve))
    try {
      return await job()
    } finally {
      const next = this.#waiting.shift()
      if (next === undefined) this.#running--
      else next()
    }
  }
}

/**
 * Runs a job per key and shares its runs among callers. A caller waits for a run that starts after its call, so callers that
 * arrive during a run share the next one.
 */
export class SharedRuns {
  readonly #limiter: Limiter
  readonly #job: (key: string) => Promise<void>
  /** By key, the run that has not started. */
  readonly #next = new Map<string, Promise<void>>()
  /** By key, the newest run. */
  readonly #last = new Map<string, Promise<void>>()

  constructor(limiter: Limiter, job: (key: string) => Promise<void>) {
    this.#limiter = limiter
    this.#job = job
  }

  run(key: string): Promise<void> {
    const next = this.#next.get(key)
    if (next !== undefined) return next
    const begin = (): Promise<void> =>
      this.#limiter.run(() => {
        this.#next.delete(key)
        return this.#job(key)
      })
    const run = (this.#last.get(key) ?? Promise.resolve()).then(begin, begin)
    this.#next.set(key, run)
    this.#last.set(key, run)
    const forget = (): void => {
      if (this.#last.get(key) === run) this.#last.delete(key)
    }
    void run.then(forget, forget)
    return run
  }
}
