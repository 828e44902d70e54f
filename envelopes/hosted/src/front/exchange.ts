/** Exchanges one request with a tenant's process, and streams the response to the client with backpressure. */
import type { ClientRequest, RequestEvents } from './client-request.ts'
import { answerLines, type AnswerField, type Framing } from './fields.ts'
import { RequestBody } from './request-body.ts'
import type { ResponseHead } from './response-reader.ts'
import type { Receiver, TenantConnection, TenantConnections } from './tenant-connections.ts'

/**
 * How an exchange ended. `lost`: the process may have received the request. `refused`: the tenant has too many event streams.
 * `malformed`: the request cannot be forwarded.
 */
export type Outcome = 'answered' | 'lost' | 'client-gone' | 'refused' | 'malformed'

export class Exchange implements Receiver, RequestEvents {
  readonly outcome: Promise<Outcome>
  readonly #request: ClientRequest
  readonly #mayStream: (exchange: Exchange) => boolean
  readonly #pool: TenantConnections
  readonly #connection: TenantConnection
  #resolve!: (outcome: Outcome) => void
  #body: RequestBody | undefined
  #isStream = false
  #isOver = false

  /** `mayStream` is called when the response is an event stream. If it returns false, the exchange does not forward the stream. */
  constructor(
    request: ClientRequest,
    mayStream: (exchange: Exchange) => boolean,
    pool: TenantConnections,
    connection: TenantConnection,
  ) {
    this.#request = request
    this.#mayStream = mayStream
    this.#pool = pool
    this.#connection = connection
    this.outcome = new Promise((resolve) => (this.#resolve = resolve))
  }

  /** Sends the request. */
  send(head: string, framing: Framing): void {
    const [request, connection] = [this.#request, this.#connection]
    request.listen(this)
    const body = framing === 'none' ? undefined : request.arrivedBody()
    connection.send(head, body, this)
    if (framing === 'none' || body !== undefined) return
    this.#body = new RequestBody(request, connection, () => this.#stop('client-gone'))
    this.#body.start()
  }

  /** Ends an event stream; the client sees a complete response. */
  endStream(): void {
    if (!this.#isStream || this.#isOver) return
    this.#stop('answered')
    this.#request.end()
  }

  head({ status, fields, length }: ResponseHead): void {
    this.#isStream = isEventStream(fields)
    if (this.#isStream && !this.#mayStream(this)) {
      this.#stop('refused')
      return
    }
    // A stream may last for hours. The connection closes after it, so that no request waits behind it.
    this.#request.respond(status, answerLines(fields), length, this.#isStream)
  }

  data(bytes: Buffer): void {
    if (!this.#request.data(bytes)) this.#connection.pause()
  }

  end(): void {
    if (this.#isOver) return
    this.#leave()
    this.#pool.release(this.#connection, this.#body?.isSent !== false)
    this.#request.end()
    this.#resolve('answered')
  }

  lost(): void {
    this.#stop('lost')
  }

  /** The process takes more of the request. */
  drained(): void {
    this.#body?.drained()
  }

  /** The client takes more of the response. */
  taken(): void {
    this.#connection.resume()
  }

  gone(): void {
    this.#stop('client-gone')
  }

  /** Ends the exchange before the response is complete, and with it the connection to the process. */
  #stop(outcome: Outcome): void {
    if (this.#isOver) return
    this.#leave()
    this.#connection.destroy()
    this.#resolve(outcome)
  }

  #leave(): void {
    this.#isOver = true
    this.#request.listen(undefined)
    this.#body?.stop()
  }
}

function isEventStream(fields: readonly AnswerField[]): boolean {
  for (const { lower, value } of fields)
    if (lower === 'content-type') return value.startsWith('text/event-stream')
  return false
}
