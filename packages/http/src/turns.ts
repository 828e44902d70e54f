/**
 * Answers the requests of a connection in order (RFC 9112 §9.3.2): each response ends before the next request begins, and invalid bytes
 * are refused after the requests before them are answered. Node.js's parser emits all requests of a read at once.
 */
import { ServerResponse, type IncomingMessage, type Server } from 'node:http'
import type { Duplex } from 'node:stream'
import type { Socket } from 'node:net'
import type { Problem } from '@service-fs/wire/problem'
import { Arrivals } from './arrivals.ts'
import { isOfHttp, problemOfHttp, refuse } from './refuse.ts'

/** Requests that may wait on a connection. A client that sends more without reading a response is disconnected. */
const MAX_WAITING = 64

interface Turn {
  raw: IncomingMessage
  out: ServerResponse
}

/** Receives the events of a server's connections. */
export interface TurnEvents {
  /** Called when the head of a request arrives on a connection without an unanswered request. */
  busy(socket: Socket): void
  /** Called for each request when its turn comes. */
  begin(raw: IncomingMessage, out: ServerResponse): void
  /** Called when every request that arrived on the connection is answered. */
  rested(socket: Socket): void
  /** Receives exceptions of the callbacks above. */
  report(error: unknown): void
}

/** Calls `events` for the requests of the server. */
export function takeTurns(server: Server, events: TurnEvents): void {
  const arrivals = new Arrivals((error) => events.report(error))
  server.on('connection', () => arrivals.accepted())
  const connections = new WeakMap<Duplex, Turns>()
  const of = (socket: Socket): Turns => {
    let turns = connections.get(socket)
    if (turns === undefined) {
      turns = new Turns(socket, events, arrivals)
      connections.set(socket, turns)
    }
    return turns
  }
  const take = (raw: IncomingMessage, out: ServerResponse): void => of(raw.socket).take({ raw, out })
  server.on('request', take)
  // The handler sends "100 Continue" when it reads the body; other expectations are ignored.
  server.on('checkContinue', take)
  server.on('checkExpectation', take)
  server.on('connect', (raw: IncomingMessage, socket: Duplex) => take(raw, responseOf(raw, socket as Socket)))
  server.on('clientError', (error: Error & { code?: string }, socket: Duplex) => {
    // The connection or its TLS handshake failed, so no response can be sent.
    if (!isOfHttp(error)) socket.destroy()
    else of(socket as Socket).refuse(problemOfHttp(error))
  })
}

/** Creates the response to a CONNECT, because Node.js does not. */
function responseOf(raw: IncomingMessage, socket: Socket): ServerResponse {
  const out = new ServerResponse(raw)
  out.shouldKeepAlive = false
  socket.on('error', () => socket.destroy())
  out.assignSocket(socket)
  out.once('finish', () => {
    out.detachSocket(socket)
    socket.end(() => socket.destroy())
    out.emit('close')
  })
  return out
}

class Turns {
  readonly #socket: Socket
  readonly #events: TurnEvents
  readonly #arrivals: Arrivals
  #current: Turn | undefined
  #waiting: Turn[] = []
  #refusal: Problem | undefined
  #isOver = false

  constructor(socket: Socket, events: TurnEvents, arrivals: Arrivals) {
    this.#socket = socket
    this.#events = events
    this.#arrivals = arrivals
    socket.once('close', () => (this.#waiting = []))
  }

  take(turn: Turn): void {
    if (this.#isOver || this.#socket.destroyed) return
    const waiting = this.#waiting.push(turn)
    if (this.#current !== undefined) {
      if (waiting > MAX_WAITING) this.#socket.destroy()
    } else if (waiting > MAX_WAITING + 1) this.#socket.destroy()
    else if (waiting === 1) {
      // A connection whose request waits for new connections must not be evicted as idle.
      this.#events.busy(this.#socket)
      this.#arrivals.whenIn(() => this.#startFirst())
    }
  }

  #startFirst(): void {
    if (this.#current !== undefined) return
    if (this.#socket.destroyed) this.#waiting = []
    const turn = this.#waiting.shift()
    if (turn !== undefined) this.#start(turn)
  }

  /** Handles invalid bytes after the newest request, or in its body. */
  refuse(problem: Problem): void {
    if (this.#refusal !== undefined) return
    this.#refusal = problem
    const newest = this.#waiting.at(-1) ?? this.#current
    if (newest !== undefined && !newest.raw.complete) {
      if (newest === this.#current) {
        // A request that is answered before its body was read is already the last one.
        if (!newest.out.headersSent) refuse(this.#socket, problem)
        return
      }
      // Its body will never be complete, so answer it with the problem.
      this.#waiting.pop()
    }
    if (this.#current === undefined && this.#waiting.length === 0) refuse(this.#socket, problem)
  }

  #start(turn: Turn): void {
    this.#current = turn
    turn.out.once('close', () => this.#next(turn.out))
    this.#events.begin(turn.raw, turn.out)
  }

  #next({ shouldKeepAlive }: ServerResponse): void {
    this.#current = undefined
    // Ignore all bytes after the last request of a connection.
    if (!shouldKeepAlive) this.#isOver = true
    if (this.#socket.destroyed || this.#isOver) {
      this.#waiting = []
      this.#events.rested(this.#socket)
      return
    }
    const turn = this.#waiting.shift()
    if (turn !== undefined) {
      this.#start(turn)
      return
    }
    this.#events.rested(this.#socket)
    if (this.#refusal !== undefined) refuse(this.#socket, this.#refusal)
  }
}
