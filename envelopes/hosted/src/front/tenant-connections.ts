/** Connections to the process of a tenant over its unix socket. Each carries one request at a time, and stays open for the next. */
import { performance } from 'node:perf_hooks'
import { connect, type Socket } from 'node:net'
import { MalformedResponse, ResponseReader, type ResponseParts } from './response-reader.ts'

/** Receives the response to a request. */
export interface Receiver extends ResponseParts {
  /** Called when the connection ends before the response does, or carries a malformed response. */
  lost(): void
  /** Called when the connection takes more of the request's body, after `write` returned false. */
  drained(): void
}

const CONNECT_MS = 2000
/** How long the front waits for a response's head, and then for more of its body. */
const HEAD_MS = 180_000
const BODY_MS = 120_000
/** How long an unused connection stays open. Shorter than the process's own limit, so that only the front closes unused ones. */
const UNUSED_MS = 10_000
const LOOK_MS = 1000

/** A body up to this length is copied behind its head, and sent with it in one write. */
const COPIED_BYTES = 64 * 1024

/** All connections read into this buffer, because each read is handled before the next one begins. */
const READ = Buffer.allocUnsafeSlow(64 * 1024)

/**
 * Holds back requests until all those that arrived in the same iteration of the event loop can be sent. A process then wakes up once for
 * several requests, and puts more records into a commit.
 */
class HeldSockets {
  #sockets: Socket[] = []

  /** Holds back later writes to the socket. */
  hold(socket: Socket): void {
    socket.cork()
    if (this.#sockets.push(socket) === 1) setImmediate(this.#release)
  }

  #release = (): void => {
    const sockets = this.#sockets
    this.#sockets = []
    for (const socket of sockets) socket.uncork()
  }
}

const HELD = new HeldSockets()

export class TenantConnection {
  readonly #socket: Socket
  readonly #reader = new ResponseReader()
  readonly #closed: (connection: TenantConnection) => void
  #receiver: Receiver | undefined
  #isPaused = false
  /** The time, by `performance.now()`, at which the front ends the connection if nothing happens. */
  deadline: number = Number.POSITIVE_INFINITY

  /** Connects. Rejects if no process listens at the path. */
  static open(path: string, closed: (connection: TenantConnection) => void): Promise<TenantConnection> {
    return new Promise((resolve, reject) => {
      const take = (length: number, bytes: Uint8Array): boolean => connection.#take(bytes as Buffer, length)
      const socket = connect({ path, onread: { buffer: READ, callback: take } })
      const connection = new TenantConnection(socket, closed)
      socket.setTimeout(CONNECT_MS, () => socket.destroy(new Error(`${path}: the connection timed out`)))
      socket.once('error', reject)
      socket.once('connect', () => {
        socket.setTimeout(0)
        socket.off('error', reject)
        resolve(connection)
      })
    })
  }

