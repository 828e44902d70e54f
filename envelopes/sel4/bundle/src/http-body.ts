/** Request bodies, RFC 9112 §6 and §7. They are read whole; each has a limit, and all together have a budget. */
import { busy, tooLarge, type Budget } from '@service-fs/wire/body-limits'
import { ChunkedCoding, chunkLine } from '@service-fs/wire/chunked-coding'
import { TOKEN } from '@service-fs/wire/http-syntax'
import { checkTrailer } from './http-head.ts'

const NONE = new Uint8Array(0)
const FIRST_BYTES = 4096

/** Bytes that arrive in pieces. Their memory doubles as they arrive, so a large Content-Length alone takes no memory. */
class Growing {
  readonly #budget: Budget
  #bytes: Uint8Array = NONE
  length = 0

  constructor(budget: Budget) {
    this.#budget = budget
  }

  get bytes(): Uint8Array {
    return this.#bytes.length === this.length ? this.#bytes : this.#bytes.slice(0, this.length)
  }

  /** The bytes taken from the budget. */
  get held(): number {
    return this.#bytes.length
  }

  /** `whole`: the largest total length. @throws Problem `busy` if the budget is spent */
  add(piece: Uint8Array, whole: number): void {
    const length = this.length + piece.length
    if (length > this.#bytes.length) {
      const capacity = Math.max(length, Math.min(whole, Math.max(FIRST_BYTES, this.#bytes.length * 2)))
      if (!this.#budget.take(capacity - this.#bytes.length)) throw busy()
      const grown = new Uint8Array(capacity)
      grown.set(this.#bytes)
      this.#bytes = grown
    }
    this.#bytes.set(piece, this.length)
    this.length = length
  }
}

/** Reads a body as its bytes arrive. */
export interface BodyReader {
  /** Takes the body's bytes from the start of `input`, and returns how many it took. @throws Problem 400, 413, 431, 503 */
  take(input: Uint8Array): number
  /** Whether the body is complete. */
  readonly isWhole: boolean
  readonly body: Uint8Array
  /** The bytes taken from the budget. The caller releases them when it no longer needs the body. */
  readonly held: number
}

/**
 * Returns a reader of a body of at most `limit` bytes. `trailers` limits the bytes after the last chunk.
 * @throws Problem 413 if the declared length is larger
 */
export function readBody(
  length: number | 'chunked',
  limit: number,
  budget: Budget,
  trailers: number,
): BodyReader {
  if (length === 'chunked') return new ChunkedBody(limit, budget, trailers)
  if (length > limit) throw tooLarge(limit, String(length))
  return new SizedBody(length, budget)
}

class SizedBody implements BodyReader {
  readonly #length: number
  readonly #growing: Growing
  /** The body as a view of the bytes that arrived with the head. */
  #view: Uint8Array | undefined

  constructor(length: number, budget: Budget) {
    this.#length = length
    this.#growing = new Growing(budget)
  }

  get isWhole(): boolean {
    return this.#view !== undefined || this.#growing.length === this.#length
  }

  get body(): Uint8Array {
    return this.#view ?? this.#growing.bytes
  }

  get held(): number {
    return this.#growing.held
  }

  take(input: Uint8Array): number {
    const left = this.#length - this.#growing.length
    if (left === this.#length && input.length >= left) {
      this.#view = input.subarray(0, left)
      return left
    }
    const piece = input.length > left ? input.subarray(0, left) : input
    this.#growing.add(piece, this.#length)
    return piece.length
  }
}

const QUOTED = '"(?:[\\t \\x21\\x23-\\x5b\\x5d-\\x7e]|\\\\[\\t\\x20-\\x7e])*"'
const LINE = chunkLine(`[ \\t]*;[ \\t]*${TOKEN}(?:[ \\t]*=[ \\t]*(?:${TOKEN}|${QUOTED}))?`)

class ChunkedBody implements BodyReader {
  readonly #growing: Growing
  readonly #coding: ChunkedCoding<Uint8Array>
  readonly #add: (piece: Uint8Array) => void

  constructor(limit: number, budget: Budget, trailers: number) {
    const growing = new Growing(budget)
    const checkSize = (bytes: number): void => {
      if (growing.length + bytes > limit) throw tooLarge(limit, 'more')
    }
    this.#growing = growing
    this.#coding = new ChunkedCoding({ line: LINE, checkTrailer, checkSize }, trailers)
    this.#add = (piece) => growing.add(piece, limit)
  }

  get isWhole(): boolean {
    return this.#coding.isWhole
  }

  get body(): Uint8Array {
    return this.#growing.bytes
  }

  get held(): number {
    return this.#growing.held
  }

  take(input: Uint8Array): number {
    return this.#coding.take(input, this.#add)
  }
}
