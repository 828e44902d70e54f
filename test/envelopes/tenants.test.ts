// Tenants that share a disk and its storage server, all working at once: each gets the same result as alone.

import fc from 'fast-check'
import { describe, it } from 'vitest'
import { inNode, openBundleCore } from './bundle.ts'
import { playBoth } from './core.ts'
import { memoryPlace, openCore } from './cores.ts'
import { histories, type History } from './history.ts'
import { noPsdb, sharedPlaces } from './psdb.ts'
import { QUICK } from '../support/quick.ts'
import { SEED } from '../support/seed.ts'

const TENANTS = ['a', 'bb', 'acme', 'acme-2', 'z'.repeat(63), '0']

/** Without kills, since all tenants share the process. */
function withoutKills(history: History): History {
  return history.map((step) =>
    step.do === 'restart' || step.do === 'cut' ? { do: 'restart', how: 'stop' } : step,
  )
}

describe.skipIf(noPsdb !== undefined)(`tenants of one storage server, SEED=${SEED}`, () => {
  it('each agree with Envelope A over memory', async () => {
    const all = fc.tuple(...TENANTS.map(() => histories(30)))
    const property = fc.asyncProperty(all, async (given) => {
      const places = await sharedPlaces(TENANTS)
      const played = given.map(async (history, i) => {
        const a = await openCore(memoryPlace('grow'))
        const b = await openBundleCore(places[i] as (typeof places)[number], inNode)
        try {
          await playBoth(withoutKills(history), a, b)
        } finally {
          await a.dispose()
          await b.dispose()
        }
      })
      const outcomes = await Promise.allSettled(played)
      for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason
    })
    await fc.assert(property, { numRuns: QUICK ? 3 : 25 })
  }, 1_200_000)
})
