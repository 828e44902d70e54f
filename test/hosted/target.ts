// The targets of bad input: one tenant's daemon, and a host with its front and a tenant process.
import { startDaemon } from '../support/daemon.ts'
import { startHost } from '../support/host.ts'
import { sleep } from '../support/process.ts'
import { forgetPeak, peak, queued, resident } from './memory.ts'

export const MIB: number = 2 ** 20

/** The members of a problem document that these tests check. */
export interface Problem {
  status: number
  code: string
  detail: string
  field?: string
  line?: number
  size?: number
}

export class Target {
  readonly port: number
  readonly #processes: () => Promise<Record<string, number>>
  /** The processes that answer readers of the other tenant. */
  readonly #others: () => Promise<number[]>
  readonly #fetch: (moduleId: string, path: string, init?: RequestInit) => Promise<Response>
  readonly dispose: () => Promise<void>

  /** One daemon with the tenant `test`. */
  static async daemon(): Promise<Target> {
    const one = await startDaemon()
    return new Target(
      one.port,
      async () => ({ daemon: one.pid }),
      async () => [one.pid],
      (_, path, init) => one.fetch(path, init),
      () => one.dispose(),
    )
  }

  /** A host with the tenants `test` and `other`. */
  static async host(): Promise<Target> {
    const one = await startHost({ tenants: ['test', 'other'] })
    return new Target(
      Number(new URL(one.url).port),
      async () => ({ front: one.frontPid, tenant: (await one.pidOf('test')) ?? 0 }),
      async () => [one.frontPid, (await one.pidOf('other')) ?? 0],
      (moduleId, path, init) => one.fetch(moduleId, path, init),
      () => one.dispose(),
    )
  }

  private constructor(
    port: number,
    processes: () => Promise<Record<string, number>>,
    others: () => Promise<number[]>,
    fetch: (moduleId: string, path: string, init?: RequestInit) => Promise<Response>,
    dispose: () => Promise<void>,
  ) {
    this.port = port
    this.#processes = processes
    this.#others = others
    this.#fetch = fetch
    this.dispose = dispose
  }

  fetch(path: string, init?: RequestInit): Promise<Response> {
    return this.#fetch('test', path, init)
  }

  post(body: string | Uint8Array<ArrayBuffer>, headers: Record<string, string>): Promise<Response> {
    return this.fetch('/v1/append', { method: 'POST', headers, body })
  }

  /** `payload` is JSON text. */
  append(id: string, payload: string): Promise<Response> {
    const body = `{"payload_id":"${id}","payload":${payload}}`
    return this.post(body, { 'content-type': 'application/json' })
  }

  /** The size of the tree. */
  async size(): Promise<number> {
    const answer = await this.fetch('/v1/checkpoint', { headers: { accept: 'application/json' } })
    return ((await answer.json()) as { size: number }).size
  }

  /** Runs an attack, and returns its cost to each process: Peak growth in MiB. */
  async cost(attack: () => Promise<void>): Promise<Record<string, number>> {
    const processes = Object.entries(await this.#processes())
    const before = processes.map(([, pid]) => (forgetPeak(pid), resident(pid)))
    await attack()
    return Object.fromEntries(processes.map(([name, pid], i) => [name, peak(pid) - (before[i] ?? 0)]))
  }

  /**
   * The longest wait of readers of another tenant (if any) during an attack, in milliseconds. Leaves out the time for which these
   * processes and the reader were ready to run, but other programs had the processors.
   */
  async othersWait(until: () => boolean): Promise<number> {
    let longest = 0
    while (!until()) {
      const pids = [process.pid, ...(await this.#others())]
      const [started, before] = [performance.now(), pids.map(queued)]
      const answer = await this.#fetch('other', '/v1/checkpoint')
      await answer.text()
      const waited = performance.now() - started
      const starved = Math.max(...pids.map((pid, i) => queued(pid) - (before[i] ?? 0)))
      longest = Math.max(longest, answer.status === 200 ? waited - starved : Infinity)
      await sleep(50)
    }
    return longest
  }
}

/** The problem document of an answer. */
export async function problemOf(answer: Response): Promise<Problem> {
  const type = answer.headers.get('content-type')
  if (type !== 'application/problem+json') throw new Error(`expected a problem document, found ${type}`)
  return (await answer.json()) as Problem
}
