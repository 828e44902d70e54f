/** Copies the body of a client's request to a tenant's process while it arrives. Reads it no faster than the process takes it. */
import type { BodySink } from './client-body.ts'
import type { ClientRequest } from './client-request.ts'
import type { TenantConnection } from './tenant-connections.ts'

const EMPTY = new Uint8Array(0)

export class RequestBody implements BodySink {
  readonly #request: ClientRequest
  readonly #connection: TenantConnection
  readonly #isChunked: boolean
  readonly #cut: () => void
  #isStopped = false
  /** Whether the whole body was handed to the connection. */
  isSent = false

  /** `cut` is called when the rest of the body will not arrive: the process must not treat the body as complete. */
  constructor(request: ClientRequest, connection: TenantConnection, cut: () => void) {
    this.#request = request
    this.#connection = connection
    this.#isChunked = request.head.length === 'chunked'
    this.#cut = cut
  }

  start(): void {
    this.#request.readBody(this)
  }

  bytes(bytes: Buffer): boolean {
    if (this.#isStopped) return true
    const isReady = this.#isChunked ? this.#connection.writeChunk(bytes) : this.#connection.write(bytes)
    if (!isReady) this.#request.pauseBody()
    return isReady
  }

  end(): void {
    if (this.#isStopped) return
    if (this.#isChunked) this.#connection.writeChunk(EMPTY)
    this.isSent = true
  }

  cut(): void {
    if (!this.#isStopped) this.#cut()
  }

  /** Continues after the process has taken the bytes that were sent. */
  drained(): void {
    if (!this.#isStopped && !this.isSent) this.#request.resumeBody()
  }

  /** Copies no more. */
  stop(): void {
    this.#isStopped = true
  }
}
