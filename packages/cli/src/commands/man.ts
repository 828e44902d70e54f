import type { Command } from 'commander'
import { commandTree } from '../command-tree.ts'
import type { Io } from '../io.ts'
import { manPage } from '../man-page.ts'
import { perform } from '../perform.ts'

/** `man`: prints the man page, for packages. `--help` does not list this command. */
export function addMan(program: Command, io: Io): void {
  program
    .command('man', { hidden: true })
    .description('print the man page, service-fs.1; SOURCE_DATE_EPOCH gives its date')
    .action(() =>
      perform(io, false, () =>
        io.out(manPage(commandTree(program), program.version() ?? '', process.env['SOURCE_DATE_EPOCH'])),
      ),
    )
}
