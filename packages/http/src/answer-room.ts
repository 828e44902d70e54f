/** A memory budget for responses that are being made or sent, so that slow readers cannot exhaust the heap. */
import { Problem } from '@service-fs/wire/problem'

interface Waiting {
  bytes: number
  enter(): void
}

export class AnswerRoom {
  readonly #size: number
  readonly #patience: number
  #left: number
  readonly #queue = new Set<Waiting>()

  /** `size` in bytes; `patience`: how many milliseconds a request waits for room. */
  constructor(size: number, patience: number) {
    this.#size = size
    this.#patience = patience
    this.#left = size
  }

  /**
   * Takes `bytes`, or the whole budget if that is smaller, and resolves with the number of bytes taken. Requests wait in order.
   * @throws Problem `busy`
   */
  async take(bytes: number): Promise<number> {
    const wanted = Math.min(bytes, this.#size)
    if (this.#queue.size > 0 || wanted > this.#left) await this.#wait(wanted)
    else this.#left -= wanted
    return wanted
  }

  release(bytes: number): void {
    this.#left += bytes
    for (const waiting of this.#queue) {
      if (waiting.bytes > this.#left) return
      this.#left -= waiting.bytes
      this.#queue.delete(waiting)
      waiting.enter()
    }
  }

  #wait(bytes: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const waiting = {
        bytes,
        enter: () => {
          clearTimeout(timer)
          resolve()
        },
      }
      const timer = setTimeout(() => {
        this.#queue.delete(waiting)
        reject(new Problem('busy', 'too many responses wait: try again later'))
        // The next waiting request may need less.
        this.release(0)
      }, this.#patience)
      this.#queue.add(waiting)
    })
  }
}
