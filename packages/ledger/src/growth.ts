/** Callers that wait for the ledger to grow. */
export class Growth {
  #waiting: { size: number; resolve: (size: number) => void; reject: (error: Error) => void }[] = []
  #ended: Error | undefined

  /** Resolves with the first size above `size`; rejects with the reason of end(). */
  beyond(size: number): Promise<number> {
    if (this.#ended !== undefined) return Promise.reject(this.#ended)
    return new Promise((resolve, reject) => this.#waiting.push({ size, resolve, reject }))
  }

  /** Resolves the waiters for sizes below `size`, the number of durable entries. */
  reached(size: number): void {
    if (this.#waiting.length === 0) return
    const waiting = this.#waiting
    this.#waiting = waiting.filter((one) => one.size >= size)
    for (const one of waiting) if (one.size < size) one.resolve(size)
  }

  /** Rejects all waiters, and later calls: the ledger grows no more. */
  end(reason: Error): void {
    this.#ended ??= reason
    const waiting = this.#waiting
    this.#waiting = []
    for (const one of waiting) one.reject(this.#ended)
  }
}
