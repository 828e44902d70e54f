/** Answers that go on for as long as the client likes: whether it still may is asked again while they do. */
import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'

/** A request that is being answered. */
export interface Held {
  raw: IncomingMessage
  moduleId: string | undefined
}

/** How often it is asked without an occasion, in milliseconds: so long after a token has expired its connection may still be there. */
const REVIEW_MS = 15_000

/** Cuts the connection of a request that is not allowed any more. */
export class Standing {
  readonly #stillMay: (held: Held) => Promise<boolean>
  readonly #held = new Map<Socket, Held>()
  #timer: NodeJS.Timeout | undefined

  constructor(stillMay: (held: Held) => Promise<boolean>) {
    this.#stillMay = stillMay
  }

  /** HTTP/1.1 has one request at a time on a connection. */
  add(held: Held): void {
    const { socket } = held.raw
    if (!this.#held.has(socket)) socket.once('close', () => this.#remove(socket))
    this.#held.set(socket, held)
    this.#timer ??= setInterval(() => void this.review(), REVIEW_MS).unref()
  }

  /** Asks for each one. Never rejects. */
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
