/** Adds `serve` to the command line. */
import type { Command } from 'commander'
import type { Io } from '@service-fs/client/io'
import { perform, USAGE } from '@service-fs/client/options'
import { configOf, type ServeFlags } from './config.ts'
import { HostedError } from './errors.ts'
import { serve } from './serve.ts'
import { describeServe } from './serve-options.ts'

export function addServe(program: Command, io: Io): void {
  describeServe(program).action((flags: ServeFlags & { json?: boolean }) =>
    perform(io, flags.json, () => run(flags, io)),
  )
}

async function run(flags: ServeFlags & { json?: boolean }, io: Io): Promise<number> {
  try {
    await serve(configOf(flags, process.env), flags.json === true, io)
    return 0
  } catch (error) {
    if (!(error instanceof HostedError && error.code === 'usage')) throw error
    io.err(`service-fs: ${error.message}`)
    return USAGE
  }
}
