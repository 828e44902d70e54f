/** Runs at most `count` tasks at once; the others wait in order. */
export class Slots {
  #free: number
  readonly #waiting: (() => void)[] = []

  constructor(count: number) {
    this.#free = count
  }

  /** Runs `work` in a slot. After `atMostMs` milliseconds it frees the slot while the work continues. */
  async with<T>(work: () => Promise<T>, atMostMs?: number): Promise<T> {
    if (this.#free > 0) this.#free -= 1
    else await new Promise<void>((resolve) => this.#waiting.push(resolve))
    let isHeld = true
    const release = (): void => {
      if (isHeld) this.#release()
      isHeld = false
    }
    const timer = atMostMs === undefined ? undefined : setTimeout(release, atMostMs)
    try {
      return await work()
    } finally {
      clearTimeout(timer)
      release()
    }
  }

  #release(): void {
    const next = this.#waiting.shift()
    if (next === undefined) this.#free += 1
    else next()
  }
}
