// The wire protocol's conformance suite over both envelopes' cores, and over HTTP against both daemons.

import { describe, expect, it } from 'vitest'
import { nativeCrypto } from '@service-fs/native/native'
import { wireConformance } from '@service-fs/wire/conformance'
import type { WireSubject } from '@service-fs/wire/conformance-tools'
import { daemonBuilt } from '../support/daemon.ts'
import { openBundleCore } from './bundle.ts'
import { openCore, posixPlace } from './cores.ts'
import { bundleBuilt, startEnvelope } from './daemons.ts'
import { openFastify } from './fastify.ts'
import { noPsdb, psdbPlace } from './psdb.ts'
import { inEngine } from './quickjs.ts'

const openBundle = async (): Promise<WireSubject> => openBundleCore(await psdbPlace(), inEngine)

const common = { test: { describe, it, expect }, clock: true, crypto: nativeCrypto }

wireConformance({
  ...common,
  name: 'handle() over POSIX files',
  open: async () => openCore(await posixPlace()),
})

wireConformance({ ...common, name: 'a Fastify app', open: () => openFastify('/ledgers/main') })

describe.skipIf(!daemonBuilt)('over HTTP', () => {
  wireConformance({ ...common, name: 'Envelope A', open: () => startEnvelope('a') })
})

describe.skipIf(noPsdb !== undefined)('over PSDB', () => {
  wireConformance({ ...common, name: 'the bundle in QuickJS', open: openBundle })
})

describe.skipIf(!daemonBuilt || !bundleBuilt || noPsdb !== undefined)('over HTTP and PSDB', () => {
  wireConformance({ ...common, name: 'Envelope B', open: () => startEnvelope('b') })
})
