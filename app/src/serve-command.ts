/** Adds `serve` to the command line. */
import type { Command } from 'commander'
import type { Io } from '@service-fs/cli/io'
import { perform, USAGE } from '@service-fs/cli/perform'
import { configOf, diskConfigOf, envelopeOf, type ServeFlags } from './serve-config.ts'
import { HostedError } from '@service-fs/http/errors'
import { serve, type Served } from '@service-fs/hosted/tenant/serve'
import { describeServe } from './serve-options.ts'

export function addServe(program: Command, io: Io): void {
  describeServe(program).action((flags: ServeFlags & { json?: boolean }) =>
    perform(io, flags.json, () => run(flags, io)),
  )
}

async function run(flags: ServeFlags & { json?: boolean }, io: Io): Promise<number> {
  try {
    const chosen = starter(flags)
    await serve(chosen.moduleId, (log) => chosen.start(log), flags.json === true, io)
    return 0
  } catch (error) {
    if (!(error instanceof HostedError && error.code === 'usage')) throw error
    io.err(`service-fs: ${error.message}`)
    return USAGE
  }
}

interface Starter {
  moduleId: string
  start(log: (line: string) => void): Promise<Served>
}

/** Returns the function that starts the requested envelope. It does not load the other one. @throws HostedError `usage` */
function starter(flags: ServeFlags): Starter {
  if (envelopeOf(flags, process.env) === 'a') {
    const config = configOf(flags, process.env)
    return {
      moduleId: config.moduleId,
      start: async (log) => (await import('@service-fs/hosted/tenant/daemon')).start(config, log),
    }
  }
  const config = diskConfigOf(flags, process.env)
  return {
    moduleId: config.moduleId,
    start: async (log) => (await import('./appliance.ts')).startAppliance(config, log),
  }
}
