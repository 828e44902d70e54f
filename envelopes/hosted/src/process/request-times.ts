/** Observes the durations of requests in a histogram with the labels `method` and `status`. */
import type { Histogram } from './prom.ts'

/** Clients may invent methods, so the number of bound histograms is limited. */
const MAX_BOUND = 256

export class RequestTimes {
  readonly #histogram: Histogram<'method' | 'status'>
  /** Histograms with bound labels, so that a request does not look them up. */
  readonly #bound = new Map<string, { observe(value: number): void }>()

  constructor(histogram: Histogram<'method' | 'status'>) {
    this.#histogram = histogram
  }

  observe(method: string, status: string, seconds: number): void {
    const key = `${method} ${status}`
    let bound = this.#bound.get(key)
    if (bound === undefined) {
      bound = this.#histogram.labels({ method, status })
      if (this.#bound.size < MAX_BOUND) this.#bound.set(key, bound)
    }
    bound.observe(seconds)
  }
}
