// A client that appends to one tenant of a host, remembers the acknowledged records, and checks that they are there.
import { expect } from 'vitest'
import type { Host } from '../support/host.ts'
import { sleep } from '../support/process.ts'

interface Page {
  next_cursor: number
  entries: { cursor: number; payload_id: string; payload: unknown }[]
}

export class Load {
  /** Statuses or errors of appends that were not acknowledged. */
  readonly refused: string[] = []
  /** Milliseconds of each acknowledged append. */
  readonly times: number[] = []
  readonly #host: Pick<Host, 'fetch'>
  readonly #moduleId: string
  readonly #acknowledged = new Map<string, number>()
  #isStopping = false
  #next = 0
  #lastAcknowledged = 0

  constructor(host: Pick<Host, 'fetch'>, moduleId: string) {
    this.#host = host
    this.#moduleId = moduleId
  }

  get count(): number {
    return this.#acknowledged.size
  }

  /** Duration of the slowest append, in milliseconds. */
  get longest(): number {
    return Math.max(0, ...this.times)
  }

  /** The 99th percentile of append durations, in milliseconds. */
  get p99(): number {
    return this.times.toSorted((a, b) => a - b)[Math.floor(this.times.length * 0.99)] ?? 0
  }

  /** The given number of clients append, pausing `pause` milliseconds after each answer, until `stop`. */
  async run(clients: number, pause = 0): Promise<void> {
    await Promise.all(Array.from({ length: clients }, () => this.#client(pause)))
  }

  stop(): void {
    this.#isStopping = true
  }

  /** Resolves when an append sent after that time (performance.now) is acknowledged. */
  async acknowledgedAfter(time: number): Promise<void> {
    for (const deadline = time + 20_000; this.#lastAcknowledged <= time; await sleep(5))
      if (performance.now() > deadline) throw new Error(`${this.#moduleId} did not recover`)
  }

  /** Checks that each acknowledged record is at its acknowledged place. `mayHaveMore`: answers may have been lost. */
  async check(mayHaveMore: boolean): Promise<void> {
    const found = new Map<string, number>()
    for (let since = 0; ;) {
      const answer = await this.#host.fetch(this.#moduleId, `/v1/entries?since=${since}&limit=1000`)
      const page = (await answer.json()) as Page
      for (const { cursor, payload_id: id } of page.entries) found.set(id, cursor)
      if (page.entries.length === 0) break
      since = page.next_cursor
    }
    for (const [id, cursor] of this.#acknowledged)
      expect(found.get(id), `${this.#moduleId} ${id}`).toBe(cursor)
    if (!mayHaveMore) expect(found.size).toBe(this.#acknowledged.size + 1)
  }

  async #client(pause: number): Promise<void> {
    while (!this.#isStopping) {
      const id = `record-${this.#next++}`
      const started = performance.now()
      try {
        await this.#append(id, started)
      } catch (error) {
        this.refused.push(String(error))
        await sleep(20)
      }
      if (pause > 0) await sleep(pause)
    }
  }

  async #append(id: string, started: number): Promise<void> {
    const answer = await this.#host.fetch(this.#moduleId, '/v1/append', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ payload_id: id, payload: { id, text: 'x'.repeat((this.#next * 37) % 900) } }),
    })
    if (answer.status !== 200) {
      this.refused.push(`${answer.status} ${await answer.text()}`)
      await sleep(20)
      return
    }
    const { cursor } = (await answer.json()) as { cursor: number }
    this.#acknowledged.set(id, cursor)
    this.times.push(performance.now() - started)
    this.#lastAcknowledged = Math.max(this.#lastAcknowledged, started)
  }
}
