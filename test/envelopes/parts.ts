// Which parts of the wire protocol's conformance suite the quick set runs over Envelope A's daemon.

import type { WirePart } from '@service-fs/wire/conformance-tools'

/** Parts whose results depend on HTTP connections, or on the process. The others depend on the core, which the quick set tests in memory. */
export const OF_THE_PROCESS: readonly WirePart[] = ['routes', 'coded bodies', 'streams', 'restarts', 'clock']
