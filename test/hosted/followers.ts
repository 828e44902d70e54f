// Clients that follow a ledger while the test kills its server. They remember the `audit` events, and the records that they
// received.

import { createParser, type EventSourceMessage } from 'eventsource-parser'
import { expect } from 'vitest'
import { sleep } from '../support/process.ts'

/** An `audit` event: the index of an entry of the audit sub-ledger, and the range of the delivery. */
export interface Batch {
  index: number
  since: number
  next_cursor: number
  entries: number
}

export type Fetch = (path: string, init: RequestInit) => Promise<Response>

/** Follows from the beginning, and resumes where the connection broke. */
export class FollowingClient {
  /** All deliveries of which at least one record arrived. */
  readonly batches: Batch[] = []
  /** The cursor of the newest record received. */
  cursor = 0
  readonly #end = new AbortController()

  /** Resolves after `stop`. Rejects when a record arrives out of order, or without an `audit` event before it. */
  async run(fetch: Fetch, headers: Record<string, string>): Promise<void> {
    while (!this.#end.signal.aborted) {
      try {
        const path = `v1/follow?since=${this.cursor}`
        const answer = await fetch(path, { headers, signal: this.#end.signal })
        if (answer.status === 200 && answer.body !== null) await this.#take(answer.body)
      } catch (error) {
        if (error instanceof Error && error.name === 'AssertionError') throw error
      }
      await sleep(50)
    }
  }

  stop(): void {
    this.#end.abort()
  }

  async #take(body: ReadableStream<Uint8Array>): Promise<void> {
    let announced: Batch | undefined
    const parser = createParser({
      onEvent: ({ event, data }: EventSourceMessage) => {
        if (event === 'audit') announced = JSON.parse(data) as Batch
        else if (event === 'record') this.#record(announced, (JSON.parse(data) as { cursor: number }).cursor)
      },
    })
    const decoder = new TextDecoder()
    for await (const chunk of body) parser.feed(decoder.decode(chunk, { stream: true }))
  }

  #record(batch: Batch | undefined, cursor: number): void {
    expect(batch, `record ${cursor} was shown before it was on record`).toBeDefined()
    expect(cursor).toBeGreaterThan(this.cursor)
    expect(cursor).toBeGreaterThan(batch?.since ?? cursor)
    expect(cursor).toBeLessThanOrEqual(batch?.next_cursor ?? 0)
    this.cursor = cursor
    if (batch !== undefined && this.batches.at(-1) !== batch) this.batches.push(batch)
  }
}
