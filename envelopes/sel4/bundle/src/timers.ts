/** Any number of timers over the machine's only one. */
import type { Host } from './host.ts'

interface Timer {
  at: number
  run(): void
}

export class Timers {
  readonly #host: Pick<Host, 'monotonic' | 'timer'>
  readonly #timers = new Set<Timer>()
  /** The time of the machine's timer; -1: unset. */
  #set = -1

  constructor(host: Pick<Host, 'monotonic' | 'timer'>) {
    this.#host = host
  }

  /** Calls `run` once after `ms` milliseconds. The returned function cancels the call. */
  after(ms: number, run: () => void): () => void {
    const timer = { at: this.#host.monotonic() + ms, run }
    this.#timers.add(timer)
    if (this.#set < 0 || timer.at < this.#set) this.#setTo(timer.at)
    return () => void this.#timers.delete(timer)
  }

  /** Runs the timers that are due. */
  tick(): void {
    const now = this.#host.monotonic()
    const due = [...this.#timers].filter(({ at }) => at <= now).sort((a, b) => a.at - b.at)
    this.#set = -1
    for (const timer of due) {
      // An earlier timer may have canceled this one.
      if (this.#timers.delete(timer)) timer.run()
    }
    let next = -1
    for (const { at } of this.#timers) if (next < 0 || at < next) next = at
    if (next !== this.#set) this.#setTo(next)
  }

  #setTo(at: number): void {
    this.#set = at
    this.#host.timer(at)
  }
}
