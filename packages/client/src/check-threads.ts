/** Worker threads that check ranges of bundles. */
import { availableParallelism } from 'node:os'
import { idlest, startAnswering } from './answering-thread.ts'
import type { CheckedBundle } from './bundle-check.ts'
import type { CheckRange, CheckSettings } from './check-worker.ts'

/** The maximum number of threads. With about this many threads, the caller's thread is fully busy with collecting their results. */
const MOST_THREADS = 16

export interface CheckThreads {
  readonly count: number
  /**
   * Checks bundles. The result of a bundle is undefined when the bundle has any fault or can't be read. If the results are large, only the
   * first bundles have a result. Resolves to undefined if no thread can check bundles.
   */
  check(range: CheckRange): Promise<(CheckedBundle | undefined)[] | undefined>
  close(): Promise<void>
}

/** Returns threads, or undefined if this program has no file for them, for example because another project bundled it. */
export function startThreads(settings: CheckSettings & { most: number }): CheckThreads | undefined {
  const file = new URL('./check-worker.js', import.meta.url)
  const { key, withText, room, most, trees } = settings
  const count = Math.min(availableParallelism(), MOST_THREADS, most)
  const each: CheckSettings = { key, trees, withText, room: room / count }
  const threads = startAnswering<CheckRange, (CheckedBundle | undefined)[]>(file, count, each)
  if (threads.length === 0) return undefined
  return {
    count: threads.length,
    check: async (range) => idlest(threads)?.ask(range),
    async close() {
      await Promise.all(threads.map((thread) => thread.close()))
    },
  }
}
