/** The front's view of the tenants: asks the supervisor for their sockets and reports idle ones. */
import { HostedError } from '@service-fs/http/errors'
import type { FromFront, ToFront } from './messages.ts'

interface Waiting {
  resolve(socket: string, maxPayload: number | undefined): void
  reject(error: HostedError): void
}

export class FrontTenants {
  readonly #send: (message: FromFront) => void
  #known: ReadonlySet<string>
  readonly #sockets = new Map<string, string>()
  /** The payload limits of tenants that do not have the default. */
  readonly #payloads = new Map<string, number>()
  readonly #asked = new Map<string, Promise<string>>()
  readonly #waiting = new Map<number, Waiting>()
  /** The number of requests in progress, and the time when the last one ended. */
  readonly #uses = new Map<string, { count: number; last: number }>()
  #nextId = 0

  constructor(tenants: Iterable<string>, send: (message: FromFront) => void) {
    this.#known = new Set(tenants)
    this.#send = send
  }

  has(moduleId: string): boolean {
    return this.#known.has(moduleId)
  }

  /** Returns all tenants, running or not. */
  known(): Iterable<string> {
    return this.#known
  }

  /** Returns the sockets of the tenants that run, as far as the front knows. */
  running(): ReadonlyMap<string, string> {
    return this.#sockets
  }

  /** Resolves with the path of the tenant's socket. @throws HostedError `no-tenant`, `tenant-unavailable` */
  async reach(moduleId: string): Promise<string> {
    if (!this.has(moduleId)) throw new HostedError('no-tenant', `${moduleId}: no such tenant`)
    const socket = this.reached(moduleId)
    if (socket !== undefined) return socket
    let asked = this.#asked.get(moduleId)
    if (asked === undefined) {
      asked = this.#ask(moduleId).finally(() => this.#asked.delete(moduleId))
      this.#asked.set(moduleId, asked)
    }
    return asked
  }

  /** Returns the path of the tenant's socket if the tenant runs, as far as the front knows. */
  reached(moduleId: string): string | undefined {
    return this.has(moduleId) ? this.#sockets.get(moduleId) : undefined
  }

  maxPayload(moduleId: string): number | undefined {
    return this.#payloads.get(moduleId)
  }

  /** Records that a request to the tenant has begun. */
  began(moduleId: string): void {
    const uses = this.#uses.get(moduleId)
    if (uses === undefined) this.#uses.set(moduleId, { count: 1, last: 0 })
    else uses.count += 1
  }

  /** Records that a request to the tenant has ended. */
  ended(moduleId: string): void {
    const uses = this.#uses.get(moduleId)
    if (uses === undefined) return
    uses.count -= 1
    uses.last = Date.now()
  }

  /** Forgets the tenants without a request for `idleMs` milliseconds, and reports them idle to the supervisor. */
  sweep(now: number, idleMs: number): void {
    for (const moduleId of this.#sockets.keys()) {
      const uses = this.#uses.get(moduleId)
      if (uses === undefined) this.#uses.set(moduleId, { count: 0, last: now })
      else if (uses.count === 0 && now - uses.last >= idleMs) {
        this.#sockets.delete(moduleId)
        this.#uses.delete(moduleId)
        this.#send({ kind: 'idle', moduleId })
      }
    }
  }

  /** Handles a message of the supervisor. */
  take(message: ToFront): void {
    if (message.kind === 'tenants') this.#known = new Set(message.tenants)
    else if (message.kind === 'gone') this.#sockets.delete(message.moduleId)
    else if (message.kind === 'reached')
      this.#answered(message.id)?.resolve(message.socket, message.maxPayload)
    else if (message.kind === 'refused')
      this.#answered(message.id)?.reject(new HostedError(message.code, message.message))
  }

  #answered(id: number): Waiting | undefined {
    const waiting = this.#waiting.get(id)
    this.#waiting.delete(id)
    return waiting
  }

  #ask(moduleId: string): Promise<string> {
    const id = this.#nextId++
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, {
        // Store the socket synchronously, because `gone` may be the next message.
        resolve: (socket, maxPayload) => {
          this.#sockets.set(moduleId, socket)
          if (maxPayload === undefined) this.#payloads.delete(moduleId)
          else this.#payloads.set(moduleId, maxPayload)
          resolve(socket)
        },
        reject,
      })
      this.#send({ kind: 'reach', id, moduleId })
    })
  }
}
