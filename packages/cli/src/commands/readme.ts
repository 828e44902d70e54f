import type { Command } from 'commander'
import { readmeText } from '@service-fs/format/readme'
import type { Io } from '../io.ts'
import { perform } from '../perform.ts'

const HOW = `
A ledger keeps the README.txt that it was made with. This command prints the text that this version writes into new
ledgers. Its shell lines verify an entry of a ledger that any version made. Run the command on a machine that you trust,
and use those lines instead of the ones in the ledger: anyone who can write to a ledger's directory can change its
README.txt.`

/** `readme`: prints the newest README.txt of a ledger. */
export function addReadme(program: Command, io: Io): void {
  program
    .command('readme [origin]')
    .description(
      'print the README.txt of a ledger, with shell lines that verify an entry without this program',
    )
    .addHelpText('after', HOW)
    .action((origin: string | undefined) =>
      perform(io, false, () => io.out(readmeText(origin ?? 'in the file origin'))),
    )
}
