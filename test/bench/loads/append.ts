// Appends, one record or a batch in a request.

import type { Contest, Results } from '../contest.ts'
import { measure } from '../load.ts'
import { type Server, startServiceFs, startTessera } from '../servers.ts'
import { type Await, type Phase, phases } from '../settings.ts'
import { type Context, PUBLISHED, SERVICE_FS, sidesOfBuilds, TESSERA } from './context.ts'

/** Every measurement has a new server on an empty directory. */
export function appendLoads(context: Context): Contest[] {
  const { short } = context.options
  return phases
    .filter(({ name }) => !short || name !== 'append-16')
    .map((phase) => appendContest(context, phase))
}

function appendContest(context: Context, phase: Phase): Contest {
  const { options, dir: work } = context
  const { name, mode, clients, batch, payload, tessera } = phase
  const under = async (start: () => Promise<Server>): Promise<Results> => {
    const server = await start()
    try {
      const { seconds, warmup } = options
      return { [name]: await measure(server, { mode, clients, batch, payload, seconds, warmup }) }
    } finally {
      await server.dispose()
    }
  }
  const peer = (title: string, until: Await): Contest['sides'][number] => ({
    name: title,
    run: () => under(() => startTessera(until, tessera[until], { work })),
  })
  const sides = sidesOfBuilds(context, SERVICE_FS, (build) => under(() => startServiceFs(build, { work })))
  if (options.sides.tessera) {
    sides.push(peer(TESSERA, 'integrated'))
    if (!options.short) sides.push(peer(PUBLISHED, 'published'))
  }
  return { loads: [name], sides }
}
