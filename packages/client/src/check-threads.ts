/** Worker threads that check ranges of bundles. */
import { existsSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import type { CheckedBundle } from './bundle-check.ts'
import type { CheckRange, CheckSettings } from './check-worker.ts'

/** The caller's thread, which collects the results, is busy with about this many. */
const MOST_THREADS = 16

export interface CheckThreads {
  readonly count: number
  /**
   * Checks bundles; for each, the result is undefined when anything in it is wrong or it can't be read. There are fewer results when they are
   * large. Resolves to undefined when no thread can check them.
   */
  check(range: CheckRange): Promise<(CheckedBundle | undefined)[] | undefined>
  close(): Promise<void>
}

/** Returns threads, or undefined where this program has no file for them, as in a bundle of another project. */
export function startThreads(settings: CheckSettings & { most: number }): CheckThreads | undefined {
  const file = new URL('./check-worker.js', import.meta.url)
  const count = Math.min(availableParallelism(), MOST_THREADS, settings.most)
  if (!(count >= 1) || file.protocol !== 'file:' || !existsSync(fileURLToPath(file))) return undefined
  const { key, withText, room } = settings
  const threads: CheckThread[] = []
  try {
    while (threads.length < count) threads.push(new CheckThread(file, { key, withText, room: room / count }))
  } catch {
    // The system or a policy allows no more threads: use those that have started.
  }
  if (threads.length === 0) return undefined
  return {
    count: threads.length,
    check: (range) => threads.reduce((a, b) => (b.waiting < a.waiting ? b : a)).check(range),
    async close() {
      await Promise.all(threads.map((thread) => thread.close()))
    },
  }
}

type Settle = (checked: (CheckedBundle | undefined)[] | undefined) => void

class CheckThread {
  readonly #worker: Worker
  /** The promises of the ranges that were sent, oldest first. A thread answers in order. */
  readonly #sent: Settle[] = []
  #failed = false

  constructor(file: URL, settings: CheckSettings) {
    this.#worker = new Worker(file, { workerData: settings })
    this.#worker.on('message', (checked: (CheckedBundle | undefined)[]) => this.#sent.shift()?.(checked))
    const fail = (): void => {
      this.#failed = true
      for (const settle of this.#sent.splice(0)) settle(undefined)
    }
    // An error and an exit leave the rest of the work to the caller's thread.
    this.#worker.on('error', fail)
    this.#worker.on('messageerror', fail)
    this.#worker.on('exit', fail)
  }

  /** Ranges that are not checked yet; infinitely many when the thread has ended. */
  get waiting(): number {
    return this.#failed ? Infinity : this.#sent.length
  }

  check(range: CheckRange): Promise<(CheckedBundle | undefined)[] | undefined> {
    if (this.#failed) return Promise.resolve(undefined)
    return new Promise((resolve) => {
      this.#sent.push(resolve)
      this.#worker.postMessage(range, [])
    })
  }

  async close(): Promise<void> {
    await this.#worker.terminate()
  }
}
