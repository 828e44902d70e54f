/**
 * Those who follow the ledger, and what is new for them. Records are read once and made into events once, however many follow: the
 * newest events are kept in a window that all of them take from. Who has fallen behind it, or begins before it, has what is older
 * read for itself, and so comes to it again.
 */
import type { Ledger } from '@service-fs/ledger/ledger'
import type { StoredRecord } from '@service-fs/ledger/record'
import type { Codec } from '@service-fs/tlog/codec'
import type { Limits } from './limits.ts'
import { recordJson } from './record-json.ts'

/** Records that follow upon one another, as events. */
export interface Chunk {
  /** Index of the first entry that it is about, and of the first one that it is not about any more. */
  readonly from: number
  readonly to: number
  readonly records: number
  /** Of the last record; 0 when there is none. */
  readonly cursor: number
  readonly events: Uint8Array
}

/** Why somebody who waited goes on: the ledger grew, it is time for a sign of life, it is over, or something failed. */
export type Wake = 'grown' | 'beat' | 'over' | Error

/** One who follows. */
export interface Waiting {
  /** Index of the entry that is to come next. */
  readonly position: number
  /** Nothing when it does not wait. */
  wake(why: Wake): void
}

export interface FollowersOptions {
  readonly ledger: Pick<Ledger, 'size' | 'grown' | 'records'>
  readonly codec: Codec
  readonly limits: Limits
  after(ms: number, run: () => void): () => void
}

/** Chunks in the window: a binary search among them is all that it costs. */
const MAX_CHUNKS = 1024

export class Followers {
  readonly #options: FollowersOptions
  readonly #all = new Set<Waiting>()
  #window: Chunk[] = []
  #windowBytes = 0
  /** What is before it has been made into events, or was there before anybody followed. */
  #end = 0
  #isReading = false
  #isDraining = false
  #beats = 0
  #cancelBeat: (() => void) | undefined

  constructor(options: FollowersOptions) {
    this.#options = options
  }

  /** How many follow. */
  get count(): number {
    return this.#all.size
  }

  get isFull(): boolean {
    return this.#all.size >= this.#options.limits.maxFollowers
  }

  /** Whether those who follow are to come to an end. */
  get isDraining(): boolean {
    return this.#isDraining
  }

  /** Signs of life so far. */
  get beats(): number {
    return this.#beats
  }

  join(one: Waiting): void {
    if (this.#all.size === 0 && !this.#isReading) this.#end = this.#options.ledger.size
    this.#all.add(one)
    this.#cancelBeat ??= this.#nextBeat()
  }

  leave(one: Waiting): void {
    this.#all.delete(one)
    if (this.#all.size > 0) return
    this.#cancelBeat?.()
    this.#cancelBeat = undefined
    this.#empty()
  }

  /** Everybody comes to an end, and nobody is let in any more. */
  drain(): void {
    this.#isDraining = true
    this.#wakeAll('over')
  }

  /** Whether there is something for who is at `position`. If not, it may wait: it is woken when there is. */
  hasAfter(position: number): boolean {
    if (position < this.#end) return true
    if (!this.#isReading) void this.#read()
    return false
  }

  /** The chunks from `position` on, at least one, up to the limits of a batch and `most` records. */
  async take(position: number, most: number): Promise<Chunk[]> {
    const first = this.#search(position)
    const next = this.#window[first]
    if (next?.from !== position || next.records > most)
      return [
        await this.#chunk(
          position,
          next === undefined || next.from === position ? this.#end : next.from,
          most,
        ),
      ]
    const taken: Chunk[] = []
    let [bytes, records] = [0, 0]
    for (const chunk of this.#window.slice(first, first + MAX_CHUNKS)) {
      bytes += chunk.events.length
      records += chunk.records
      if (taken.length > 0 && (bytes > this.#options.limits.followBytes || records > most)) break
      taken.push(chunk)
    }
    return taken
  }

  /** Place in the window of the first chunk at or behind `position`. */
  #search(position: number): number {
    let [low, high] = [0, this.#window.length]
    while (low < high) {
      const middle = (low + high) >> 1
      if ((this.#window[middle] as Chunk).from < position) low = middle + 1
      else high = middle
    }
    return low
  }

  /** Reads what is new, while anybody follows. Never rejects: who waits is told. */
  async #read(): Promise<void> {
    this.#isReading = true
    const { ledger } = this.#options
    try {
      while (this.#all.size > 0) {
        const size = await ledger.grown(this.#end)
        while (this.#end < size && this.#all.size > 0) {
          this.#push(await this.#chunk(this.#end, size, Number.POSITIVE_INFINITY))
          this.#wakeAll('grown')
        }
      }
    } catch (error) {
      this.#wakeAll(error instanceof Error ? error : new Error(String(error)))
    } finally {
      this.#isReading = false
    }
  }

  /** The records from entry `from` up to `to`, fewer when they reach the limit of a batch or are `most`. */
  async #chunk(from: number, to: number, most: number): Promise<Chunk> {
    const { ledger, codec, limits } = this.#options
    let events = ''
    let records = 0
    let cursor = 0
    let end = to
    for await (const record of ledger.records(from)) {
      if (record.index >= to) break
      events += eventOf(record, codec)
      records += 1
      cursor = record.index + 1
      if (records < most && events.length < limits.followBytes) continue
      end = record.index + record.parts
      break
    }
    return { from, to: end, records, cursor, events: codec.utf8Encode(events) }
  }

  #push(chunk: Chunk): void {
    const { followWindow } = this.#options.limits
    this.#end = chunk.to
    this.#window.push(chunk)
    this.#windowBytes += chunk.events.length
    while (
      this.#window.length > MAX_CHUNKS ||
      (this.#window.length > 1 && this.#windowBytes > followWindow)
    ) {
      this.#windowBytes -= (this.#window.shift() as Chunk).events.length
    }
  }

  #empty(): void {
    this.#window = []
    this.#windowBytes = 0
  }

  #nextBeat(): () => void {
    return this.#options.after(this.#options.limits.heartbeatMs, () => {
      this.#beats += 1
      if (![...this.#all].some(({ position }) => position < this.#end)) this.#empty()
      this.#cancelBeat = this.#nextBeat()
      this.#wakeAll('beat')
    })
  }

  #wakeAll(why: Wake): void {
    for (const one of this.#all) one.wake(why)
  }
}

/** A record as a server-sent event (WHATWG HTML, section 9.2): its id is the cursor to go on from. JSON of ours is one line. */
function eventOf(record: StoredRecord, codec: Codec): string {
  return `id: ${record.index + 1}\nevent: record\ndata: ${recordJson(record, codec)}\n\n`
}
