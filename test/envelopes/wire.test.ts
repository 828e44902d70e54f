// The wire protocol's conformance suite over both envelopes' cores, and over HTTP against both daemons.

import { describe, expect, it } from 'vitest'
import { nativeCrypto } from '@service-fs/native/native'
import { wireConformance } from '@service-fs/wire/conformance'
import { openBundleCore } from './bundle.ts'
import { openCore, posixPlace } from './cores.ts'
import { startEnvelope } from './daemons.ts'
import { noPsdb, psdbPlace } from './psdb.ts'
import { inEngine } from './quickjs.ts'

const common = { test: { describe, it, expect }, clock: true, crypto: nativeCrypto }

wireConformance({
  ...common,
  name: 'handle() over POSIX files',
  open: async () => openCore(await posixPlace()),
})

wireConformance({
  ...common,
  name: 'Envelope A over HTTP',
  open: () => startEnvelope('a'),
})

if (noPsdb !== undefined)
  describe.skip(`the bundle in QuickJS: ${noPsdb}`, () => it('conforms', () => undefined))
else {
  wireConformance({
    ...common,
    name: 'the bundle in QuickJS over PSDB',
    open: async () => openBundleCore(await psdbPlace(), inEngine),
  })
  wireConformance({
    ...common,
    name: 'Envelope B over HTTP',
    open: () => startEnvelope('b'),
  })
}
