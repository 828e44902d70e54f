/** The `service-fs` command. */
import { CLIENT_COMMANDS } from '@service-fs/cli/command-loaders'
import { emptyProgram } from '@service-fs/cli/empty-program'
import { processIo } from '@service-fs/cli/io'
import { COMMANDS } from './commands.ts'

// Load only the modules of the requested command.
const name = process.argv[2] ?? ''
const asked = [COMMANDS, CLIENT_COMMANDS].find((commands) => Object.hasOwn(commands, name))?.[name]
const program =
  asked === undefined ? (await import('@service-fs/cli/program')).buildProgram() : emptyProgram()
for (const load of asked === undefined ? Object.values(COMMANDS) : [asked]) (await load())(program, processIo)
await program.parseAsync()
