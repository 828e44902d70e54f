// The wire protocol's conformance suite over HTTP against Envelope B's daemon.

import { describe, expect, it } from 'vitest'
import { nativeCrypto } from '@service-fs/native/native'
import { wireConformance } from '@service-fs/wire/conformance'
import { daemonBuilt } from '../support/daemon.ts'
import { bundleBuilt, startEnvelope } from './daemons.ts'
import { noPsdb } from './psdb.ts'

describe.skipIf(!daemonBuilt || !bundleBuilt || noPsdb !== undefined)('over HTTP and PSDB', () => {
  wireConformance({
    name: 'Envelope B',
    test: { describe, it, expect },
    clock: true,
    crypto: nativeCrypto,
    open: () => startEnvelope('b'),
  })
})
