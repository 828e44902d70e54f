/** The body of a client's request, on its way to a tenant. */
import type { IncomingMessage } from 'node:http'
import { Readable } from 'node:stream'

/**
 * Streams the body with backpressure, and reads nothing before the first read. `destroy` ignores the rest of the body, but leaves
 * the client's connection open for the response.
 */
export class RequestBody extends Readable {
  readonly #raw: IncomingMessage
  #isAttached = false

  constructor(raw: IncomingMessage) {
    super()
    this.#raw = raw
    raw.once('close', this.#onClose)
    // Ignore errors while the body has no reader. A reader has its own error handler.
    this.on('error', () => undefined)
  }

  override _read(): void {
    if (!this.#isAttached) {
      this.#isAttached = true
      this.#raw.on('data', this.#onData)
      this.#raw.once('end', this.#onEnd)
      this.#raw.once('error', this.#onError)
    }
    this.#raw.resume()
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    const raw = this.#raw
    raw.off('data', this.#onData)
    raw.off('end', this.#onEnd)
    raw.off('error', this.#onError)
    raw.off('close', this.#onClose)
    callback(error)
  }

  #onData = (chunk: Buffer): void => {
    if (!this.push(chunk)) this.#raw.pause()
  }

  #onEnd = (): void => {
    this.push(null)
  }

  #onError = (error: Error): void => {
    this.destroy(error)
  }

  /** Fails a truncated body, so that the tenant does not accept it as complete. */
  #onClose = (): void => {
    if (!this.#raw.readableEnded)
      this.destroy(Object.assign(new Error('the client disconnected'), { code: 'ECONNRESET' }))
  }
}
