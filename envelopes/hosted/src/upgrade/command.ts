/** Adds the command `upgrade`, which adds files to ledgers that earlier versions made. */
import { resolve } from 'node:path'
import type { Command } from 'commander'
import type { Io } from '@service-fs/cli/io'
import { perform } from '@service-fs/cli/perform'

interface UpgradeFlags {
  json?: boolean
}

const NOTES = `
Adds verify.sh, the script that verifies a ledger without this program, to a ledger that has none, and to its audit
sub-ledger. If README.txt does not name the script's hash, also adds README-2.txt, which does. Changes no existing file.
Stop the daemon first: the command refuses a ledger that a process writes to.`

export function addUpgrade(program: Command, io: Io): void {
  program
    .command('upgrade <dir>')
    .description('add verify.sh to a ledger that an earlier version made; changes no existing file')
    .option('--json', 'print the added files as JSON')
    .addHelpText('after', NOTES)
    .action((dir: string, flags: UpgradeFlags) => perform(io, flags.json, () => upgrade(dir, flags, io)))
}

async function upgrade(dir: string, flags: UpgradeFlags, io: Io): Promise<void> {
  const { upgradeLedger } = await import('./files.ts')
  const added = await upgradeLedger(resolve(dir))
  if (flags.json === true) return io.out(`${JSON.stringify({ dir, added })}\n`)
  const lines = added.map((path) => `added ${path}\n`)
  await io.out(lines.length > 0 ? lines.join('') : 'nothing to add\n')
}
