// A host: one tenant behind its front, ten tenants behind it, and one daemon without a front, with the same number of clients in all.

import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { startHost, type Host } from '../../support/host.ts'
import type { Build } from '../builds.ts'
import type { Contest, Measurement } from '../contest.ts'
import { type Load, measure } from '../load.ts'
import { checkpointSize, recordedReads, type Server, startServiceFs } from '../servers.ts'
import { watchUsage } from '../usage.ts'
import { type Context, sidesOfBuilds } from './context.ts'

/** Clients in all. */
const CLIENTS = 60
/** Entries that each tenant has for the reads. */
const READ_FROM = 2000

export const FRONT = '1 tenant behind a front'
const TEN = '10 tenants behind a front'
const DIRECT = 'no front'

export function frontLoads(context: Context): Contest[] {
  return (['single', 'read'] as const).map((mode) => {
    const name = mode === 'read' ? 'front-read' : 'front-append'
    const { seconds, warmup, short } = context.options
    const load: Load = { mode, seconds, warmup, clients: CLIENTS }
    const of = (title: string, run: (build: Build) => Promise<Measurement>): Contest['sides'] =>
      sidesOfBuilds(context, title, async (build) => ({ [name]: await run(build) }))
    const sides = [
      ...of(FRONT, (build) => hosted(context, build, load, 1)),
      ...of(DIRECT, (build) => direct(context, build, load)),
    ]
    if (!short) sides.push(...of(TEN, (build) => hosted(context, build, load, 10)))
    return { loads: [name], sides }
  })
}

async function direct({ dir: work }: Context, build: Build, load: Load): Promise<Measurement> {
  const server = await startServiceFs(build, { work })
  try {
    await prepare(server, load)
    return await measure(server, load)
  } finally {
    await server.dispose()
  }
}

async function hosted(
  { dir }: Context,
  { command }: Build,
  load: Load,
  tenants: number,
): Promise<Measurement> {
  const ids = Array.from({ length: tenants }, (_, i) => `bench${i}`)
  const root = join(dir, `host-${tenants}`)
  const host = await startHost({ tenants: ids, config: { root, idleStopSeconds: 0 }, command })
  try {
    const servers = ids.map((id) => tenantOf(host, id))
    // Start all tenants before measuring.
    for (const server of servers) await prepare(server, load)
    const watch = watchUsage(host.pid)
    const clients = load.clients / tenants
    const each = await Promise.all(servers.map((server) => measure(server, { ...load, clients })))
    return { ...together(each), usage: watch.stop() }
  } finally {
    await host.dispose()
    await rm(root, { recursive: true, force: true })
  }
}

async function prepare(server: Server, { mode }: Load): Promise<void> {
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
    dispose: nothing,
  }
}

/** Rates add up; the latencies are the slowest tenant's. */
function together(all: readonly Measurement[]): Measurement {
  const first = all[0]
  if (first === undefined) throw new RangeError('no tenants')
  const sum = (of: (m: Measurement) => number): number => all.reduce((total, m) => total + of(m), 0)
  const most = (of: (m: Measurement) => number | undefined): number => Math.max(...all.map((m) => of(m) ?? 0))
  return {
    ...first,
    value: sum((m) => m.value),
    p50: most((m) => m.p50),
    p99: most((m) => m.p99),
    count: sum((m) => m.count),
  }
}
