/** The supervisor's link to the front process: sends its settings and their changes, answers its requests, and restarts it when it ends. */
import type { Listen } from '@service-fs/http/address'
import { setTimeout as sleep } from 'node:timers/promises'
import type { AccessSettings } from '@service-fs/access/settings'
import { HostedError } from '@service-fs/http/errors'
import type { Logger } from '../process/log.ts'
import { Backoff } from './backoff.ts'
import { wordsOf, type Child, type Ended } from './child.ts'
import { fromFront, type ToFront } from './messages.ts'

/** The settings that the front receives first, as plain JSON. */
export interface FrontSettings {
  listen: string[]
  /** Inherited listening sockets to use instead of `listen`. */
  given?: GivenSockets
  metrics?: string
  access: AccessSettings
  tenants: string[]
  /** Milliseconds without a request after which a tenant is reported idle; 0 means never. */
  idleMs: number
}

/** Listening sockets by their descriptors in the front. */
export interface GivenSockets {
  listen: Listen[]
  metrics?: Listen
}

export type FrontMessage = ToFront<FrontSettings, AccessSettings>

export interface FrontLinkOptions {
  launch(): Child
  settings(): FrontSettings
  /** Resolves with the path of the tenant's socket. @throws HostedError `no-tenant`, `tenant-unavailable` */
  reach(moduleId: string): Promise<string>
  /** Returns the tenant's maximum payload size in bytes; undefined for the default. */
  maxPayload?(moduleId: string): number | undefined
  idle(moduleId: string): void
  log: Logger
}

/** The time limits of a start and of a stop, in milliseconds. A stop first finishes the requests in progress. */
const START_MS = 30_000
const STOP_MS = 20_000

export class FrontLink {
  readonly #options: FrontLinkOptions
  readonly #backoff = new Backoff()
  readonly #closing = new AbortController()
  #child: Child | undefined
  /** Tenants that the front has asked for. It sends one request at a time for each. */
  #asked = new Set<string>()

  constructor(options: FrontLinkOptions) {
    this.#options = options
  }

  get pid(): number | undefined {
    return this.#child?.pid
  }

  /** Starts the front; resolves with its URLs. @throws HostedError `start` */
  async start(): Promise<string[]> {
    const child = this.#options.launch()
    this.#child = child
    this.#asked = new Set()
    child.channel.on('message', (message) => this.#take(child, message))
    this.send({ kind: 'settings', settings: this.#options.settings() })
    const killer = setTimeout(() => child.process.kill('SIGKILL'), START_MS)
    try {
      const urls = urlsOf(await child.ready)
      const since = Date.now()
      void child.ended.then((end) => this.#ended(end, since))
      this.#options.log.info('front started', { pid: child.pid, urls: urls.join(' ') })
      return urls
    } catch (error) {
      child.process.kill('SIGKILL')
      throw error instanceof HostedError ? new HostedError(error.code, `front: ${error.message}`) : error
    } finally {
      clearTimeout(killer)
    }
  }

  /** Sends a message if the front runs. A front that starts later gets the present state in its settings. */
  send(message: FrontMessage): void {
    this.#child?.channel.send(message)
  }

  /** Ends the front after it has answered the requests in progress. */
  async stop(): Promise<void> {
    this.#closing.abort()
    await this.#child?.stop(STOP_MS)
  }

  #take(child: Child, message: unknown): void {
    const said = fromFront(message)
    if (child !== this.#child) return
    if (said === undefined || (said.kind === 'reach' && this.#asked.has(said.moduleId))) {
      this.#options.log.warn('front killed', { reason: 'it sent an invalid message' })
      child.channel.close()
      child.process.kill('SIGKILL')
      return
    }
    if (said.kind === 'idle') {
      this.#options.idle(said.moduleId)
      return
    }
    const { id, moduleId } = said
    const asked = this.#asked
    asked.add(moduleId)
    const answer = (reply: FrontMessage): void => {
      asked.delete(moduleId)
      if (child === this.#child) this.send(reply)
    }
    this.#options.reach(moduleId).then(
      (socket) => {
        const maxPayload = this.#options.maxPayload?.(moduleId)
        answer({ kind: 'reached', id, socket, ...(maxPayload === undefined ? {} : { maxPayload }) })
      },
      (error: unknown) => answer({ kind: 'refused', id, ...errorMembers(error) }),
    )
  }

  #ended(end: Ended, since: number): void {
    this.#child = undefined
    if (this.#closing.signal.aborted) return
    this.#backoff.failed(Date.now(), Date.now() - since)
    this.#options.log.warn('front ended by itself', { ended: wordsOf(end) })
    void this.#again()
  }

  async #again(): Promise<void> {
    for (;;) {
      const wait = this.#backoff.wait(Date.now())
      await sleep(wait, undefined, { signal: this.#closing.signal }).catch(() => undefined)
      if (this.#closing.signal.aborted) return
      try {
        await this.start()
        return
      } catch (error) {
        this.#options.log.error(error)
        this.#backoff.failed(Date.now(), 0)
      }
    }
  }
}

function errorMembers(error: unknown): { code: string; message: string } {
  if (error instanceof HostedError) return { code: error.code, message: error.message }
  return { code: 'tenant-unavailable', message: 'its process cannot be reached' }
}

function urlsOf(greeting: unknown): string[] {
  if (typeof greeting === 'object' && greeting !== null && 'urls' in greeting && Array.isArray(greeting.urls))
    return greeting.urls.map(String)
  throw new HostedError('start', 'expected addresses in its ready message')
}
