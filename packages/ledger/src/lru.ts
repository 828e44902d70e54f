/** An LRU cache bounded by the sum of its values' weights. It keeps the newest value whatever its weight. */
export class WeightedCache<V> {
  readonly #limit: number
  readonly #values = new Map<string, { value: V; weight: number }>()
  #weight = 0

  constructor(limit: number) {
    this.#limit = limit
  }

  /** The sum of the weights. */
  get weight(): number {
    return this.#weight
  }

  get(key: string): V | undefined {
    const found = this.#values.get(key)
    if (found === undefined) return undefined
    this.#values.delete(key)
    this.#values.set(key, found)
    return found.value
  }

  set(key: string, value: V, weight: number): void {
    this.delete(key)
    this.#values.set(key, { value, weight })
    this.#weight += weight
    for (const oldest of this.#values.keys()) {
      if (this.#weight <= this.#limit || oldest === key) return
      this.delete(oldest)
    }
  }

  delete(key: string): void {
    const found = this.#values.get(key)
    if (found === undefined) return
    this.#values.delete(key)
    this.#weight -= found.weight
  }
}
