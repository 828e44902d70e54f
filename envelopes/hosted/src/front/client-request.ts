/** A client's request at the front, its body, and the response to it. */
import { STATUS_CODES, type IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import { compress } from '@service-fs/http/compress'
import type { WireResponse } from '@service-fs/wire/request'
import { bodyReader, WHOLE, type BodyReader, type BodySink } from './client-body.ts'
import type { ClientHead } from './client-head.ts'
import { httpDate } from './http-date.ts'

/** The connection of a request. */
export interface RequestHost {
  readonly socket: Socket
  /** Whether the server stops, and closes each connection after its response. */
  readonly isClosing: boolean
  /** Bytes that have arrived and are not parsed yet. */
  input: Buffer
  /** Called when bytes of the body may be read. */
  read(): void
  pause(): void
  resume(): void
  /** Called when the response is complete. */
  over(isLast: boolean): void
}

export interface RequestEvents {
  /** Called when the client has taken the bytes that waited, after `data` returned false. */
  taken(): void
  /** Called when the connection closes before the response is complete. */
  gone(): void
}

/** A body up to this length is copied behind its head, and sent with it in one write. */
const COPIED_BYTES = 64 * 1024
/** The limit of trailer fields in bytes. */
const MAX_TRAILERS = 16 * 1024
const EMPTY: Buffer = Buffer.alloc(0)
const CONTINUE = 'HTTP/1.1 100 Continue\r\n\r\n'
const VALUE = /^[\t\x20-\x7e]*$/
const LAST_CHUNK = '0\r\n\r\n'

export type Length = number | 'chunked' | undefined

export class ClientRequest implements Pick<
  IncomingMessage,
  'headers' | 'headersDistinct' | 'httpVersion' | 'rawHeaders'
> {
  readonly head: ClientHead
  readonly #host: RequestHost
  #body: BodyReader
  /** Whether a sink has received bytes of the body. */
  #isBegun = false
  #sink: BodySink | undefined
  #events: RequestEvents | undefined
  /** The head of the response until it is sent with the first bytes of the body. */
  #waiting: string | undefined
  #isChunked = false
  #isLast: boolean
  /** Whether the response is a stream of events. */
  isStream = false
  /** The status of the response; undefined until the response begins. */
  status: number | undefined
  /** Whether the response is complete, or was cut off. */
  isOver = false

  constructor(head: ClientHead, host: RequestHost) {
    this.head = head
    this.#host = host
    this.#body = head.length === 0 ? WHOLE : bodyReader(head.length, MAX_TRAILERS)
    this.#isLast = !head.keepsAlive
  }

  get method(): string {
    return this.head.method
  }

  get url(): string {
    return this.head.url
  }

  get headers(): ClientHead['headers'] {
    return this.head.headers
  }

  get headersDistinct(): ClientHead['headersDistinct'] {
    return this.head.headersDistinct
  }

  get httpVersion(): string {
    return this.head.httpVersion
  }

  get rawHeaders(): string[] {
    return this.head.rawHeaders
  }

  get socket(): Socket {
    return this.#host.socket
  }

  /** Whether the whole body was read. */
  get isWhole(): boolean {
    return this.#body.isWhole
  }

  /** Whether the body is being read. */
  get isReading(): boolean {
    return this.#sink !== undefined && !this.#body.isWhole
  }

  /** Whether the response is a stream whose client has stopped reading. */
  get isStalled(): boolean {
    return this.isStream && this.socket.writableNeedDrain
  }

  /** Receives the events of the connection. */
  listen(events: RequestEvents | undefined): void {
    this.#events = events
  }

  /** Returns a body of known length that has arrived completely; undefined when it has not. */
  arrivedBody(): Buffer | undefined {
    const { length } = this.head
    const { input } = this.#host
    if (length === 'chunked' || this.#sink !== undefined || input.length < length) return undefined
    if (this.#isBegun || this.#body.isWhole) return this.#body.isWhole ? EMPTY : undefined
    this.#body = WHOLE
    if (input.length === length) {
      this.#host.input = EMPTY
      return input
    }
    this.#host.input = input.subarray(length)
    return input.subarray(0, length)
  }

  /** Reads the body into the sink. */
  readBody(sink: BodySink): void {
    this.#sink = sink
    if (this.head.expectsContinue && this.#host.input.length === 0) this.socket.write(CONTINUE, 'latin1')
    this.#host.read()
  }

  /** Passes bytes of the body from the input to the sink. @throws Problem */
  take(sink: BodySink | undefined = this.#sink): void {
    if (sink === undefined || this.#body.isWhole) return
    const host = this.#host
    const { input } = host
    this.#isBegun = true
    const taken = this.#body.take(input, sink)
    host.input = taken === input.length ? EMPTY : input.subarray(taken)
    if (this.#body.isWhole) sink.end()
  }

  pauseBody(): void {
    this.#host.pause()
  }

  resumeBody(): void {
    this.#host.resume()
  }

  /** Reads no more of the body. */
  leaveBody(): void {
    this.#sink = undefined
  }

  /** Closes the connection after the response. */
  closeAfter(): void {
    this.#isLast = true
  }

  /**
   * Begins a response. Sends the head with the first bytes of the body, or at once if the body is a stream. `length` is undefined for a
   * response without a body.
   */
  respond(status: number, fields: string, length: Length, isStream = false): void {
    this.status = status
    if (this.#host.isClosing || isStream) this.#isLast = true
    // Skip a body that nobody reads, if it has arrived. If the body has not arrived, close the connection after this
    // request, because the rest of the body would precede the next request.
    if (this.#sink === undefined) this.arrivedBody()
    if (!this.#body.isWhole) this.#isLast = true
    const isCurrent = this.httpVersion === '1.1'
    // These responses have no body, so they have no last chunk either (RFC 9110 §6.4.1).
    if (length === 'chunked' && (status === 204 || status === 304)) length = undefined
    this.#isChunked = length === 'chunked' && isCurrent
    // HTTP/1.0 has no chunks: the end of the connection ends the body.
    if (length === 'chunked' && !isCurrent) this.#isLast = true
    let head = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? 'Unknown'}\r\n${fields}`
    if (this.#isChunked) head += 'transfer-encoding: chunked\r\n'
    else if (typeof length === 'number') head += `content-length: ${length}\r\n`
    if (this.#isLast) head += 'connection: close\r\n\r\n'
    else head += isCurrent ? '\r\n' : 'connection: keep-alive\r\n\r\n'
    this.#waiting = head
    this.isStream = isStream
    if (isStream) this.#flush()
  }

  /**
   * Sends bytes of the body, which are valid only during the call. Returns false when the caller should wait for
   * `drained` before it sends more.
   */
  data(bytes: Uint8Array): boolean {
    const { socket } = this
    if (bytes.length > COPIED_BYTES) {
      this.#flush()
      if (!this.#isChunked) return socket.write(Buffer.from(bytes))
    }
    const before = `${this.#waiting ?? ''}${this.#isChunked ? `${bytes.length.toString(16)}\r\n` : ''}`
    this.#waiting = undefined
    const after = this.#isChunked ? 2 : 0
    const whole = Buffer.allocUnsafe(before.length + bytes.length + after)
    whole.write(before, 'latin1')
    whole.set(bytes, before.length)
    if (after > 0) whole.write('\r\n', before.length + bytes.length, 'latin1')
    return socket.write(whole)
  }

  /** Ends the response. */
  end(): void {
    if (this.isOver) return
    this.#flush()
    if (this.#isChunked && this.method !== 'HEAD') this.socket.write(LAST_CHUNK, 'latin1')
    this.isOver = true
    this.#events = undefined
    this.#host.over(this.#isLast)
  }

  /** Sends a whole response. Rejects if the body cannot be compressed. */
  async answer(response: WireResponse): Promise<void> {
    const { status, headers, body } = response
    if (typeof body !== 'string' && !(body instanceof Uint8Array))
      throw new TypeError('expected a response that is complete')
    const packed = response.compressible === true ? await compress(this, headers, body) : body
    const bytes = typeof packed === 'string' ? Buffer.from(packed) : packed
    if (this.isOver) return
    // The client meant another server (RFC 9110 §15.5.20).
    if (status === 421) this.closeAfter()
    let fields = ''
    for (const [name, value] of Object.entries(headers)) {
      // Encoding as latin1 would change other characters: U+010A would become a line feed.
      if (!VALUE.test(value)) throw new TypeError(`${name}: expected printable ASCII`)
      fields += `${name}: ${value}\r\n`
    }
    this.respond(status, `${fields}date: ${httpDate()}\r\n`, bytes.length)
    if (this.method !== 'HEAD' && bytes.length > 0) this.data(bytes)
    this.end()
  }

  /** Closes the connection in the middle of the response, so that it does not look complete. */
  destroy(): void {
    this.socket.destroy()
  }

  /** Called when the socket has no more bytes to send. */
  drained(): void {
    this.#events?.taken()
  }

  /** Called when the connection closes, or can carry no more of the body. */
  gone(): void {
    const [sink, events] = [this.#sink, this.#events]
    this.isOver = true
    this.#sink = undefined
    this.#events = undefined
    if (!this.#body.isWhole) sink?.cut()
    events?.gone()
  }

  #flush(): void {
    if (this.#waiting !== undefined) this.socket.write(this.#waiting, 'latin1')
    this.#waiting = undefined
  }
}
