import type { Command } from 'commander'
import { readmeText } from '@service-fs/format/readme'
import { VERIFY_SH } from '@service-fs/format/verify-shell'
import type { Io } from '../io.ts'
import { perform } from '../perform.ts'

const HOW = `
A ledger keeps the README.txt that it was made with. This command prints the text that this version writes into new
ledgers. Its shell lines verify an entry of a ledger that any version made; --verify-sh prints the script verify.sh,
which verifies a whole ledger. Run the command on a machine that you trust, and use those lines and that script instead of
the ones in the ledger: anyone who can write to a ledger's directory can change them.`

/** `readme`: prints the newest README.txt of a ledger. */
export function addReadme(program: Command, io: Io): void {
  program
    .command('readme [origin]')
    .description(
      'print the README.txt of a ledger, with shell lines that verify an entry without this program',
    )
    .option('--verify-sh', 'instead print verify.sh, which verifies a whole ledger without this program')
    .addHelpText('after', HOW)
    .action((origin: string | undefined, { verifySh }: { verifySh?: boolean }) =>
      perform(io, false, () =>
        io.out(verifySh === true ? VERIFY_SH : readmeText(origin ?? 'in the file origin')),
      ),
    )
}
