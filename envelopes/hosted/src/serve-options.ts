/** The flags of `serve`. */
import type { Command } from 'commander'

/** Where a daemon listens unless it is told otherwise. */
export const DEFAULT_LISTEN: string = '127.0.0.1:8080'

/** Adds `serve` with its flags, and nothing that it does. */
export function describeServe(program: Command): Command {
  return program
    .command('serve')
    .description(
      "run one tenant's ledger; FS_MODULE_ID, FS_LEDGER_ROOT, FS_LISTEN and FS_ORIGIN stand for the flags",
    )
    .option('--module-id <id>', 'the tenant')
    .option('--root <dir>', 'the directory that holds the ledgers, each in a directory of its own')
    .option('--listen <address>', `HOST:PORT, [IPV6]:PORT or unix:/path (default: ${DEFAULT_LISTEN})`)
    .option('--origin <origin>', "a new ledger's origin; it stays for good")
    .option('--json', 'say where it listens in one line of JSON')
}