  private constructor(socket: Socket, closed: (connection: TenantConnection) => void) {
    this.#socket = socket
    this.#closed = closed
    socket.on('error', () => undefined)
    socket.on('end', () => this.destroy())
    socket.on('drain', () => this.#receiver?.drained())
    socket.on('close', () => this.#lose())
  }

  get isOpen(): boolean {
    return !this.#socket.destroyed && this.#socket.writable
  }

  /** Sends the head of a request, with its body if that has arrived. */
  send(head: string, body: Uint8Array | undefined, receiver: Receiver): void {
    this.#receiver = receiver
    this.#reader.begin(receiver, head.startsWith('HEAD '))
    this.deadline = performance.now() + HEAD_MS
    HELD.hold(this.#socket)
    if (body === undefined || body.length === 0) {
      this.#socket.write(head, 'latin1')
    } else if (body.length <= COPIED_BYTES) {
      const whole = Buffer.allocUnsafe(head.length + body.length)
      whole.write(head, 'latin1')
      whole.set(body, head.length)
      this.#socket.write(whole)
    } else {
      this.#socket.write(head, 'latin1')
      this.#socket.write(body)
    }
  }

  /** Sends more of the request's body. Returns false when the next part should wait for `drained`. */
  write(bytes: Uint8Array): boolean {
    this.deadline = performance.now() + HEAD_MS
    return this.#socket.write(bytes)
  }

  /** Sends one chunk of a chunked body; an empty one is the last. */
  writeChunk(bytes: Uint8Array): boolean {
    this.deadline = performance.now() + HEAD_MS
    this.#socket.cork()
    this.#socket.write(`${bytes.length.toString(16)}\r\n`, 'latin1')
    if (bytes.length > 0) this.#socket.write(bytes)
    const isReady = this.#socket.write('\r\n', 'latin1')
    this.#socket.uncork()
    return isReady
  }

  /** Stops reading the response until `resume`. */
  pause(): void {
    this.#isPaused = true
    this.#socket.pause()
  }

  resume(): void {
    if (!this.#isPaused) return
    this.#isPaused = false
    this.deadline = performance.now() + BODY_MS
    this.#socket.resume()
  }

  /** Whether the process keeps the connection open after the response. */
  get isReusable(): boolean {
    return this.isOpen && !this.#reader.closes
  }

  /** Makes the connection free for the next request, after a complete response. */
  rest(): void {
    this.#receiver = undefined
    this.resume()
    this.deadline = performance.now() + UNUSED_MS
  }

  /** Closes the connection. No more parts of a response are received. */
  destroy(): void {
    this.#socket.destroy()
    this.#lose()
  }

  /** Closes the connection if nothing happened on it for too long. A paused response waits for the client, which has limits of its own. */
  check(now: number): void {
    if (now > this.deadline && !this.#isPaused) this.destroy()
  }

  #take(bytes: Buffer, length: number): boolean {
    if (this.#socket.destroyed) return false
    if (this.#receiver !== undefined) this.deadline = performance.now() + BODY_MS
    try {
      this.#reader.take(bytes.subarray(0, length))
    } catch (error) {
      if (!(error instanceof MalformedResponse)) throw error
      this.destroy()
      return false
    }
    return !this.#isPaused
  }

  #lose(): void {
    this.#reader.stop()
    const receiver = this.#receiver
    this.#receiver = undefined
    this.#closed(this)
    receiver?.lost()
  }
}

/** The connections to one process. */
export class TenantConnections {
  readonly path: string
  readonly #all = new Set<TenantConnection>()
  /**
   * Unused connections, the most recently used at the end. The next request uses the last connection, so the others can
   * expire.
   */
  readonly #unused: TenantConnection[] = []
  #isRetired = false
  #timer: NodeJS.Timeout | undefined

  constructor(path: string) {
    this.path = path
  }

  /** Returns an open connection without a request, or undefined. */
  unused(): TenantConnection | undefined {
    for (;;) {
      const connection = this.#unused.pop()
      if (connection?.isOpen !== false) return connection
    }
  }

  /** Makes another connection. Rejects when the process accepts no connection. */
  async open(): Promise<TenantConnection> {
    const connection = await TenantConnection.open(this.path, this.#forget)
    this.#all.add(connection)
    this.#timer ??= setInterval(() => this.#look(), LOOK_MS).unref()
    return connection
  }

  /** Takes back a connection whose response is complete. `isWhole`: the process has read the whole request. */
  release(connection: TenantConnection, isWhole: boolean): void {
    connection.rest()
    if (isWhole && connection.isReusable && !this.#isRetired) this.#unused.push(connection)
    else connection.destroy()
  }

  /** Closes each connection when it has no request. */
  retire(): void {
    this.#isRetired = true
    for (const connection of this.#unused.splice(0)) connection.destroy()
  }

  destroy(): void {
    this.retire()
    for (const connection of this.#all) connection.destroy()
  }

  #forget = (connection: TenantConnection): void => {
    this.#all.delete(connection)
    const at = this.#unused.indexOf(connection)
    if (at >= 0) this.#unused.splice(at, 1)
    if (this.#all.size > 0) return
    clearInterval(this.#timer)
    this.#timer = undefined
  }

  #look(): void {
    const now = performance.now()
    for (const connection of this.#all) connection.check(now)
  }
}
