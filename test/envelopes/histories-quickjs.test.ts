// The same histories, with the shipped bundle in QuickJS.

import { describe, it } from 'vitest'
import { agree } from './agree.ts'
import { openBundleCore } from './bundle.ts'
import { memoryPlace, openCore } from './cores.ts'
import { noPsdb, psdbPlace } from './psdb.ts'
import { inEngine } from './quickjs.ts'
import { QUICK } from '../support/quick.ts'
import { SEED } from '../support/seed.ts'

describe.skipIf(noPsdb !== undefined)(`histories, SEED=${SEED}`, () => {
  it('Envelope A over memory = the bundle in QuickJS over PSDB', () => {
    return agree(
      QUICK ? 8 : 250,
      () => openCore(memoryPlace('grow')),
      async () => openBundleCore(await psdbPlace(), inEngine),
    )
  }, 3_600_000)
})
