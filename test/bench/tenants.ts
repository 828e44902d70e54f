// Ten tenants at once against one, through `service-fs host`: the same number of clients in all.

import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { startHost, type Host } from '../support/host.ts'
import { type Load, type Measurement, measure } from './load.ts'
import { sampleUsage } from './memory.ts'
import type { Options } from './options.ts'
import { ONE } from './report.ts'
import { checkpointSize, recordedReads, type Server, startServiceFs } from './servers.ts'

/** Clients in all. */
const CLIENTS = 60
/** Entries that each tenant has for the reads. */
const READ_FROM = 2000

const TEN = 'service-fs, 10 tenants'
const DIRECT = 'service-fs, no front'

export interface TenantLoad {
  name: string
  sides: { side: string; run: () => Promise<Record<string, Measurement>> }[]
}

/** Appends and recorded reads: one tenant without the front, one behind it, ten behind it. */
export function tenantLoads(options: Options): TenantLoad[] {
  return (['single', 'read'] as const).map((mode) => {
    const name = `host: ${mode === 'read' ? 'reads' : 'appends'}, ${CLIENTS} clients`
    const load = { mode, seconds: options.seconds }
    return {
      name,
      sides: [
        { side: DIRECT, run: async () => ({ [name]: await direct(options, load) }) },
        { side: ONE, run: async () => ({ [name]: await hosted(options, load, 1) }) },
        { side: TEN, run: async () => ({ [name]: await hosted(options, load, 10) }) },
      ],
    }
  })
}

type Wanted = Pick<Load, 'mode' | 'seconds'>

async function direct(options: Options, load: Wanted): Promise<Measurement> {
  const server = await startServiceFs(options.dir)
  try {
    await prepare(server, load)
    return await measure(server, { ...load, clients: CLIENTS })
  } finally {
    await server.dispose()
  }
}

async function hosted(options: Options, load: Wanted, tenants: number): Promise<Measurement> {
  const ids = Array.from({ length: tenants }, (_, i) => `bench${i}`)
  const root = join(options.dir, `host-${tenants}`)
  const host = await startHost({ tenants: ids, config: { root, idleStopSeconds: 0 } })
  try {
    const servers = ids.map((id) => tenantOf(host, id))
    // Start all tenants before measuring.
    for (const server of servers) await prepare(server, load)
    const sampler = sampleUsage(host.pid, 1000)
    const clients = CLIENTS / tenants
    const each = await Promise.all(servers.map((server) => measure(server, { ...load, clients })))
    return { ...together(each), usage: sampler.stop() }
  } finally {
    await host.dispose()
    await rm(root, { recursive: true, force: true })
  }
}

async function prepare(server: Server, { mode }: Wanted): Promise<void> {
  await server.size()
  if (mode === 'read')
    await measure(server, { mode: 'batch', clients: 2, batch: 500, seconds: 60, total: READ_FROM })
}

const nothing = (): Promise<void> => Promise.resolve()

/** A tenant of the host as a server of its own. Memory and CPU time are measured for the whole host, not per tenant. */
function tenantOf(host: Host, moduleId: string): Server {
  return {
    target: 'service-fs',
    url: host.url,
    pid: 0,
    moduleId,
    size: () => checkpointSize(`${host.url}checkpoint`, { 'x-foundry-module-id': moduleId }),
    recorded: () => recordedReads(host.url, moduleId),
    stop: nothing,
    verify: nothing,
    dispose: nothing,
  }
}

/** Rates add up; the latencies are the slowest tenant's. */
function together(all: readonly Measurement[]): Measurement {
  const first = all[0]
  if (first === undefined) throw new RangeError('no tenants')
  const sum = (value: (m: Measurement) => number): number => all.reduce((total, m) => total + value(m), 0)
  const most = (value: (m: Measurement) => number): number => Math.max(...all.map(value))
  return {
    ...first,
    rate: sum((m) => m.rate),
    p50: most((m) => m.p50),
    p99: most((m) => m.p99),
    clients: sum((m) => m.clients),
  }
}
