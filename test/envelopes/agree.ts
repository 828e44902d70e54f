// Plays many histories, each to two cores. SEED=N chooses the histories; HISTORIES=N plays N times as many.

import fc from 'fast-check'
import { playBoth, type Core } from './core.ts'
import { histories } from './history.ts'

const TIMES = Number(process.env['HISTORIES'] ?? 1)
/** The longest history, in steps. */
const STEPS = 30

/** Rejects with the shortest history found on which the two differ. */
export async function agree(
  count: number,
  openA: () => Promise<Core>,
  openB: () => Promise<Core>,
): Promise<void> {
  const property = fc.asyncProperty(histories(STEPS), async (history) => {
    const a = await openA()
    const b = await openB()
    try {
      await playBoth(history, a, b)
    } finally {
      await a.dispose()
      await b.dispose()
    }
  })
  await fc.assert(property, { numRuns: count * TIMES })
}
