/** Keeps a copy up to date: runs again when the source has grown, and after a temporary failure. */
import { ClientError } from '@service-fs/client/errors'
import { follow, mayPass } from '@service-fs/client/follow'
import { sleep, type Connection } from '@service-fs/client/http'
import type { CopyReport } from './verified-copy.ts'
import { hasGrown } from './report.ts'

/** The least time between the starts of two runs, in milliseconds, so that a busy source is copied in batches. */
const LEAST_PAUSE = 1000

export interface KeepOptions {
  /** Runs once. */
  update(): Promise<CopyReport>
  /** Called after each run. */
  updated(report: CopyReport): Promise<void>
  /** Called when a run fails for a temporary reason, with the pause before the next run in milliseconds. */
  failed(error: ClientError, pause: number): void
  /** The connection to the source; undefined when it has no `/v1/follow`. */
  connection: Connection | undefined
  /** The longest pause between two runs, in milliseconds. */
  interval: number
}

/**
 * Never resolves. Each run that finds nothing new, or fails, doubles the pause before the next one, up to the interval. While the source
 * has `/v1/follow`, the pause after a successful run is the interval. A new record on `/v1/follow` ends the pause.
 * @throws the error of a run if a retry would fail, too
 */
export async function keepUpdated(options: KeepOptions): Promise<never> {
  const longest = Math.max(options.interval, LEAST_PAUSE)
  const growth = new Growth(options.connection)
  let pause = LEAST_PAUSE
  for (;;) {
    let hasFailed = false
    try {
      const report = await options.update()
      pause = hasGrown(report) ? LEAST_PAUSE : Math.min(pause * 2, longest)
      growth.watch(report.size)
      await options.updated(report)
    } catch (error) {
      if (!(error instanceof ClientError) || !mayPass(error)) throw error
      hasFailed = true
      pause = Math.min(pause * 2, longest)
      options.failed(error, pause)
    }
    // A record that arrives during the shortest pause also starts the next run.
    const grown = growth.next()
    await sleep(LEAST_PAUSE)
    // While the source announces its growth, do not poll it often: it records each read.
    const rest = (growth.isWatched && !hasFailed ? longest : pause) - LEAST_PAUSE
    await Promise.race([sleep(rest), grown])
  }
}

/** Waits for the next record of a source on `/v1/follow`. */
class Growth {
  readonly #connection: Connection | undefined
  #next: Promise<void> | undefined
  isWatched = false

  constructor(connection: Connection | undefined) {
    this.#connection = connection
  }

  /** Starts to wait for the first record after `size` entries. Does nothing if a wait is in progress. */
  watch(size: number): void {
    if (this.#connection === undefined || this.#next !== undefined) return
    this.isWatched = true
    this.#next = this.#first(this.#connection, size)
  }

  async #first(connection: Connection, since: number): Promise<void> {
    try {
      for await (const _ of follow(connection, { since, limit: 1 }));
      this.#next = undefined
    } catch {
      // A static host has no such route. In that case only the pauses determine the time of the next run.
      this.isWatched = false
      await new Promise(() => undefined)
    }
  }

  /** Resolves when the next record arrives; without a stream, never resolves. */
  next(): Promise<void> {
    return this.#next ?? new Promise(() => undefined)
  }
}
