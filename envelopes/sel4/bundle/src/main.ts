/** The script that the engine evaluates: it reads `globalThis.host` and sets `globalThis.serviceFs`. */
import type { Globals } from './host.ts'
import { createService } from './service.ts'

const globals = globalThis as unknown as Globals
globals.serviceFs = createService(globals.host)
