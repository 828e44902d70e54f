/** HTTP/1.1 (RFC 9112) for the wire, over the machine's connections. */
import { Budget } from '@service-fs/wire/body-limits'
import { Connection, type Shared } from './http-connection.ts'

export type HttpOptions = Omit<Shared, 'bodies' | 'waiting' | 'isClosing' | 'over'> & {
  after(ms: number, run: () => void): () => void
}

/** How often to check for slow connections. */
const CHECK_MS = 1000

export class HttpServer {
  readonly #connections = new Map<number, Connection>()
  readonly #shared: Shared
  readonly #options: HttpOptions
  #check: (() => void) | undefined
  #whenEmpty: (() => void) | undefined

  constructor(options: HttpOptions) {
    this.#options = options
    this.#shared = {
      ...options,
      bodies: new Budget(options.limits.bodies),
      waiting: 0,
      isClosing: false,
      over: (id) => this.#remove(id),
    }
  }

  /** The number of open connections. */
  get connections(): number {
    return this.#connections.size
  }

  opened(id: number): void {
    const isFull = this.#connections.size >= this.#shared.limits.connections
    if (this.#shared.isClosing || (isFull && !this.#makeRoom())) {
      this.#shared.net.netClose(id)
      return
    }
    this.#connections.set(id, new Connection(id, this.#shared))
    this.#check ??= this.#options.after(CHECK_MS, () => this.#checkAll())
  }

  data(id: number, bytes: Uint8Array): void {
    this.#connections.get(id)?.data(bytes)
  }

  writable(id: number): void {
    this.#connections.get(id)?.writable()
  }

  closed(id: number): void {
    this.#connections.get(id)?.gone()
    this.#remove(id)
  }

  /** Accepts no more requests. Resolves when those under way are answered, or after `ms` milliseconds. */
  async stop(ms: number): Promise<void> {
    this.#shared.isClosing = true
    for (const connection of this.#connections.values()) connection.stop()
    const cancel = this.#options.after(ms, () => {
      for (const connection of this.#connections.values()) connection.cutOff()
    })
    if (this.#connections.size > 0) await new Promise<void>((resolve) => (this.#whenEmpty = resolve))
    cancel()
    this.#check?.()
  }

  /** Closes the oldest connection without a request, or else the oldest that waits for another request. */
  #makeRoom(): boolean {
    const connections = [...this.#connections.values()]
    const oldest = connections.find(({ isSilent }) => isSilent) ?? connections.find(({ isIdle }) => isIdle)
    oldest?.cutOff()
    return oldest !== undefined
  }

  #remove(id: number): void {
    this.#connections.delete(id)
    if (this.#connections.size === 0) this.#whenEmpty?.()
  }

  #checkAll(): void {
    const now = this.#shared.monotonic()
    for (const connection of this.#connections.values()) connection.check(now)
    this.#check =
      this.#connections.size === 0 ? undefined : this.#options.after(CHECK_MS, () => this.#checkAll())
  }
}
