/** For tests: an HTTP server over connections and a clock that the test controls. */
import { pureCodec } from '@service-fs/tlog/codec'
import type { WireRequest, WireResponse } from '@service-fs/wire/request'
import type { Limits } from './host.ts'
import { HttpServer } from './http-server.ts'
import { DEFAULT_LIMITS } from './limits.ts'
import { Timers } from './timers.ts'

/** A request as the wire received it. */
export interface Seen {
  method: string
  target: string
  headers: Record<string, string | undefined>
  body: string
}

/** The events on one connection. */
export class Peer {
  readonly id: number
  readonly #http: TestHttp
  /** The bytes sent to the peer, one character each. */
  received = ''
  isClosed = false
  isPaused = false

  constructor(id: number, http: TestHttp) {
    this.id = id
    this.#http = http
  }

  /** Sends bytes, one character each. */
  send(text: string): void {
    this.sendBytes(pureBytes(text))
  }

  sendBytes(bytes: Uint8Array): void {
    this.#http.server.data(this.id, bytes)
  }

  /** Ends the peer's side. */
  end(): void {
    this.#http.server.data(this.id, new Uint8Array(0))
  }

  /** Disconnects. */
  vanish(): void {
    this.#http.server.closed(this.id)
  }

  /** Reads all bytes that were sent. */
  drain(): void {
    this.#http.server.writable(this.id)
  }
}

export type Answer = (request: WireRequest) => Promise<WireResponse>

const WATCHED = ['host', 'content-type', 'x-payload-id', 'x-a', 'transfer-encoding', 'content-length']

export class TestHttp {
  readonly server: HttpServer
  readonly seen: Seen[] = []
  readonly peers: Peer[] = []
  readonly reports: unknown[] = []
  readonly answered: string[] = []
  readonly #timers: Timers
  time = 1_800_000_000_000
  /** The result of netSend(): whether more may be sent at once. */
  hasRoom = true
  /** Makes the answer: by default the method, the target and the length of the body. */
  answer: Answer = async ({ method, target, body }) => ({
    status: 200,
    headers: { 'content-type': 'text/plain' },
    body: `${method} ${target} ${body.length}`,
  })

  constructor(limits: Partial<Limits> = {}, bodyLimit: number = 1000) {
    this.#timers = new Timers({ monotonic: () => this.time, timer: () => undefined })
    this.server = new HttpServer({
      wire: {
        handle: (request) => this.#handle(request),
        refusal: () => undefined,
        bodyLimit: () => bodyLimit,
      },
      net: {
        netSend: (id, bytes) => {
          const peer = this.#peer(id)
          if (peer.isClosed) throw new Error('sent after close')
          for (const byte of new Uint8Array(bytes)) peer.received += String.fromCharCode(byte)
          return this.hasRoom
        },
        netClose: (id) => {
          if (this.#peer(id).isClosed) throw new Error('closed twice')
          this.#peer(id).isClosed = true
        },
        netPause: (id) => {
          this.#peer(id).isPaused = true
        },
        netResume: (id) => {
          this.#peer(id).isPaused = false
        },
      },
      codec: pureCodec,
      limits: { ...DEFAULT_LIMITS, ...limits },
      now: () => this.time,
      monotonic: () => this.time,
      after: (ms, run) => this.#timers.after(ms, run),
      accepts: (name) => name === 'localhost' || name === '::1',
      answered: (method, status) => this.answered.push(`${method} ${status}`),
      report: (error) => this.reports.push(error),
    })
  }

  connect(): Peer {
    const peer = new Peer(this.peers.length, this)
    this.peers.push(peer)
    this.server.opened(peer.id)
    return peer
  }

  /** Lets `ms` milliseconds pass. */
  advance(ms: number): void {
    for (let left = ms; left > 0; left -= 100) {
      this.time += Math.min(100, left)
      this.#timers.tick()
    }
  }

  #peer(id: number): Peer {
    const peer = this.peers[id]
    if (peer === undefined) throw new Error(`no connection ${id}`)
    return peer
  }

  #handle(request: WireRequest): Promise<WireResponse> {
    const { method, target, body } = request
    const headers: Seen['headers'] = {}
    for (const name of WATCHED) headers[name] = request.header(name)
    let text = ''
    for (const byte of body) text += String.fromCharCode(byte)
    this.seen.push({ method, target, headers, body: text })
    return this.answer(request)
  }
}

/** Returns one byte for each character. */
export function pureBytes(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0))
}

/** Waits until pending promise callbacks have run. */
export async function settled(): Promise<void> {
  for (let i = 0; i < 50; i++) await Promise.resolve()
}
