/** Checks repeatedly whether endless responses are still permitted. */
import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'

/** The parts of a request that determine whether it is permitted. */
export type Asked = Pick<IncomingMessage, 'headers' | 'headersDistinct' | 'socket' | 'url'>

/** A request that is being answered. */
export interface Held {
  raw: Asked
  moduleId: string | undefined
}

/** The number of milliseconds between two reviews. A connection may outlive its token by up to this time. */
const REVIEW_MS = 15_000

/** Closes the connections of requests that are no longer allowed. */
export class Standing {
  readonly #stillMay: (held: Held) => Promise<boolean>
  readonly #held = new Map<Socket, Held>()
  #timer: NodeJS.Timeout | undefined

  constructor(stillMay: (held: Held) => Promise<boolean>) {
    this.#stillMay = stillMay
  }

  /** Adds a request. HTTP/1.1 answers one request at a time on a connection. */
  add(held: Held): void {
    const { socket } = held.raw
    if (!this.#held.has(socket)) socket.once('close', () => this.#remove(socket))
    this.#held.set(socket, held)
    this.#timer ??= setInterval(() => void this.review(), REVIEW_MS).unref()
  }

  /** Checks every request. Never rejects. */
  async review(): Promise<void> {
    for (const [socket, held] of this.#held) {
      const may = await this.#stillMay(held).catch(() => false)
      if (!may) socket.destroy()
    }
  }

  #remove(socket: Socket): void {
    this.#held.delete(socket)
    if (this.#held.size > 0) return
    clearInterval(this.#timer)
    this.#timer = undefined
  }
}
