/** What a server of the wire protocol says of request bodies: a budget for all of them, and why one is not read. */
import { Problem } from './problem.ts'

/** Bytes of something that requests or connections may hold together. */
export class Budget {
  #left: number

  constructor(bytes: number) {
    this.#left = bytes
  }

  /** Whether there was room. */
  take(bytes: number): boolean {
    if (bytes > this.#left) return false
    this.#left -= bytes
    return true
  }

  release(bytes: number): void {
    this.#left += bytes
  }
}

/** 413: `supplied` is the length that was announced, or `more`. */
export function tooLarge(limit: number, supplied: string): Problem {
  const detail = `body: expected at most ${limit} bytes, found ${supplied}`
  return new Problem('too-large', detail, { field: 'body', expected: limit, supplied })
}

/** 503: the budget is spent. */
export function busy(): Problem {
  return new Problem(
    'busy',
    'too many large requests at once: try again later; nothing of this one was recorded',
  )
}
