// The parts of the wire protocol's conformance suite that depend on HTTP and on the process, against Envelope A's daemon.
// ./wire-a.test.ts runs the other parts against it; ./wire-cores.test.ts and ./wire-b.test.ts run the suite over other places.

import { describe, expect, it } from 'vitest'
import { nativeCrypto } from '@service-fs/native/native'
import { wireConformance } from '@service-fs/wire/conformance'
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
    parts: OF_THE_PROCESS,
  })
})
