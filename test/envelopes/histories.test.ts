// What the envelopes do with the same histories: the same answers, and exports of the same bytes.

import fc from 'fast-check'
import { describe, it } from 'vitest'
import { playBoth, type Core } from './core.ts'
import { memoryPlace, openCore, posixPlace } from './cores.ts'
import { histories } from './history.ts'
import { inNode, openBundleCore } from './bundle.ts'
import { psdbPlace } from './psdb.ts'

const SEED = Number(process.env['SEED'] ?? Date.now() % 1_000_000)
/** How many times as many histories as usual. */
const TIMES = Number(process.env['HISTORIES'] ?? 1)

async function agree(
  count: number,
  steps: number,
  a: () => Promise<Core>,
  b: () => Promise<Core>,
): Promise<void> {
  const property = fc.asyncProperty(histories(steps), async (history) => {
    const cores = await Promise.all([a(), b()])
    try {
      await playBoth(history, ...cores)
    } finally {
      for (const core of cores) await core.dispose()
    }
  })
  await fc.assert(property, { seed: SEED, numRuns: count * TIMES })
}

const grow = (): Promise<Core> => openCore(memoryPlace('grow'))
const each = (): Promise<Core> => openCore(memoryPlace('each'))
const posix = async (): Promise<Core> => openCore(await posixPlace())
const psdb = async (): Promise<Core> => openCore(await psdbPlace())
const bundle = async (): Promise<Core> => openBundleCore(await psdbPlace(), inNode)

describe(`histories, SEED=${SEED}`, () => {
  it('memory, grow = memory, each', () => agree(100, 30, grow, each), 600_000)
  it('memory, grow = POSIX', () => agree(100, 30, grow, posix), 600_000)
  it('memory, grow = PSDB', () => agree(100, 30, grow, psdb), 600_000)
  it('memory, grow = the bundle in Node.js over PSDB', () => agree(100, 30, grow, bundle), 600_000)
})
