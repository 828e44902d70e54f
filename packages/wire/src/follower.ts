/** One who follows the ledger: the body of its answer, made as fast as it is taken and no faster. */
import type { Chunk, Followers, Waiting, Wake } from './followers.ts'

export interface FollowerOptions {
  readonly followers: Followers
  /** Index of the entry to begin at. */
  readonly since: number
  /** Records after which it is over. */
  readonly limit: number
  /** Signs of life after which it is over, so that who follows is asked again who it is. */
  readonly maxBeats: number
  readonly encode: (text: string) => Uint8Array
  /** Records that these are shown; what tells of that, to be sent before them. A rejection: they are not shown. */
  readonly show: (since: number, chunks: readonly Chunk[]) => Promise<string>
  /** What is said of an error, at the end. */
  readonly failed: (error: unknown) => string
}

/** Milliseconds after which a client that lost the stream is to come again. */
const RETRY = 'retry: 1000\n\n'
const HEARTBEAT = ':\n\n'
/** A batch of up to this many bytes goes out in one piece. */
const JOIN_BYTES = 64 * 1024
const DONE = { done: true, value: undefined } as const

export class Follower implements AsyncIterableIterator<Uint8Array, undefined>, Waiting {
  readonly #options: FollowerOptions
  /** What is to go out next. */
  #pieces: Uint8Array[]
  #position: number
  /** Cursor of the last record that was shown, or where it began. */
  #cursor: number
  #left: number
  readonly #firstBeat: number
  #isOver = false
  #resume: ((why: Wake) => void) | undefined

  /** Takes its place among the followers. It has to be read to its end, or given back by return(). */
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

  /** One call at a time. Nothing is read, and nothing recorded, before it is called. Never rejects. */
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

  /** Who follows has gone. */
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

/** Small pieces as one; pieces that others have as well are not copied when they are large. */
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
