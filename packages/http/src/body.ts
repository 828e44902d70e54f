/** Reads whole request bodies, within a limit for each and a budget for all. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { busy, tooLarge, type Budget } from '@service-fs/wire/body-limits'
import type { Problem } from '@service-fs/wire/problem'
import { expectsContinue } from './head.ts'

const EMPTY = new Uint8Array(0)

/**
 * Returns the body, or the problem to answer: 413 `too-large` or 503 `busy`. Checks a Content-Length before reading. The bytes of a
 * returned body are taken from the budget; the caller releases them. Rejects when the client disconnects.
 */
export function readBody(
  raw: IncomingMessage,
  out: ServerResponse,
  limit: number,
  budget: Budget,
): Promise<Uint8Array | Problem> | Uint8Array | Problem {
  const declared = raw.headers['content-length']
  const length = declared === undefined ? undefined : Number(declared)
  if (length === undefined && raw.headers['transfer-encoding'] === undefined) return EMPTY
  if (length !== undefined && length > limit) return tooLarge(limit, String(length))
  if (length !== undefined && !budget.take(length)) return busy()
  if (expectsContinue(raw)) out.writeContinue()
  const whole = raw.complete && length !== undefined ? readAtOnce(raw, length) : undefined
  if (whole !== undefined) return whole
  return new Reading(raw, limit, budget, length ?? 0).result
}

/** Returns the body if it has arrived completely, without waiting for the events of its stream; otherwise undefined. */
function readAtOnce(raw: IncomingMessage, length: number): Uint8Array | undefined {
  if (length === 0 || raw.readableLength !== length || raw.destroyed) return undefined
  return (raw.read() as Buffer | null) ?? undefined
}

class Reading {
  readonly result: Promise<Uint8Array | Problem>
  readonly #raw: IncomingMessage
  readonly #limit: number
  readonly #budget: Budget
  #taken: number
  readonly #chunks: Buffer[] = []
  #length = 0
  #resolve!: (body: Uint8Array | Problem) => void
  #reject!: (error: unknown) => void

  constructor(raw: IncomingMessage, limit: number, budget: Budget, taken: number) {
    this.#raw = raw
    this.#limit = limit
    this.#budget = budget
    this.#taken = taken
    this.result = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
    raw.on('data', this.#onData)
    raw.once('end', this.#onEnd)
    raw.once('error', this.#onError)
    raw.once('close', this.#onClose)
    if (raw.destroyed) this.#onClose()
  }

  #onData = (chunk: Buffer): void => {
    this.#length += chunk.length
    if (this.#length > this.#limit) {
      this.#give(tooLarge(this.#limit, 'more'))
      return
    }
    const missing = this.#length - this.#taken
    if (missing > 0 && !this.#budget.take(missing)) {
      this.#give(busy())
      return
    }
    if (missing > 0) this.#taken += missing
    this.#chunks.push(chunk)
  }

  #onEnd = (): void => {
    const [only] = this.#chunks
    const body =
      this.#chunks.length === 1 && only !== undefined ? only : Buffer.concat(this.#chunks, this.#length)
    this.#detach()
    this.#resolve(body)
  }

  #onError = (error: Error): void => {
    this.#detach()
    this.#budget.release(this.#taken)
    this.#reject(error)
  }

  #onClose = (): void => {
    this.#onError(Object.assign(new Error('the client disconnected'), { code: 'ECONNRESET' }))
  }

  /** Stops reading; the rest of the body stays unread. */
  #give(problem: Problem): void {
    this.#detach()
    this.#raw.pause()
    this.#budget.release(this.#taken)
    this.#resolve(problem)
  }

  #detach(): void {
    this.#raw.off('data', this.#onData)
    this.#raw.off('end', this.#onEnd)
    this.#raw.off('error', this.#onError)
    this.#raw.off('close', this.#onClose)
  }
}
