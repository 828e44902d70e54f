/**
 * The followers of a ledger, and the newest records as events. Each new record is read and encoded once, for all followers, and
 * kept in a window of the newest events. A follower behind the window reads the ledger itself until it reaches the window.
 */
import type { Ledger } from '@service-fs/ledger/ledger'
import type { Codec } from '@service-fs/tlog/codec'
import type { Limits } from './limits.ts'
import { readPage, type PageLedger } from './page.ts'

/** Events of consecutive records. */
export interface Chunk {
  /** The entries from index `from` up to, not including, `to`. */
  readonly from: number
  readonly to: number
  readonly records: number
  /** Cursor of the last record; 0 without records. */
  readonly cursor: number
  readonly events: Uint8Array
}

/** The reason to wake a waiting follower: the ledger grew, a heartbeat is due, the stream ends, or reading failed. */
export type Wake = 'grown' | 'beat' | 'over' | Error

/** A follower, as {@link Followers} sees it. */
export interface Waiting {
  /** Index of the next entry to send. */
  readonly position: number
  /** Wakes the follower if it is waiting. */
  wake(why: Wake): void
}

export interface FollowersOptions {
  readonly ledger: Pick<Ledger, 'size' | 'grown'> & PageLedger
  readonly codec: Codec
  readonly limits: Limits
  after(ms: number, run: () => void): () => void
}

/** The most chunks in the window. A follower finds its chunk by binary search. */
const MAX_CHUNKS = 1024

export class Followers {
  readonly #options: FollowersOptions
  readonly #all = new Set<Waiting>()
  #window: Chunk[] = []
  #windowBytes = 0
  /** Index after the last entry that was encoded, or that existed before the first follower joined. */
  #end = 0
  #isReading = false
  #isDraining = false
  #beats = 0
  #cancelBeat: (() => void) | undefined

  constructor(options: FollowersOptions) {
    this.#options = options
  }

  /** Number of followers. */
  get count(): number {
    return this.#all.size
  }

  get isFull(): boolean {
    return this.#all.size >= this.#options.limits.maxFollowers
  }

  /** Whether {@link drain} was called. */
  get isDraining(): boolean {
    return this.#isDraining
  }

  /** Number of heartbeats so far. */
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

  /** Ends all streams. No follower may join afterwards. */
  drain(): void {
    this.#isDraining = true
    this.#wakeAll('over')
  }

  /** Reports whether there are entries at or after `position`. If there are none, the follower may wait: new entries wake it. */
  hasAfter(position: number): boolean {
    if (position < this.#end) return true
    if (!this.#isReading) void this.#read()
    return false
  }

  /** Returns the chunks of one delivery from `position`: at least one, up to the size limit and `most` records. */
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

  /** Returns the position in the window of the first chunk that starts at or after entry `position`. */
  #search(position: number): number {
    let [low, high] = [0, this.#window.length]
    while (low < high) {
      const middle = (low + high) >> 1
      if ((this.#window[middle] as Chunk).from < position) low = middle + 1
      else high = middle
    }
    return low
  }

  /** Reads new records while there are followers. Never rejects; waiting followers receive the error. */
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

  /** Encodes the records from entry `from` up to `to`, fewer when they reach the size limit or `most` records. */
  async #chunk(from: number, to: number, most: number): Promise<Chunk> {
    const { ledger, codec, limits } = this.#options
    const page = { ledger, codec, since: from, to, limit: most, maxUnits: limits.followBytes }
    const { bytes, count, last, end } = await readPage({ ...page, form: 'events' })
    return { from, to: end, records: count, cursor: last === undefined ? 0 : last + 1, events: bytes }
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
