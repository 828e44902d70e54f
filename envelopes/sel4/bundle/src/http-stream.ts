/** A body that is produced while it is sent: in chunks to HTTP/1.1 (RFC 9112 §7.1); to HTTP/1.0 until the connection closes. */
import type { Codec } from '@service-fs/tlog/codec'

/** The most bytes to pass to send() at a time. */
const SLICE_BYTES = 64 * 1024
const END_OF_LINE = new Uint8Array([13, 10])

export interface StreamTo {
  readonly codec: Codec
  readonly isChunked: boolean
  /** Resolves when there is room for more. */
  readonly send: (bytes: Uint8Array) => Promise<void>
}

export class AnswerStream {
  readonly #pieces: AsyncIterator<string | Uint8Array>
  readonly #to: StreamTo
  #isEnded = false

  constructor(body: AsyncIterable<string | Uint8Array>, to: StreamTo) {
    this.#pieces = body[Symbol.asyncIterator]()
    this.#to = to
  }

  /** Resolves when the body is sent, or after end(). Rejects if the body fails; the response is then incomplete. */
  async run(): Promise<void> {
    const { codec, isChunked, send } = this.#to
    while (!this.#isEnded) {
      const { value, done } = await this.#pieces.next()
      if (done === true) break
      const bytes = typeof value === 'string' ? codec.utf8Encode(value) : value
      for (let at = 0; at < bytes.length && !this.#isOver(); at += SLICE_BYTES)
        await send(this.#framed(bytes.subarray(at, at + SLICE_BYTES)))
    }
    if (isChunked && !this.#isEnded) await send(codec.asciiEncode('0\r\n\r\n'))
  }

  /** Stops the body. */
  async end(): Promise<void> {
    this.#isEnded = true
    await this.#pieces.return?.()
  }

  #isOver(): boolean {
    return this.#isEnded
  }

  #framed(bytes: Uint8Array): Uint8Array {
    const { codec, isChunked } = this.#to
    if (!isChunked) return bytes
    return codec.concat(codec.asciiEncode(`${bytes.length.toString(16)}\r\n`), bytes, END_OF_LINE)
  }
}
