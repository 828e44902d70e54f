/** Reports bursts of events: once when a burst begins, and once with the count when it ends. */

export interface BurstOptions {
  /** Events of one key within `windowMs` that make a burst. */
  least: number
  windowMs: number
  /** Milliseconds without an event after which a burst ends. */
  quietMs: number
  began(key: string): void
  ended(key: string, count: number, seconds: number): void
}

/** Keys counted separately at a time; further keys count as one. */
const MOST_KEYS = 1024
export const OTHERS = 'others'

interface Burst {
  count: number
  since: number
  last: number
  isTold: boolean
}

export class Bursts {
  readonly #options: BurstOptions
  readonly #bursts = new Map<string, Burst>()
  #timer: NodeJS.Timeout | undefined

  constructor(options: BurstOptions) {
    this.#options = options
  }

  add(key: string): void {
    const now = performance.now()
    const counted = this.#bursts.has(key) || this.#bursts.size < MOST_KEYS ? key : OTHERS
    let burst = this.#bursts.get(counted)
    // Forget events that did not become a burst within the window.
    if (burst === undefined || (!burst.isTold && now - burst.since > this.#options.windowMs)) {
      burst = { count: 0, since: now, last: now, isTold: false }
      this.#bursts.set(counted, burst)
      this.#timer ??= setInterval(() => this.#look(), this.#options.quietMs / 2).unref()
    }
    burst.count += 1
    burst.last = now
    if (burst.isTold || burst.count < this.#options.least) return
    burst.isTold = true
    this.#options.began(counted)
  }

  /** Reports the end of every current burst. */
  close(): void {
    for (const [key, burst] of this.#bursts) this.#end(key, burst)
    clearInterval(this.#timer)
    this.#timer = undefined
  }

  #look(): void {
    const now = performance.now()
    for (const [key, burst] of this.#bursts)
      if (now - burst.last >= this.#options.quietMs) this.#end(key, burst)
    if (this.#bursts.size > 0) return
    clearInterval(this.#timer)
    this.#timer = undefined
  }

  #end(key: string, { isTold, count, since, last }: Burst): void {
    this.#bursts.delete(key)
    if (isTold) this.#options.ended(key, count, Math.round((last - since) / 100) / 10)
  }
}
