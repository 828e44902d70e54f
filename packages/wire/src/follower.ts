/** A follower of the ledger: produces the body of one response, only as fast as the client reads it. */
import type { Chunk, Followers, Waiting, Wake } from './followers.ts'

export interface FollowerOptions {
  readonly followers: Followers
  /** Index of the entry to start at. */
  readonly since: number
  /** Number of records after which the stream ends. */
  readonly limit: number
  /** Number of heartbeats after which the stream ends, so that the client authenticates again. */
  readonly maxBeats: number
  readonly encode: (text: string) => Uint8Array
  /** Records the read of a delivery. Resolves to the event to send before the delivery. If it rejects, the delivery is not sent. */
  readonly show: (since: number, chunks: readonly Chunk[]) => Promise<string>
  /** Returns the event that ends the stream after an error. */
  readonly failed: (error: unknown) => string
}

/** Tells the client to reconnect after 1000 milliseconds. */
const RETRY = 'retry: 1000\n\n'
const HEARTBEAT = ':\n\n'
/** A delivery of up to this many bytes is sent as one piece. */
const JOIN_BYTES = 64 * 1024
const DONE = { done: true, value: undefined } as const

export class Follower implements AsyncIterableIterator<Uint8Array, undefined>, Waiting {
  readonly #options: FollowerOptions
  /** Pieces to send next. */
  #pieces: Uint8Array[]
  #position: number
  /** Cursor of the last record that was sent; at first, the start. */
  #cursor: number
  #left: number
  readonly #firstBeat: number
  #isOver = false
  #resume: ((why: Wake) => void) | undefined

  /** Joins the followers. The caller must read to the end or call return(). */
  constructor(options: FollowerOptions) {
    this.#options = options
    this.#position = options.since
    this.#cursor = options.since
    this.#left = options.limit
    this.#firstBeat = options.followers.beats
    this.#pieces = [options.encode(RETRY)]
    options.followers.join(this)
  }

  get position(): number {
    return this.#position
  }

  wake(why: Wake): void {
    const resume = this.#resume
    this.#resume = undefined
    resume?.(why)
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  /**
   * Returns the next piece. It reads and records nothing before it is called. Concurrent calls are not allowed. Never rejects.
   */
  async next(): Promise<IteratorResult<Uint8Array, undefined>> {
    while (this.#pieces.length === 0 && !this.#isOver) {
      try {
        await this.#step()
      } catch (error) {
        this.#end(this.#options.failed(error))
      }
    }
    const value = this.#pieces.shift()
    return value === undefined ? DONE : { done: false, value }
  }

  /** Leaves the followers. Called when the client has disconnected. */
  return(): Promise<IteratorResult<Uint8Array, undefined>> {
    this.#end('')
    this.#pieces = []
    return Promise.resolve(DONE)
  }

  async #step(): Promise<void> {
    const { followers, maxBeats, encode } = this.#options
    if (this.#left === 0) return this.#end('')
    if (followers.isDraining || followers.beats - this.#firstBeat >= maxBeats) return this.#end(RETRY)
    if (followers.hasAfter(this.#position))
      return this.#show(await followers.take(this.#position, this.#left))
    const why = await new Promise<Wake>((resolve) => (this.#resume = resolve))
    if (why instanceof Error) throw why
    if (why === 'beat') this.#pieces = [encode(HEARTBEAT)]
  }

  async #show(chunks: readonly Chunk[]): Promise<void> {
    const { encode, show } = this.#options
    const shown = chunks.filter(({ records }) => records > 0)
    const pieces = shown.map(({ events }) => events)
    if (shown.length > 0) pieces.unshift(encode(await show(this.#cursor, shown)))
    if (this.#isOver) return
    for (const { to } of chunks) this.#position = to
    for (const { cursor, records } of shown) {
      this.#cursor = cursor
      this.#left -= records
    }
    this.#pieces = joined(pieces)
  }

  #end(last: string): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#options.followers.leave(this)
    if (last !== '') this.#pieces = [this.#options.encode(last)]
    this.wake('over')
  }
}

/** Joins small pieces into one. Does not copy large pieces, because followers share them. */
function joined(pieces: readonly Uint8Array[]): Uint8Array[] {
  const length = pieces.reduce((sum, piece) => sum + piece.length, 0)
  if (length > JOIN_BYTES || pieces.length < 2) return pieces.filter((piece) => piece.length > 0)
  const whole = new Uint8Array(length)
  let at = 0
  for (const piece of pieces) {
    whole.set(piece, at)
    at += piece.length
  }
  return [whole]
}
