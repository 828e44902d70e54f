// The wire protocol's conformance suite over HTTP against Envelope A's daemon. ./wire-cores.test.ts and ./wire-b.test.ts run it
// over other places.

import { describe, expect, it } from 'vitest'
import { nativeCrypto } from '@service-fs/native/native'
import { wireConformance } from '@service-fs/wire/conformance'
import { daemonBuilt } from '../support/daemon.ts'
import { startEnvelope } from './daemons.ts'

describe.skipIf(!daemonBuilt)('over HTTP', () => {
  wireConformance({
    name: 'Envelope A',
    test: { describe, it, expect },
    clock: true,
    crypto: nativeCrypto,
    open: () => startEnvelope('a'),
  })
})
