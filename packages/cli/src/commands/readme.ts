import type { Command } from 'commander'
import { readmeText } from '@service-fs/format/readme'
import type { Io } from '../io.ts'
import { perform } from '../perform.ts'

const HOW = `
A ledger keeps the README.txt that it was made with. This prints the one that this version writes into new ledgers: its shell
lines check an entry of a ledger that any version made. It is also where to take these lines from on a machine that you
trust: whoever can change a ledger's directory can change its README.txt.`

/** `readme`: the newest README.txt of a ledger directory. */
export function addReadme(program: Command, io: Io): void {
  program
    .command('readme [origin]')
    .description(
      'print the README.txt of a ledger, with shell lines that check an entry without this program',
    )
    .addHelpText('after', HOW)
    .action((origin: string | undefined) =>
      perform(io, false, () => io.out(readmeText(origin ?? 'in the file origin'))),
    )
}
