/** One connection: requests in, one after the other, each answered before the next is looked at (RFC 9112 §9.3.2). */
import type { Codec } from '@service-fs/tlog/codec'
import type { Budget } from '@service-fs/wire/body-limits'
import type { Wire } from '@service-fs/wire/handle'
import { hostName } from '@service-fs/wire/host-name'
import { Problem, problemOf, problemResponse } from '@service-fs/wire/problem'
import type { WireRequest, WireResponse } from '@service-fs/wire/request'
import { exactBuffer } from './codec.ts'
import type { Host, Limits } from './host.ts'
import { answerHead, httpDate, type Framing } from './http-answer.ts'
import { readBody, type BodyReader } from './http-body.ts'
import { parseHead, type Head } from './http-head.ts'
import { AnswerStream } from './http-stream.ts'

/** What all connections of a server have in common. */
export interface Shared {
  readonly wire: Pick<Wire, 'handle' | 'refusal' | 'bodyLimit'>
  readonly net: Pick<Host, 'netSend' | 'netClose' | 'netPause' | 'netResume'>
  readonly codec: Codec
  readonly limits: Limits
  /** Of request bodies. */
  readonly bodies: Budget
  /** Bytes of answers that wait to go out. */
  waiting: number
  isClosing: boolean
  /** Milliseconds since 1970; milliseconds of a clock that never steps. */
  now(): number
  monotonic(): number
  /** Whether requests may be for that host name. */
  accepts(host: string): boolean
  answered(method: string, status: number, milliseconds: number): void
  report(error: unknown): void
  /** The connection is over as far as this side is concerned. */
  over(id: number): void
}

/**
 * `head`: waiting for a request or in the middle of its head. `body`: in the middle of its body. `busy`: answering it. `linger`: the
 * answer was the last; what still comes is passed over, so that the peer finds the answer before the connection ends.
 */
type State = 'head' | 'body' | 'busy' | 'linger' | 'closed'

const CR = 13
const LF = 10
const NONE = new Uint8Array(0)
/** Empty lines before a request that are passed over. */
const MAX_SKIPPED = 8
/** How long a peer that goes on sending may take to find the answer: since it sent last, and in all. */
const LINGER_MS = 1000
const LINGER_MAX_MS = 10_000
/** Larger bodies are sent behind their head, not copied together with it. */
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
  /** What came and was not looked at, or belongs to a head that is not whole. */
  #input: Uint8Array = NONE
  /** In #input: where the line begins that is not whole, and how far its end was looked for. */
  #line = 0
  #scanned = 0
  /** Empty lines that came before the request; some old clients end a body with one (RFC 9112 §2.2). */
  #skipped = 0
  /** The peer has sent all that it will. */
  #hasEnded = false
  #isPaused = false
  #request: { head: Head; request: Request; reader: BodyReader | undefined } | undefined
  /** What makes the answer, when that goes on until the peer or the server ends it. */
  #stream: AnswerStream | undefined
  /** Whether the connection ends with the answer. */
  #isLast = false
  /** Whether the request's body is left where it is. */
  #isUnread = false
  #hasBegun = false
  /** Bytes that wait to go out, and who waits for that. */
  #waiting = 0
  #drained: (() => void) | undefined
  /** When the request began to come, when something went on last, on the monotonic clock. */
  #began: number
  #active: number
  #lingers = 0

  constructor(id: number, shared: Shared) {
    this.#id = id
    this.#shared = shared
    this.#active = shared.monotonic()
    this.#began = this.#active
  }

  /** Whether no head of a request has come whole yet. */
  get isSilent(): boolean {
    return this.#state === 'head' && !this.#hasBegun
  }

  /** Whether it waits for a request, or for the rest of its head. */
  get isIdle(): boolean {
    return this.#state === 'head'
  }

  /** Bytes of the peer; none: it has sent all. */
  data(bytes: Uint8Array): void {
    const now = this.#shared.monotonic()
    if (this.#state === 'head' && this.#input.length === 0) this.#began = now
    this.#active = now
    if (bytes.length === 0) this.#hasEnded = true
    else if (this.#state !== 'linger') this.#input = joined(this.#input, bytes)
    if (this.#hasEnded && (this.#state === 'linger' || this.#stream !== undefined)) this.#close()
    else this.#advance()
  }

  /** All that was sent is out. */
  writable(): void {
    this.#active = this.#shared.monotonic()
    this.#shared.waiting -= this.#waiting
    this.#waiting = 0
    const drained = this.#drained
    this.#drained = undefined
    drained?.()
  }

  /** The connection is gone. */
  gone(): void {
    if (this.#state === 'body') this.#release()
    this.#state = 'closed'
    this.#input = NONE
    this.#endStream()
    this.writable()
  }

  /** Looks whether the peer took too long. */
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

  /** No further requests; what is under way is answered. A stream is not waited for whose peer does not take it. */
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

  /** Goes through the lines that are whole. False: the head is not. @throws Problem */
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
        throw notHttp(`expected a request line behind at most ${MAX_SKIPPED} empty lines`)
    }
  }

  /** A head is there. False: nothing more is to be taken now. @throws Problem */
  #begin(head: Head): boolean {
    this.#hasBegun = true
    this.#skipped = 0
    const request = new Request(head)
    this.#request = { head, request, reader: undefined }
    this.#isLast = !head.keepAlive
    this.#checkHost(head)
    const { wire, bodies, limits } = this.#shared
    // A body that says nothing, and that of a request which its head condemns, is not read, and so the connection ends here.
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

  /** False: the body is not whole. @throws Problem */
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

  /** A whole answer that goes out at once costs no promise. */
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

  /** How long a stream goes on says nothing: its answer counts as given when it begins. */
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

  /** The connection ends with it: what goes on for hours is not waited behind. A peer that ends its side has gone. */
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

  /** Nobody takes any more of it. */
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
    // From here on the peer has to take it.
    if (this.#waiting === 0) this.#active = this.#shared.monotonic()
    this.#waiting += bytes.length
    this.#shared.waiting += bytes.length
  }

  /** The request is answered. */
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

  /** Answers a request that cannot be taken, and ends the connection: where the next request would begin is not known. */
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

/** Bytes as text, one character each. */
function latin1(bytes: Uint8Array, codec: Codec): string {
  try {
    const text = codec.utf8Decode(bytes)
    if (text.length === bytes.length) return text
  } catch {
    // Not UTF-8: then it is not ASCII either.
  }
  let text = ''
  for (let at = 0; at < bytes.length; at += 1024)
    text += String.fromCharCode(...bytes.subarray(at, at + 1024))
  return text
}

function notHttp(detail: string): Problem {
  return new Problem('bad-request', `not an HTTP/1.1 request: ${detail}`)
}

function tooSlow(): Problem {
  return new Problem('busy', 'too many responses wait: try again later')
}
