// Serves a ledger as the daemon does: our listener passes each request to the wire.

import { startHttp } from '@service-fs/http/http'
import { LISTEN, serveBy } from './served.ts'

await serveBy((options) => startHttp(LISTEN, options))
