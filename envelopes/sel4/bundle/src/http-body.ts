/** Request bodies, RFC 9112 §6 and §7. They are read whole; each has a limit, and all together have a budget. */
import { busy, tooLarge, type Budget } from '@service-fs/wire/body-limits'
import { Problem } from '@service-fs/wire/problem'
import { addField } from './http-head.ts'

const NONE = new Uint8Array(0)
const FIRST_BYTES = 4096

/** Bytes that arrive in pieces. Their memory doubles as they arrive, so a large Content-Length alone takes none. */
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

const CR = 13
const LF = 10
/** The limits of a chunk's line, and of all chunk extensions of a body, in bytes. */
const MAX_CHUNK_LINE = 256
const MAX_EXTENSIONS = 4096
const CHUNK_LINE = /^([0-9A-Fa-f]{1,8})([ \t]*;[\t\x20-\x7e]*)?$/

/** A chunked body, RFC 9112 §7.1. It skips extensions and trailers, within their limits. */
class ChunkedBody implements BodyReader {
  readonly #limit: number
  readonly #growing: Growing
  #state: 'line' | 'data' | 'end' | 'trailers' | 'whole' = 'line'
  /** The remaining bytes of the chunk. */
  #left = 0
  #extensions = 0
  #trailerBytes: number
  /** The beginning of a line that is not complete. */
  #line = ''

  constructor(limit: number, budget: Budget, trailers: number) {
    this.#limit = limit
    this.#growing = new Growing(budget)
    this.#trailerBytes = trailers
  }

  get isWhole(): boolean {
    return this.#state === 'whole'
  }

  get body(): Uint8Array {
    return this.#growing.bytes
  }

  get held(): number {
    return this.#growing.held
  }

  take(input: Uint8Array): number {
    let at = 0
    while (at < input.length && this.#state !== 'whole') {
      if (this.#state === 'data') at += this.#takeData(input.subarray(at))
      else at += this.#takeLine(input, at)
    }
    return at
  }

  #takeData(input: Uint8Array): number {
    const piece = input.length > this.#left ? input.subarray(0, this.#left) : input
    this.#growing.add(piece, this.#limit)
    this.#left -= piece.length
    if (this.#left === 0) this.#state = 'end'
    return piece.length
  }

  #takeLine(input: Uint8Array, from: number): number {
    const end = input.indexOf(LF, from)
    const stop = end < 0 ? input.length : end + 1
    const limit = this.#state === 'trailers' ? this.#trailerBytes : this.#state === 'end' ? 2 : MAX_CHUNK_LINE
    if (this.#line.length + stop - from > limit) throw this.#tooLong()
    this.#line += String.fromCharCode(...input.subarray(from, stop))
    if (end >= 0) {
      const line = this.#line
      this.#line = ''
      if (line.charCodeAt(line.length - 2) !== CR) throw bad('expected CR LF at the end of a line')
      this.#whole(line.slice(0, -2))
    }
    return stop - from
  }

  #tooLong(): Problem {
    if (this.#state === 'end') return bad('expected CR LF after the data of a chunk')
    if (this.#state === 'trailers')
      return new Problem('headers-too-large', 'the trailer fields of a request are limited')
    return new Problem('too-large', 'the chunk extensions of a request are limited')
  }

  #whole(line: string): void {
    if (this.#state === 'end') {
      if (line !== '') throw bad('expected CR LF after the data of a chunk')
      this.#state = 'line'
    } else if (this.#state === 'trailers') {
      this.#trailerBytes -= line.length + 2
      if (line === '') this.#state = 'whole'
      else addField(new Map(), line)
    } else {
      this.#begin(line)
    }
  }

  #begin(line: string): void {
    const match = CHUNK_LINE.exec(line)
    if (match === null) throw bad('expected the size of a chunk in hexadecimal')
    this.#extensions += match[2]?.length ?? 0
    if (this.#extensions > MAX_EXTENSIONS) throw this.#tooLong()
    const size = parseInt(match[1] as string, 16)
    if (this.#growing.length + size > this.#limit) throw tooLarge(this.#limit, 'more')
    this.#left = size
    this.#state = size === 0 ? 'trailers' : 'data'
  }
}

function bad(detail: string): Problem {
  return new Problem('bad-request', `not an HTTP/1.1 request: ${detail}`)
}
