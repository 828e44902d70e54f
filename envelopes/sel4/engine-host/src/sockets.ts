/** TCP and Unix sockets for the bundle, which names connections by number. */
import { chmod } from 'node:fs/promises'
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import type { HostFunction } from './engine.ts'
import { clearStaleSocket } from '@service-fs/http/stale-socket'

/** The address to listen on. */
export type Listen = { host: string; port: number } | { path: string }

/** The bundle's methods that receive the events. */
export interface SocketEvents {
  opened(id: number): void
  /** `bytes` is empty when the peer has ended its side. */
  data(id: number, bytes: Uint8Array): void
  writable(id: number): void
  closed(id: number): void
}

/** The bytes that may wait in a socket before write() asks the caller to wait. */
const HIGH_WATER_BYTES = 256 * 1024
/** How long a peer may take to read the last bytes before its connection is destroyed. */
const CLOSE_MS = 10_000
const NONE = new Uint8Array(0)

export class Sockets {
  readonly #events: SocketEvents
  readonly #sockets = new Map<number, Socket>()
  readonly #server: Server
  #ids = 0

  constructor(events: SocketEvents) {
    this.#events = events
    this.#server = createServer(
      { allowHalfOpen: true, noDelay: true, highWaterMark: HIGH_WATER_BYTES },
      (socket) => this.#accept(socket),
    )
  }

  /** Listens and returns the URL: `http://127.0.0.1:8080/` or `unix:/path`. */
  async listen(listen: Listen): Promise<string> {
    if ('path' in listen) await clearStaleSocket(listen.path)
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject)
      this.#server.listen(listen, () => {
        this.#server.off('error', reject)
        resolve()
      })
    })
    if ('path' in listen) {
      await chmod(listen.path, 0o600)
      return `unix:${listen.path}`
    }
    const { address, port, family } = this.#server.address() as AddressInfo
    return `http://${family === 'IPv6' ? `[${address}]` : address}:${port}/`
  }

  /** Accepts no more connections. Open ones stay open. */
  stopListening(): void {
    if (this.#server.listening) this.#server.close()
  }

  /** Ends all connections at once. */
  destroyAll(): void {
    for (const socket of this.#sockets.values()) socket.destroy()
  }

  /** The host functions of the network. */
  functions(): Record<string, HostFunction> {
    const socket = (id: number): Socket | undefined => this.#sockets.get(id)
    return {
      // Copy the bytes: the engine reuses their memory when this function returns.
      netSend: (given) => socket(given.number(0))?.write(Buffer.from(given.bytes(1))) ?? true,
      netClose: (given) => end(socket(given.number(0))),
      netPause: (given) => void socket(given.number(0))?.pause(),
      netResume: (given) => void socket(given.number(0))?.resume(),
    }
  }

  #accept(socket: Socket): void {
    const id = ++this.#ids
    const events = this.#events
    this.#sockets.set(id, socket)
    socket.on('data', (chunk: Buffer) => events.data(id, chunk))
    socket.on('end', () => events.data(id, NONE))
    socket.on('drain', () => events.writable(id))
    // 'close' follows.
    socket.on('error', () => undefined)
    socket.once('close', () => {
      this.#sockets.delete(id)
      events.closed(id)
    })
    events.opened(id)
  }
}

function end(socket: Socket | undefined): void {
  if (socket === undefined) return
  const timer = setTimeout(() => socket.destroy(), CLOSE_MS)
  timer.unref()
  socket.once('close', () => clearTimeout(timer))
  socket.destroySoon()
}
