// The ledger's conformance suite over the storages of both envelopes.

import { describe, expect, it } from 'vitest'
import { ledgerConformance } from '@service-fs/ledger/conformance'
import { nativeCrypto } from '@service-fs/native/native'
import { DEFAULT_LIMITS, ledgerLimits } from '@service-fs/bundle/limits'
import { posixPlace, REGION_BYTES, type Place } from './cores.ts'
import { noPsdb, psdbPlace } from './psdb.ts'

/** The main ledger's storage of a place; reopening first drops the open one. */
async function subject(place: Place): Promise<ReturnType<Parameters<typeof ledgerConformance>[0]['open']>> {
  return {
    storage: (await place.open()).main,
    async reopen() {
      await place.drop()
      return (await place.open()).main
    },
    async dispose() {
      await place.drop()
      await place.dispose()
    },
  }
}

const test = { describe, it, expect }
const turn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve))

ledgerConformance({
  name: 'POSIX files',
  test,
  turn,
  crypto: nativeCrypto,
  entries: 8_000,
  open: async () => subject(await posixPlace()),
})

describe.skipIf(noPsdb !== undefined)('over the storage server', () => {
  ledgerConformance({
    name: 'PSDB, killed when it is reopened',
    test,
    turn,
    crypto: nativeCrypto,
    limits: ledgerLimits(DEFAULT_LIMITS, REGION_BYTES),
    open: async () => subject(await psdbPlace()),
  })
})
