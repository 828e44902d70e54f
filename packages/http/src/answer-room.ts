/** Room in memory for answers that are made or wait to be fetched: who reads slowly holds some of it, and not all there is. */
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

  /** Bytes, and how many milliseconds somebody waits for them. */
  constructor(size: number, patience: number) {
    this.#size = size
    this.#patience = patience
    this.#left = size
  }

  /** Resolves when there is room, first come, first served; with what was taken: `bytes`, or all there is. @throws Problem `busy` */
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
        reject(new Problem('busy', 'too many answers wait to be fetched: try again later'))
        // Who stands behind may be content with less.
        this.release(0)
      }, this.#patience)
      this.#queue.add(waiting)
    })
  }
}
