/** A client's connection to the front. It answers each request before it begins the next one (RFC 9112 §9.3.2). */
import { performance } from 'node:perf_hooks'
import type { Socket } from 'node:net'
import { LINGER_MAX_MS, LINGER_MS } from '@service-fs/http/answer'
import { MAX_REQUEST_LINE } from '@service-fs/http/head'
import { refusal } from '@service-fs/http/refuse'
import { notHttp } from '@service-fs/wire/http-syntax'
import { Problem, problemOf } from '@service-fs/wire/problem'
import { parseClientHead, type ClientHead } from './client-head.ts'
import { ClientRequest, type RequestHost } from './client-request.ts'

/** The timeouts (in milliseconds) and size limits (in bytes) of a listener's connections. */
export interface ClientLimits {
  maxHeaderBytes: number
  headersTimeout: number
  requestTimeout: number
  keepAliveTimeout: number
}

/** The state and the callbacks that all connections of a listener share. */
export interface ClientShared {
  readonly limits: ClientLimits
  isClosing: boolean
  /** Called when a complete head has arrived; it calls `start` when the request may begin. */
  began(socket: Socket, start: () => void): void
  /** Called when the connection waits for the next request. */
  rested(socket: Socket): void
  handle(request: ClientRequest): void
  report(error: unknown): void
}

/**
 * `head`: the next bytes belong to the head of a request. `linger`: the last response is sent, and further bytes are
 * ignored.
 */
type State = 'head' | 'request' | 'linger' | 'closed'

const EMPTY: Buffer = Buffer.alloc(0)
const HEAD_END = '\r\n\r\n'
const CR = 13
const LF = 10
/** The most empty lines before a request. */
const MAX_EMPTY_LINES = 8
/** The most requests that a client may send without waiting for a response. */
const MAX_PIPELINED = 64
/** The longest head that a connection remembers, because clients repeat their heads. */
const MAX_REMEMBERED = 2048

export class ClientConnection implements RequestHost {
  readonly socket: Socket
  readonly #shared: ClientShared
  input: Buffer = EMPTY
  #state: State = 'head'
  #request: ClientRequest | undefined
  /** The newest head and its bytes. */
  #head: ClientHead | undefined
  #headBytes: Buffer = EMPTY
  #emptyLines = 0
  /** The number of requests since bytes last arrived. */
  #pipelined = 0
  #isAdvancing = false
  #isPaused = false
  #hasEnded = false
  /**
   * `#began`: when the connection began to wait for a request, received its first byte, or began to linger. `#lingers`: when
   * the client had taken the last response. `#active`: when bytes last arrived.
   */
  #began = performance.now()
  #lingers = 0
  #active = 0

