/** The chunked transfer coding of a request's body (RFC 9112 §7.1). */
import { notHttp } from './http-syntax.ts'
import { Problem } from './problem.ts'

const CR = 13
const LF = 10
/** The limits of the line before a chunk, and of all chunk extensions of a body, in bytes. */
const MAX_LINE = 256
const MAX_EXTENSIONS = 4096

/** Returns the pattern of the line before a chunk: its size, and extensions of the given pattern. */
export function chunkLine(extension: string): RegExp {
  return new RegExp(`^([0-9A-Fa-f]{1,8})((?:${extension})*)$`)
}

export interface ChunkRules {
  /** The line before a chunk; see {@link chunkLine}. */
  readonly line: RegExp
  /** Checks a trailer field. @throws Problem */
  checkTrailer(line: string): void
  /** Checks the size of a chunk before its data. @throws Problem */
  checkSize?(bytes: number): void
}

/** Finds the data of chunks, and skips chunk extensions and trailer fields, within their limits. */
export class ChunkedCoding<Bytes extends Uint8Array> {
  readonly #rules: ChunkRules
  #state: 'line' | 'data' | 'end' | 'trailers' | 'whole' = 'line'
  /** Bytes of the chunk that have not arrived. */
  #missing = 0
  #extensions = 0
  #trailers: number
  /** The beginning of a line that is not complete. */
  #line = ''

  /** `trailers` limits the bytes after the last chunk. */
  constructor(rules: ChunkRules, trailers: number) {
    this.#rules = rules
    this.#trailers = trailers
  }

  get isWhole(): boolean {
    return this.#state === 'whole'
  }

  /**
   * Takes the body's bytes from the start of `input`, and calls `data` with each part of the data. Returns how many bytes it took.
   * @throws Problem 400, 413, 431
   */
  take(input: Bytes, data: (bytes: Bytes) => void): number {
    let at = 0
    while (at < input.length && this.#state !== 'whole')
      at = this.#state === 'data' ? this.#takeData(input, at, data) : this.#takeLine(input, at)
    return at
  }

  #takeData(input: Bytes, from: number, data: (bytes: Bytes) => void): number {
    const stop = Math.min(input.length, from + this.#missing)
    this.#missing -= stop - from
    if (this.#missing === 0) this.#state = 'end'
    data(input.subarray(from, stop) as Bytes)
    return stop
  }

  #takeLine(input: Bytes, from: number): number {
    const lf = input.indexOf(LF, from)
    const stop = lf < 0 ? input.length : lf + 1
    const most = this.#state === 'trailers' ? this.#trailers : this.#state === 'end' ? 2 : MAX_LINE
    if (this.#line.length + stop - from > most) throw this.#tooLong()
    this.#line += String.fromCharCode(...input.subarray(from, stop))
    if (lf >= 0) {
      const line = this.#line
      this.#line = ''
      if (line.charCodeAt(line.length - 2) !== CR) throw notHttp('expected CR LF at the end of a line')
      this.#whole(line.slice(0, -2))
    }
    return stop
  }

  #tooLong(): Problem {
    if (this.#state === 'end') return notHttp('expected CR LF after the data of a chunk')
    if (this.#state === 'trailers')
      return new Problem('headers-too-large', 'the trailer fields of a request are limited')
    return new Problem('too-large', 'the chunk extensions of a request are limited')
  }

  #whole(line: string): void {
    if (this.#state === 'end') {
      if (line !== '') throw notHttp('expected CR LF after the data of a chunk')
      this.#state = 'line'
    } else if (this.#state === 'trailers') {
      this.#trailers -= line.length + 2
      if (line === '') this.#state = 'whole'
      else this.#rules.checkTrailer(line)
    } else {
      this.#begin(line)
    }
  }

  #begin(line: string): void {
    const [, size, extensions = ''] = this.#rules.line.exec(line) ?? []
    if (size === undefined) throw notHttp('expected the size of a chunk in hexadecimal')
    this.#extensions += extensions.length
    if (this.#extensions > MAX_EXTENSIONS) throw this.#tooLong()
    this.#missing = Number.parseInt(size, 16)
    this.#rules.checkSize?.(this.#missing)
    this.#state = this.#missing === 0 ? 'trailers' : 'data'
  }
}
