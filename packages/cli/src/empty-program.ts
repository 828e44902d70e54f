/** The `service-fs` program without its commands: it handles help, the version, errors and the exit status. */
import { Command, type Option } from 'commander'
import { EXIT_STATUSES } from './exit-statuses.ts'
import { processIo, type Io } from './io.ts'
import { USAGE } from './perform.ts'

/** The environment variables of the client commands. */
export const ENVIRONMENT: readonly (readonly [name: string, meaning: string])[] = [
  ['FS_URL', 'the default of --url'],
  ['FS_MODULE_ID', 'the default of --module-id'],
  ['FS_TOKEN', 'a bearer token'],
  ['FS_TOKEN_FILE', 'the default of --token-file'],
  ['FS_CACERT', 'the default of --cacert'],
  ['FS_CERT', 'the default of --cert'],
  ['FS_KEY', 'the default of --key'],
]

const HELP = `
Exit status: ${EXIT_STATUSES.map(({ status, summary }) => `${status} ${summary}`).join('; ')}.
The environment variables FS_URL, FS_MODULE_ID, FS_TOKEN_FILE, FS_CACERT, FS_CERT and FS_KEY set the defaults of the
options with these names. FS_TOKEN holds a bearer token.`

/** Returns the program without commands. Commands that are added with `command()` inherit its handling of output and exit. */
export function emptyProgram(io: Io = processIo): Command {
  const program = new StrictCommand('service-fs')
  program
    .description('A WORM ledger: append records, read them back, prove and verify them.')
    .version('0.1.0')
    .addHelpText('after', HELP)
    .showSuggestionAfterError()
    .exitOverride((error) => io.exit(error.exitCode === 0 ? 0 : USAGE))
    .configureOutput({
      writeOut: (text) => void io.out(text),
      writeErr: (text) => {
        for (const line of text.trimEnd().split('\n')) io.err(line)
      },
    })
  return program
}

/**
 * A command that reports an unknown option rather than a missing option. When a mandatory option is misspelled, both errors apply, but only
 * the error about the unknown option suggests the right name.
 */
class StrictCommand extends Command {
  override createCommand(name?: string): StrictCommand {
    return new StrictCommand(name)
  }

  /** Commander calls this method. Its types omit this method and `unknownOption`. */
  missingMandatoryOptionValue(option: Option): never {
    const unknown = this.args.find((arg) => /^-./.test(arg))
    if (unknown !== undefined)
      (this as unknown as { unknownOption(flag: string): void }).unknownOption(unknown)
    return this.error(`error: required option '${option.flags}' not specified`, {
      code: 'commander.missingMandatoryOptionValue',
    })
  }
}
