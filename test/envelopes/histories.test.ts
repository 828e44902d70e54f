// Both envelopes give the same answers and byte-identical exports for the same histories.

import { describe, it } from 'vitest'
import { agree } from './agree.ts'
import { inNode, openBundleCore } from './bundle.ts'
import type { Core } from './core.ts'
import { memoryPlace, openCore, posixPlace } from './cores.ts'
import { noPsdb, psdbPlace } from './psdb.ts'
import { QUICK } from '../support/quick.ts'
import { SEED } from '../support/seed.ts'

const grow = (): Promise<Core> => openCore(memoryPlace('grow'))
const posix = async (): Promise<Core> => openCore(await posixPlace())
const bundle = async (): Promise<Core> => openBundleCore(await psdbPlace(), inNode)

describe(`histories, SEED=${SEED}`, () => {
  it('Envelope A over files = Envelope A over memory', () => agree(QUICK ? 4 : 100, grow, posix), 3_600_000)

  describe.skipIf(noPsdb !== undefined)('with the storage server', () => {
    it(
      'Envelope A over memory = the bundle over PSDB',
      () => agree(QUICK ? 30 : 1500, grow, bundle),
      3_600_000,
    )
    it('Envelope A over files = the bundle over PSDB', () => agree(QUICK ? 4 : 100, posix, bundle), 3_600_000)
  })
})
