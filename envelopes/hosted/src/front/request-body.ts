/** A client's request body on its way to a tenant. */
import type { IncomingMessage } from 'node:http'
import { Readable } from 'node:stream'

/**
 * Passes the body on as fast as it is taken. Nothing is read before somebody asks for it. To destroy it leaves the client's connection
 * as it is, so that the client can still be answered; what then comes of the body is passed over.
 */
export class RequestBody extends Readable {
  readonly #raw: IncomingMessage
  #isAttached = false

  constructor(raw: IncomingMessage) {
    super()
    this.#raw = raw
    raw.once('close', this.#onClose)
    // Whoever takes the body sees its errors; nobody may be taking it yet, or any more.
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

  /** A body that ends before its length is no body: the tenant must not take it for one. */
  #onClose = (): void => {
    if (!this.#raw.readableEnded)
      this.destroy(Object.assign(new Error('the client disconnected'), { code: 'ECONNRESET' }))
  }
}
