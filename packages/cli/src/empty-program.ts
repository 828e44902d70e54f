/** What every command of `service-fs` has in common: help, version, how it ends. */
import { Command } from 'commander'
import { processIo, type Io } from './io.ts'
import { USAGE } from './perform.ts'

const EXIT_CODES = `
Exit status: 0 done, and true; 1 found to be false; 2 wrong usage; 3 could not be done.
FS_URL, FS_MODULE_ID, FS_TOKEN_FILE, FS_CACERT, FS_CERT and FS_KEY stand for the options of these names; FS_TOKEN
holds a bearer token.`

/** The program without its commands, which are added with `command()` and inherit how it ends. */
export function emptyProgram(io: Io = processIo): Command {
  const program = new Command('service-fs')
  program
    .description('A WORM ledger: append records, read them back, prove and verify them.')
    .version('0.1.0')
    .addHelpText('after', EXIT_CODES)
    .exitOverride((error) => io.exit(error.exitCode === 0 ? 0 : USAGE))
    .configureOutput({
      writeOut: (text) => void io.out(text),
      writeErr: (text) => {
        for (const line of text.trimEnd().split('\n')) io.err(line)
      },
    })
  return program
}
