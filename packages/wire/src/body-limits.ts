/** Limits of request bodies: a memory budget for all requests, and the problems for a body over its limit or the budget. */
import { Problem } from './problem.ts'

/** A number of bytes that requests or connections share. */
export class Budget {
  #left: number

  constructor(bytes: number) {
    this.#left = bytes
  }

  /** Takes `bytes` from the budget. If fewer are left, takes nothing and returns false. */
  take(bytes: number): boolean {
    if (bytes > this.#left) return false
    this.#left -= bytes
    return true
  }

  /** Gives back `bytes` that were taken. */
  release(bytes: number): void {
    this.#left += bytes
  }
}

/** Returns the problem 413 for a body over `limit` bytes. `supplied` is its Content-Length, or `more`. */
export function tooLarge(limit: number, supplied: string): Problem {
  const detail = `body: expected at most ${limit} bytes, found ${supplied}`
  return new Problem('too-large', detail, { field: 'body', expected: limit, supplied })
}

/** Returns the problem 503 for a spent budget. */
export function busy(): Problem {
  return new Problem('busy', 'too many large requests; nothing was recorded; retry later')
}
