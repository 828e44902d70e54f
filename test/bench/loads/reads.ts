// Reads of single records, tiles, bundles and pages of records. The daemon records each read, unless the ledger's reads are public.

import type { Contest, Side } from '../contest.ts'
import { measure, type Mode } from '../load.ts'
import { type Server, startPublic, startServiceFs, startTessera } from '../servers.ts'
import { forReads } from '../settings.ts'
import { type Context, SERVICE_FS, sidesOfBuilds, TESSERA } from './context.ts'

const CLIENTS = 64
/** Clients and records of a page for `entries`. */
const PAGES = { clients: 4, batch: 1000 }

export function readLoads(context: Context): Contest[] {
  const { readFrom } = context.options
  const { fixtures } = context
  const load = (name: string, mode: Mode, ofTessera: boolean, isPublic = false): Contest => {
    const sides: Side[] = sidesOfBuilds(context, SERVICE_FS, async (build) => {
      const root = await fixtures.ledger(build, readFrom, isPublic ? 'public' : 'recorded')
      const start = (): Promise<Server> =>
        isPublic ? startPublic(build, root) : startServiceFs(build, { root })
      return { [name]: await reading(context, start, mode) }
    })
    if (ofTessera && context.options.sides.tessera)
      sides.push({
        name: TESSERA,
        run: async () => {
          const root = await fixtures.tessera(readFrom)
          const start = (): Promise<Server> => startTessera('integrated', forReads, { root })
          return { [name]: await reading(context, start, mode) }
        },
      })
    return { loads: [name], sides }
  }
  return [
    load('read-record', 'read', false),
    load('read-tile', 'tile', true),
    load('read-bundle', 'bundle', true),
    load('public-tile', 'tile', true, true),
    load('public-bundle', 'bundle', true, true),
    load('entries', 'entries', false),
    load('public-entries', 'entries', false, true),
  ]
}

async function reading(
  { options }: Context,
  start: () => Promise<Server>,
  mode: Mode,
): Promise<Awaited<ReturnType<typeof measure>>> {
  const server = await start()
  try {
    const { seconds, warmup } = options
    const how = mode === 'entries' ? PAGES : { clients: CLIENTS }
    return await measure(server, { mode, ...how, seconds, warmup })
  } finally {
    await server.dispose()
  }
}
