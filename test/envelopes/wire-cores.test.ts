// The wire protocol's conformance suite over both envelopes' cores, and over a Fastify app.

import { describe, expect, it } from 'vitest'
import { nativeCrypto } from '@service-fs/native/native'
import { wireConformance } from '@service-fs/wire/conformance'
import { openBundleCore } from './bundle.ts'
import { openCore, posixPlace } from './cores.ts'
import { openFastify } from './fastify.ts'
import { noPsdb, psdbPlace } from './psdb.ts'
import { inEngine } from './quickjs.ts'

const common = { test: { describe, it, expect }, clock: true, crypto: nativeCrypto }

wireConformance({
  ...common,
  name: 'handle() over POSIX files',
  open: async () => openCore(await posixPlace()),
})

wireConformance({ ...common, name: 'a Fastify app', open: () => openFastify('/ledgers/main') })

describe.skipIf(noPsdb !== undefined)('over PSDB', () => {
  wireConformance({
    ...common,
    name: 'the bundle in QuickJS',
    open: async () => openBundleCore(await psdbPlace(), inEngine),
  })
})
