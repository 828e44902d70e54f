/** Finds the end of a client's request body (RFC 9112 §6 and §7), and passes its bytes on as they arrive. */
import { ChunkedCoding, chunkLine } from '@service-fs/wire/chunked-coding'
import { TOKEN } from '@service-fs/wire/http-syntax'
import { checkTrailer } from './client-head.ts'

/** Receives a body. */
export interface BodySink {
  /**
   * Takes bytes of the body, without the framing of chunks. Returns false when the caller should wait before it passes
   * more bytes.
   */
  bytes(bytes: Buffer): boolean
  /** Called after the last byte. */
  end(): void
  /** Called instead of `end` when the rest of the body will not arrive, or is malformed. */
  cut(): void
}

export interface BodyReader {
  readonly isWhole: boolean
  /** Takes the body's bytes from the beginning of `input`; returns their number. @throws Problem 400, 413, 431 */
  take(input: Buffer, sink: BodySink): number
}

/** Returns a reader for a body of this length. `trailers` limits the bytes after the last chunk. */
export function bodyReader(length: number | 'chunked', trailers: number): BodyReader {
  return length === 'chunked' ? new ChunkedBody(trailers) : new SizedBody(length)
}

/** Reads a body that has no further bytes. */
export const WHOLE: BodyReader = { isWhole: true, take: () => 0 }

class SizedBody implements BodyReader {
  #missing: number

  constructor(length: number) {
    this.#missing = length
  }

  get isWhole(): boolean {
    return this.#missing === 0
  }

  take(input: Buffer, sink: BodySink): number {
    const length = Math.min(input.length, this.#missing)
    this.#missing -= length
    if (length > 0) sink.bytes(length === input.length ? input : input.subarray(0, length))
    return length
  }
}

/** Allows no blanks around the names, and no escapes in quoted values, like Node.js's parser. */
const LINE = chunkLine(`;${TOKEN}(?:=(?:${TOKEN}|"[\\t !#-\\[\\]-~]*"))?`)

class ChunkedBody implements BodyReader {
  readonly #coding: ChunkedCoding<Buffer>

  constructor(trailers: number) {
    this.#coding = new ChunkedCoding({ line: LINE, checkTrailer }, trailers)
  }

  get isWhole(): boolean {
    return this.#coding.isWhole
  }

  take(input: Buffer, sink: BodySink): number {
    return this.#coding.take(input, (bytes) => sink.bytes(bytes))
  }
}