  constructor(socket: Socket, shared: ClientShared) {
    this.socket = socket
    this.#shared = shared
    socket.on('data', (bytes: Buffer) => this.#data(bytes))
    socket.on('end', () => this.#ended())
    socket.on('drain', () => {
      if (this.#request !== undefined) this.#request.drained()
      else if (this.#state === 'head') this.#next()
    })
    socket.on('timeout', () => this.#idle())
    // 'close' follows.
    socket.on('error', () => undefined)
  }

  get isClosing(): boolean {
    return this.#shared.isClosing
  }

  /** Called when the socket is closed. */
  gone(): void {
    this.#state = 'closed'
    this.input = EMPTY
    const request = this.#request
    this.#request = undefined
    request?.gone()
  }

  /** Closes the connection if the client is too slow. */
  check(now: number): void {
    const { headersTimeout, requestTimeout, keepAliveTimeout } = this.#shared.limits
    if (this.#state === 'linger') {
      // The idle timeout does not end a client that sends bytes but reads none.
      if (now - this.#began >= requestTimeout) this.socket.destroy()
      else if (this.socket.writableLength > 0) this.#active = this.#lingers = now
      else if (now - this.#active >= LINGER_MS || now - this.#lingers >= LINGER_MAX_MS) this.socket.destroy()
    } else if (this.#state === 'head') {
      const waits = now - this.#began
      // The client has not read the responses to its earlier requests. The idle timeout limits a client that does nothing.
      if (this.socket.writableNeedDrain) {
        if (waits >= requestTimeout) this.socket.destroy()
      } else if (this.input.length === 0 && waits >= keepAliveTimeout) this.socket.destroySoon()
      else if (this.input.length > 0 && waits >= headersTimeout) this.#late()
    } else if (this.#request?.isReading === true && now - this.#began >= requestTimeout) this.#late()
  }

  /** Begins no more requests, but answers the one under way. Does not wait for a stream that its client does not read. */
  stop(): void {
    if (this.#request?.isStalled === true || this.socket.bytesRead === 0) this.socket.destroy()
    else if (this.#state === 'head' && this.input.length === 0) this.socket.destroySoon()
  }

  read(): void {
    this.resume()
    this.#advance()
  }

  pause(): void {
    if (this.#isPaused) return
    this.#isPaused = true
    this.socket.pause()
  }

  resume(): void {
    if (!this.#isPaused) return
    this.#isPaused = false
    this.socket.resume()
  }

  /** Continues after a response. */
  over(isLast: boolean): void {
    if (this.#state === 'closed') return
    this.#request?.leaveBody()
    this.#request = undefined
    this.#shared.rested(this.socket)
    if (isLast || this.#hasEnded) {
      this.#linger()
      return
    }
    this.#state = 'head'
    if (this.socket.writableNeedDrain) {
      this.#began = performance.now()
      this.pause()
    } else this.#next()
  }

  /** Begins the next request when the client has taken the responses before it. */
  #next(): void {
    this.#began = performance.now()
    this.resume()
    this.#advance()
  }

  #data(bytes: Buffer): void {
    if (this.#state === 'closed') return
    if (this.#state === 'linger') {
      this.#active = performance.now()
      return
    }
    if (this.#state === 'head' && this.input.length === 0) this.#began = performance.now()
    this.#pipelined = 0
    this.input = this.input.length === 0 ? bytes : Buffer.concat([this.input, bytes])
    this.#advance()
  }

  /** The client has ended its side. It still reads the response to a request that has arrived. */
  #ended(): void {
    this.#hasEnded = true
    const request = this.#request
    if (request === undefined) this.socket.destroySoon()
    else if (request.isStream || request.isReading) this.socket.destroy()
  }

  /** Called when nothing was read or written for the idle timeout. */
  #idle(): void {
    const request = this.#request
    if (request === undefined) {
      if (this.#state === 'head' && this.input.length > 0 && !this.socket.writableNeedDrain) this.#late()
      else this.socket.destroy()
    } else if (request.isReading && !this.#isPaused) this.#late()
    else if (this.socket.writableLength > 0) this.socket.destroy()
  }

  #late(): void {
    this.#refuse(new Problem('timeout', 'the request did not arrive in time'))
  }

  #advance(): void {
    if (this.#isAdvancing || (this.#state === 'head' && this.socket.writableNeedDrain)) return
    this.#isAdvancing = true
    try {
      while (this.#state === 'head' && !this.socket.writableNeedDrain && this.#takeHead());
      if (this.#state === 'request') this.#request?.take()
    } catch (error) {
      this.#refuse(problemOf(error))
    }
    this.#isAdvancing = false
    if (this.#hasEnded && this.#request?.isReading === true) this.socket.destroy()
    else if (this.#state === 'request' && this.input.length > 0) this.pause()
  }

  /** Begins a request if its head is complete. Returns false if not. @throws Problem */
  #takeHead(): boolean {
    if (this.input.length === 0) return false
    const length = this.#headBytes.length
    if (
      length > 0 &&
      this.input.length >= length &&
      this.input.compare(this.#headBytes, 0, length, 0, length) === 0
    ) {
      this.#drop(length)
      this.#begin(this.#head as ClientHead)
      return true
    }
    if (!this.#skipEmptyLines()) return false
    const { maxHeaderBytes } = this.#shared.limits
    const end = this.input.indexOf(HEAD_END, 0, 'latin1')
    if (end < 0 || end > maxHeaderBytes) {
      this.#checkLines(Math.min(this.input.length, maxHeaderBytes))
      if (this.input.length <= maxHeaderBytes) return false
      throw new Problem('headers-too-large', 'the header fields of a request are limited')
    }
    const bytes = this.input.subarray(0, end + HEAD_END.length)
    this.#head = parseClientHead(this.input.toString('latin1', 0, end), this.#head)
    this.#headBytes = bytes.length <= MAX_REMEMBERED ? Buffer.from(bytes) : EMPTY
    this.#drop(bytes.length)
    this.#begin(this.#head)
    return true
  }

  /** Drops the first bytes of the input. An idle connection keeps no buffer. */
  #drop(length: number): void {
    this.input = length === this.input.length ? EMPTY : this.input.subarray(length)
  }

  /** Skips empty lines before a request (RFC 9112 §2.2). Returns false if no other bytes have arrived. @throws Problem */
  #skipEmptyLines(): boolean {
    while (this.input[0] === CR && (this.input.length < 2 || this.input[1] === LF)) {
      if (this.input.length < 2) return false
      if (++this.#emptyLines > MAX_EMPTY_LINES)
        throw notHttp(`expected a request line after at most ${MAX_EMPTY_LINES} empty lines`)
      this.input = this.input.subarray(2)
    }
    return this.input.length > 0
  }

  /** Checks the first bytes of a head that is not complete, so that the client learns of errors at once. @throws Problem */
  #checkLines(length: number): void {
    let line = 0
    for (let lf = this.input.indexOf(LF); lf >= 0 && lf < length; lf = this.input.indexOf(LF, line)) {
      if (this.input[lf - 1] !== CR) throw notHttp('expected CR LF at the end of a line')
      line = lf + 1
    }
    if (line === 0 && length > MAX_REQUEST_LINE)
      throw new Problem('target-too-long', `the request line: expected at most ${MAX_REQUEST_LINE} bytes`)
  }

  #begin(head: ClientHead): void {
    this.#emptyLines = 0
    this.#state = 'request'
    if (++this.#pipelined > MAX_PIPELINED) {
      this.socket.destroy()
      return
    }
    const request = new ClientRequest(head, this)
    this.#request = request
    this.#shared.began(this.socket, () => {
      if (this.#request !== request) return
      try {
        this.#shared.handle(request)
      } catch (error) {
        this.#shared.report(error)
        this.socket.destroy()
      }
    })
  }

  /** Answers bytes that are not a request, and closes the connection, because the start of the next request is unknown. */
  #refuse(problem: Problem): void {
    const request = this.#request
    if (this.#state === 'closed' || this.#state === 'linger') return
    this.input = EMPTY
    if (request?.status !== undefined) {
      // The response began before the end of the body, so it is the last one of this connection.
      request.leaveBody()
      return
    }
    this.#request = undefined
    request?.gone()
    if (request !== undefined) this.#shared.rested(this.socket)
    this.socket.write(refusal(problem), 'utf8')
    this.#linger()
  }

  /** Closes the connection after the client has read the last response. Closing at once could discard it. */
  #linger(): void {
    this.input = EMPTY
    this.#headBytes = EMPTY
    if (this.#hasEnded) {
      this.#state = 'closed'
      this.socket.destroySoon()
      return
    }
    this.#state = 'linger'
    this.#began = this.#lingers = this.#active = performance.now()
    this.resume()
    this.socket.end()
  }
}
