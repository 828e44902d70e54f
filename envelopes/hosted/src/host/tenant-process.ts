/**
 * One tenant's process. It starts on demand, stops when idle, and restarts when it ends by itself.
 *
 *     stopped ──reach──▶ starting ──ready──▶ running ──idle, stop──▶ stopping ──▶ stopped
 *        ▲                  │ ended            │ ended
 *        └──────────────────┘                  ▼
 *       (not before the delay)              waiting ──delay──▶ starting
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { HostedError } from '@service-fs/http/errors'
import type { Logger } from '../process/log.ts'
import { Backoff } from './backoff.ts'
import { wordsOf, type Child, type Ended } from './child.ts'
import type { Slots } from './slots.ts'

export type TenantState = 'stopped' | 'starting' | 'running' | 'stopping' | 'waiting'

/** Milliseconds. */
export interface TenantTimes {
  /** The time limit of a start, after which the process is killed. */
  start: number
  /** The time limit of a clean stop, after which the process is killed. */
  stop: number
  /** How long a caller of `reach` waits. */
  reach: number
  /** `reach` rejects at once when the next start is further away than this. A start that takes longer frees its slot for others. */
  patience: number
}

export const TENANT_TIMES: TenantTimes = { start: 120_000, stop: 30_000, reach: 30_000, patience: 2_500 }

export interface TenantSettings {
  moduleId: string
  /** The path of its socket. */
  socket: string
  /** Creates its directories and starts it. */
  launch(): Promise<Child>
  /** Limits how many tenants start at once. */
  slots: Slots
  log: Logger
  /** Called when its socket may no longer be used. */
  gone(): void
  times?: TenantTimes
}

export class TenantProcess {
  readonly moduleId: string
  readonly #settings: TenantSettings
  readonly #times: TenantTimes
  readonly #backoff = new Backoff()
  readonly #closing = new AbortController()
  #state: TenantState = 'stopped'
  #child: Child | undefined
  #starting: Promise<string> | undefined
  #stopping: Promise<void> | undefined

  constructor(settings: TenantSettings) {
    this.moduleId = settings.moduleId
    this.#settings = settings
    this.#times = settings.times ?? TENANT_TIMES
  }

  get state(): TenantState {
    return this.#state
  }

  /** The pid; undefined while there is no process. */
  get pid(): number | undefined {
    return this.#child?.pid
  }

  /**
   * Starts the process if it does not run; resolves with the path of its socket. Retries a failed start while the
   * delays are short, because a process of an earlier host may still be closing the ledger.
   * @throws HostedError `tenant-unavailable`
   */
  async reach(): Promise<string> {
    const late = new AbortController()
    try {
      return await Promise.race([
        this.#reach(late.signal),
        sleep(this.#times.reach, undefined, { signal: late.signal, ref: false }).then(() =>
          Promise.reject(unavailable(this.moduleId, 'its process is still starting')),
        ),
      ])
    } finally {
      late.abort()
    }
  }

  /** Stops it cleanly; the next `reach` starts it again. */
  async idle(): Promise<void> {
    if (this.#state === 'running') await this.#stop()
  }

  /** Stops it cleanly and permanently. */
  async close(): Promise<void> {
    this.#closing.abort()
    await this.#starting?.catch(() => undefined)
    await this.#stop()
  }

  async #reach(late: AbortSignal): Promise<string> {
    for (let why = 'its process keeps ending'; ; why = 'its process does not start') {
      if (this.#closing.signal.aborted) throw unavailable(this.moduleId, 'the host is stopping')
      if (this.#state === 'running') return this.#settings.socket
      const wait = this.#backoff.wait(Date.now())
      if (wait > this.#times.patience)
        throw unavailable(this.moduleId, `${why}; the next attempt is in ${Math.ceil(wait / 1000)} s`)
      const socket = await this.#start().catch(() => undefined)
      if (socket !== undefined) return socket
      late.throwIfAborted()
    }
  }

  #start(): Promise<string> {
    this.#starting ??= this.#bringUp().finally(() => {
      this.#starting = undefined
    })
    return this.#starting
  }

  async #bringUp(): Promise<string> {
    await this.#stopping
    const wait = this.#backoff.wait(Date.now())
    if (wait > 0) {
      this.#state = 'waiting'
      await sleep(wait, undefined, { signal: this.#closing.signal }).catch(() => undefined)
    }
    this.#state = 'starting'
    const started = Date.now()
    try {
      const child = await this.#settings.slots.with(() => this.#launch(), this.#times.patience)
      this.#state = 'running'
      this.#settings.log.info('tenant started', {
        tenant: this.moduleId,
        pid: child.pid,
        milliseconds: Date.now() - started,
      })
      const since = Date.now()
      void child.ended.then((end) => this.#ended(child, end, since))
      return this.#settings.socket
    } catch (error) {
      this.#state = 'stopped'
      this.#backoff.failed(Date.now(), 0)
      this.#settings.log.error(error, { tenant: this.moduleId })
      throw error
    }
  }

  async #launch(): Promise<Child> {
    if (this.#closing.signal.aborted) throw new HostedError('start', 'the host is stopping')
    const child = await this.#settings.launch()
    this.#child = child
    const killer = setTimeout(() => child.process.kill('SIGKILL'), this.#times.start)
    const end = (): void => void child.process.kill('SIGTERM')
    this.#closing.signal.addEventListener('abort', end)
    try {
      await child.ready
      return child
    } catch (error) {
      child.process.kill('SIGKILL')
      await child.ended
      this.#child = undefined
      throw error
    } finally {
      clearTimeout(killer)
      this.#closing.signal.removeEventListener('abort', end)
    }
  }

  /** Handles the end of a process that was ready. */
  #ended(child: Child, end: Ended, since: number): void {
    if (this.#child !== child) return
    this.#child = undefined
    this.#settings.gone()
    if (this.#state === 'stopping') {
      this.#state = 'stopped'
      this.#backoff.stopped()
      return
    }
    this.#state = 'stopped'
    this.#backoff.failed(Date.now(), Date.now() - since)
    this.#settings.log.warn('tenant ended by itself', { tenant: this.moduleId, ended: wordsOf(end) })
    if (!this.#closing.signal.aborted) this.#start().catch(() => undefined)
  }

  #stop(): Promise<void> {
    const child = this.#child
    if (child === undefined || this.#state !== 'running') return this.#stopping ?? Promise.resolve()
    this.#state = 'stopping'
    this.#settings.gone()
    this.#stopping = child.stop(this.#times.stop).then((end) => {
      this.#stopping = undefined
      this.#settings.log.info('tenant stopped', { tenant: this.moduleId, ended: wordsOf(end) })
    })
    return this.#stopping
  }
}

function unavailable(moduleId: string, why: string): HostedError {
  return new HostedError('tenant-unavailable', `${moduleId}: ${why}`)
}
