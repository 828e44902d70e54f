// The parts of the wire protocol's conformance suite that ./wire.test.ts leaves out, against Envelope A's daemon.

import { describe, expect, it } from 'vitest'
import { nativeCrypto } from '@service-fs/native/native'
import { WIRE_PARTS, wireConformance } from '@service-fs/wire/conformance'
import { daemonBuilt } from '../support/daemon.ts'
import { startEnvelope } from './daemons.ts'
import { OF_THE_PROCESS } from './parts.ts'

describe.skipIf(!daemonBuilt)('over HTTP', () => {
  wireConformance({
    name: 'Envelope A',
    test: { describe, it, expect },
    clock: true,
    crypto: nativeCrypto,
    open: () => startEnvelope('a'),
    parts: WIRE_PARTS.filter((part) => !OF_THE_PROCESS.includes(part)),
  })
})
