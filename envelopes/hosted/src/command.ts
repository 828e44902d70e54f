/** Adds `serve` to the command line. */
import type { Command } from 'commander'
import type { Io } from '@service-fs/client/io'
import { perform, USAGE } from '@service-fs/client/options'
import { configOf, DEFAULT_LISTEN, type ServeFlags } from './config.ts'
import { HostedError } from './errors.ts'
import { serve } from './serve.ts'

export function addServe(program: Command, io: Io): void {
  program
    .command('serve')
    .description(
      "run one tenant's ledger; FS_MODULE_ID, FS_LEDGER_ROOT, FS_LISTEN and FS_ORIGIN stand for the flags",
    )
    .option('--module-id <id>', 'the tenant')
    .option('--root <dir>', 'the directory that holds the ledgers, each in a directory of its own')
    .option('--listen <address>', `HOST:PORT, [IPV6]:PORT or unix:/path (default: ${DEFAULT_LISTEN})`)
    .option('--origin <origin>', "a new ledger's origin; it stays for good")
    .option('--json', 'say where it listens in one line of JSON')
    .action((flags: ServeFlags & { json?: boolean }) => perform(io, flags.json, () => run(flags, io)))
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
