/** One connection. It answers each request before it parses the next one (RFC 9112 §9.3.2). */
import type { Codec } from '@service-fs/tlog/codec'
import type { Budget } from '@service-fs/wire/body-limits'
import type { Wire } from '@service-fs/wire/handle'
import { hostName } from '@service-fs/wire/host-name'
import { notHttp } from '@service-fs/wire/http-syntax'
import { Problem, problemOf, problemResponse } from '@service-fs/wire/problem'
import type { WireRequest, WireResponse } from '@service-fs/wire/request'
import { exactBuffer } from './codec.ts'
import type { Host, Limits } from './host.ts'
import { answerHead, httpDate, type Framing } from './http-answer.ts'
import { readBody, type BodyReader } from './http-body.ts'
import { parseHead, type Head } from './http-head.ts'
import { AnswerStream } from './http-stream.ts'

/** The state that all connections of a server share. */
export interface Shared {
  readonly wire: Pick<Wire, 'handle' | 'refusal' | 'bodyLimit'>
  readonly net: Pick<Host, 'netSend' | 'netClose' | 'netPause' | 'netResume'>
  readonly codec: Codec
  readonly limits: Limits
  /** The budget of request bodies. */
  readonly bodies: Budget
  /** Bytes of answers that wait to be sent. */
  waiting: number
  isClosing: boolean
  /** Returns the milliseconds since 1970, and those of a clock that never steps. */
  now(): number
  monotonic(): number
  /** Reports whether requests may have that host name. */
  accepts(host: string): boolean
  answered(method: string, status: number, milliseconds: number): void
  report(error: unknown): void
  /** Called when this side has closed the connection. */
  over(id: number): void
}

/**
 * `head`: waiting for a request, or in its head. `body`: in its body. `busy`: answering it. `linger`: the last answer is sent;
 * further bytes are ignored, so that the peer can read the answer before the connection closes.
 */
type State = 'head' | 'body' | 'busy' | 'linger' | 'closed'

const CR = 13
const LF = 10
const NONE = new Uint8Array(0)
/** The most empty lines to skip before a request. */
const MAX_SKIPPED = 8
/** How long to wait for a peer to read the last answer: after its last bytes, and in all. */
const LINGER_MS = 1000
const LINGER_MAX_MS = 10_000
/** Larger bodies are sent separately from their head, not copied together with it. */
const JOIN_BYTES = 64 * 1024

class Request implements WireRequest {
  readonly method: string
  readonly target: string
  body: Uint8Array = NONE
  readonly #headers: ReadonlyMap<string, string>

  constructor({ method, target, headers }: Head) {
    this.method = method
    this.target = target
    this.#headers = headers
  }

  header(name: string): string | undefined {
    return this.#headers.get(name)
  }
}

export class Connection {
  readonly #id: number
  readonly #shared: Shared
  #state: State = 'head'
  /** Bytes that are not parsed yet, or belong to an incomplete head. */
  #input: Uint8Array = NONE
  /** Offsets in #input: the beginning of the incomplete line, and how far it was searched for its end. */
  #line = 0
  #scanned = 0
  /** The empty lines skipped before the request; some old clients end a body with one (RFC 9112 §2.2). */
  #skipped = 0
  /** Whether the peer has ended its side. */
  #hasEnded = false
  #isPaused = false
  #request: { head: Head; request: Request; reader: BodyReader | undefined } | undefined
  /** The answer under way, if it is a stream. */
  #stream: AnswerStream | undefined
  /** Whether the connection closes after the answer. */
  #isLast = false
  /** Whether the request's body is not read. */
  #isUnread = false
  #hasBegun = false
  /** The bytes that wait to be sent, and the function to call when they are sent. */
  #waiting = 0
  #drained: (() => void) | undefined
  /** When the request began to arrive, and the last activity, on the monotonic clock. */
  #began: number
  #active: number
  #lingers = 0

  constructor(id: number, shared: Shared) {
    this.#id = id
    this.#shared = shared
    this.#active = shared.monotonic()
    this.#began = this.#active
  }

  /** Whether no complete head has arrived yet. */
  get isSilent(): boolean {
    return this.#state === 'head' && !this.#hasBegun
  }

  /** Whether the connection waits for a request, or for the rest of its head. */
  get isIdle(): boolean {
    return this.#state === 'head'
  }

  /** Receives the peer's bytes. No bytes mean that the peer has ended its side. */
  data(bytes: Uint8Array): void {
    const now = this.#shared.monotonic()
    if (this.#state === 'head' && this.#input.length === 0) this.#began = now
    this.#active = now
    if (bytes.length === 0) this.#hasEnded = true
    else if (this.#state !== 'linger') this.#input = joined(this.#input, bytes)
    if (this.#hasEnded && (this.#state === 'linger' || this.#stream !== undefined)) this.#close()
    else this.#advance()
  }

  /** Called when all queued bytes are sent. */
  writable(): void {
    this.#active = this.#shared.monotonic()
    this.#shared.waiting -= this.#waiting
    this.#waiting = 0
    const drained = this.#drained
    this.#drained = undefined
    drained?.()
  }

  /** Called when the connection is closed. */
  gone(): void {
    if (this.#state === 'body') this.#release()
    this.#state = 'closed'
    this.#input = NONE
    this.#endStream()
    this.writable()
  }

  /** Closes the connection if the peer takes too long. */
  check(now: number): void {
    const { headTimeout, requestTimeout, idleTimeout } = this.#shared.limits
    const idle = now - this.#active
    const age = now - this.#began
    if (this.#state === 'linger') {
      if (idle >= LINGER_MS || now - this.#lingers >= LINGER_MAX_MS) this.#close()
    } else if (this.#state === 'busy') {
      if (this.#waiting > 0 && idle >= idleTimeout) this.#close()
    } else if (this.#state === 'head' && this.#input.length === 0) {
      if (idle >= idleTimeout) this.#close()
    } else if (age >= (this.#state === 'head' ? headTimeout : requestTimeout) || idle >= idleTimeout) {
      this.#refuse(new Problem('timeout', 'the request did not arrive in time'))
    }
  }

  /** Accepts no more requests, but answers the request under way. Does not wait for a stream that its peer does not read. */
  stop(): void {
    const isStalled = this.#stream !== undefined && this.#waiting > 0
    if (isStalled || (this.#state === 'head' && this.#input.length === 0)) this.#close()
  }

  cutOff(): void {
    this.#close()
  }

  #advance(): void {
    try {
      while ((this.#state === 'head' && this.#takeHead()) || (this.#state === 'body' && this.#takeBody()));
    } catch (error) {
      this.#refuse(problemOf(error))
    }
    if (this.#hasEnded && (this.#state === 'head' || this.#state === 'body')) this.#close()
    else if (this.#state === 'busy' && this.#input.length > 0) this.#pause(true)
  }

  #pause(pause: boolean): void {
    if (pause === this.#isPaused) return
    this.#isPaused = pause
    if (pause) this.#shared.net.netPause(this.#id)
    else this.#shared.net.netResume(this.#id)
  }

  /** Parses the complete lines. Returns false if the head is incomplete. @throws Problem */
  #takeHead(): boolean {
    const { requestLine, head: limit } = this.#shared.limits
    for (;;) {
      const lf = this.#input.indexOf(LF, this.#scanned)
      const end = lf < 0 ? this.#input.length : lf + 1
      if (this.#line === 0 && end > requestLine)
        throw new Problem('target-too-long', `the request line: expected at most ${requestLine} bytes`)
      if (end > limit)
        throw new Problem('headers-too-large', `the head of a request: expected at most ${limit} bytes`)
      this.#scanned = end
      if (lf < 0) return false
      if (this.#input[lf - 1] !== CR) throw notHttp('expected CR LF at the end of a line')
      const line = this.#line
      this.#line = end
      if (lf - line > 1) continue
      const text = line > 0 ? latin1(this.#input.subarray(0, line - 2), this.#shared.codec) : ''
      this.#input = this.#input.subarray(end)
      this.#line = 0
      this.#scanned = 0
      if (line > 0) return this.#begin(parseHead(text))
      if (++this.#skipped > MAX_SKIPPED)
        throw notHttp(`expected a request line after at most ${MAX_SKIPPED} empty lines`)
    }
  }

  /** Begins a request. Returns false if no more input may be parsed now. @throws Problem */
  #begin(head: Head): boolean {
    this.#hasBegun = true
    this.#skipped = 0
    const request = new Request(head)
    this.#request = { head, request, reader: undefined }
    this.#isLast = !head.keepAlive
    this.#checkHost(head)
    const { wire, bodies, limits } = this.#shared
    // Do not read a body that has no meaning, or the body of a request that the wire refuses by its head. Close the connection instead.
    if (head.method !== 'POST' || wire.refusal(request) !== undefined) {
      this.#isUnread = head.length !== 0
      if (this.#isUnread) this.#isLast = true
      return this.#respond()
    }
    const reader = readBody(head.length, wire.bodyLimit(request), bodies, limits.head)
    this.#request.reader = reader
    if (reader.isWhole) return this.#respond()
    if (head.expectsContinue) this.#send(this.#shared.codec.asciiEncode('HTTP/1.1 100 Continue\r\n\r\n'))
    this.#state = 'body'
    return true
  }

  #checkHost({ host }: Head): void {
    const name = hostName(host)
    if (this.#shared.accepts(name)) return
    throw new Problem(
      'misdirected',
      `Host: expected a loopback address or localhost, found ${name.slice(0, 100)}`,
    )
  }

  /** Takes bytes of the body. Returns false if it is incomplete. @throws Problem */
  #takeBody(): boolean {
    const reader = this.#request?.reader
    if (reader === undefined) throw new Error('a body without a request')
    const taken = reader.take(this.#input)
    this.#input = taken === this.#input.length ? NONE : this.#input.subarray(taken)
    return reader.isWhole && this.#respond()
  }

  #respond(): boolean {
    const shared = this.#shared
    const { request, reader } = this.#request as { request: Request; reader: BodyReader | undefined }
    this.#state = 'busy'
    if (reader !== undefined) request.body = reader.body
    const started = shared.monotonic()
    const isTooMuch = shared.waiting > shared.limits.answers
    const handled = isTooMuch ? Promise.resolve(problemResponse(tooSlow())) : shared.wire.handle(request)
    handled
      .then((response) => this.#answer(response, started))
      .catch((error: unknown) => {
        shared.report(error)
        this.#release()
        this.#close()
      })
    return false
  }

  /** Sends an answer. A body that is sent at once needs no promise. */
  #answer(response: WireResponse, started: number): void | Promise<void> {
    const { body } = response
    if (this.#shared.isClosing) this.#isLast = true
    if (typeof body !== 'string' && !(body instanceof Uint8Array))
      return this.#streamed(response, body, started)
    if (this.#state !== 'closed') this.#sendWhole(response, body)
    if (this.#waiting === 0) return this.#answered(response, started)
    return this.#whenDrained().then(() => this.#answered(response, started))
  }

  #answered({ status }: WireResponse, started: number): void {
    const shared = this.#shared
    shared.answered(this.#request?.request.method ?? '', status, shared.monotonic() - started)
    this.#release()
    this.#next()
  }

  /** A stream's duration is not a latency, so report the answer when the stream begins. */
  async #streamed(
    response: WireResponse,
    body: AsyncIterable<string | Uint8Array>,
    started: number,
  ): Promise<void> {
    const shared = this.#shared
    shared.answered(this.#request?.request.method ?? '', response.status, shared.monotonic() - started)
    await this.#sendStream(response, body)
    this.#release()
    this.#next()
  }

  #whenDrained(): Promise<void> {
    return new Promise((resolve) => (this.#drained = resolve))
  }

  #sendWhole(response: WireResponse, body: string | Uint8Array): void {
    const { codec } = this.#shared
    const bytes = typeof body === 'string' ? codec.utf8Encode(body) : body
    const head = codec.utf8Encode(answerHead(response, this.#framing(bytes.length)))
    if (this.#request?.request.method === 'HEAD') {
      this.#send(head)
    } else if (bytes.length <= JOIN_BYTES) {
      this.#send(codec.concat(head, bytes))
    } else {
      this.#send(head)
      this.#send(bytes)
    }
  }

  /** Sends a stream. A stream may last for hours, so a peer that ends its side counts as gone. */
  async #sendStream(response: WireResponse, body: AsyncIterable<string | Uint8Array>): Promise<void> {
    const { codec } = this.#shared
    const isHead = this.#request?.request.method === 'HEAD'
    const isChunked = this.#request?.head.isCurrent !== false
    if (!isHead || !isChunked) this.#isLast = true
    this.#send(codec.utf8Encode(answerHead(response, this.#framing(isChunked ? 'chunked' : 'close'))))
    if (isHead) return
    this.#stream = new AnswerStream(body, {
      codec,
      isChunked,
      send: async (bytes) => {
        this.#send(bytes)
        if (this.#waiting > 0) await this.#whenDrained()
      },
    })
    if (this.#hasEnded) this.#close()
    if (this.#isClosed()) this.#endStream()
    await this.#stream?.run()
    this.#stream = undefined
  }

  /** Ends the stream, because the peer reads no more of it. */
  #endStream(): void {
    const stream = this.#stream
    this.#stream = undefined
    stream?.end().catch((error: unknown) => this.#shared.report(error))
  }

  #isClosed(): boolean {
    return this.#state === 'closed'
  }

  #framing(length: Framing['length']): Framing {
    const kept = this.#request?.head.isCurrent === false ? 'keep-alive' : undefined
    return { length, date: httpDate(this.#shared.now()), connection: this.#isLast ? 'close' : kept }
  }

  #send(bytes: Uint8Array): void {
    if (this.#state === 'closed') return
    if (this.#shared.net.netSend(this.#id, exactBuffer(bytes))) return
    // The idle timeout starts now: the peer must read these bytes.
    if (this.#waiting === 0) this.#active = this.#shared.monotonic()
    this.#waiting += bytes.length
    this.#shared.waiting += bytes.length
  }

  /** Continues after an answer. */
  #next(): void {
    this.#request = undefined
    if (this.#state === 'closed') return
    if (this.#isLast) {
      this.#linger(this.#isUnread)
      return
    }
    this.#state = 'head'
    this.#active = this.#shared.monotonic()
    this.#began = this.#active
    this.#pause(false)
    this.#advance()
  }

  /** Answers an invalid request, and closes the connection, because the start of the next request is unknown. */
  #refuse(problem: Problem): void {
    this.#release()
    if (this.#state === 'closed') return
    this.#isLast = true
    const response = problemResponse(problem)
    this.#sendWhole(response, response.body)
    this.#shared.answered(this.#request?.request.method ?? '', response.status, 0)
    this.#linger(true)
  }

  #linger(mayBeMore: boolean): void {
    this.#input = NONE
    if (!mayBeMore || this.#hasEnded) {
      this.#close()
      return
    }
    this.#state = 'linger'
    this.#lingers = this.#shared.monotonic()
    this.#active = this.#lingers
    this.#pause(false)
  }

  #release(): void {
    const reader = this.#request?.reader
    if (reader === undefined || this.#request === undefined) return
    this.#request.reader = undefined
    this.#shared.bodies.release(reader.held)
  }

  #close(): void {
    if (this.#state === 'closed') return
    this.#release()
    this.#state = 'closed'
    this.#input = NONE
    this.#shared.net.netClose(this.#id)
    this.#shared.over(this.#id)
    this.#endStream()
    this.writable()
  }
}

function joined(a: Uint8Array, b: Uint8Array): Uint8Array {
  if (a.length === 0) return b
  const bytes = new Uint8Array(a.length + b.length)
  bytes.set(a)
  bytes.set(b, a.length)
  return bytes
}

/** Decodes bytes, one character each. */
function latin1(bytes: Uint8Array, codec: Codec): string {
  try {
    const text = codec.utf8Decode(bytes)
    if (text.length === bytes.length) return text
  } catch {
    // Bytes that are not UTF-8 are not ASCII either.
  }
  let text = ''
  for (let at = 0; at < bytes.length; at += 1024)
    text += String.fromCharCode(...bytes.subarray(at, at + 1024))
  return text
}

function tooSlow(): Problem {
  return new Problem('busy', 'too many responses wait: try again later')
}
