/** The `service-fs` command. */
import { processIo } from '@service-fs/client/io'
import { buildProgram } from '@service-fs/client/program'
import { addServe } from './command.ts'

const program = buildProgram()
addServe(program, processIo)
await program.parseAsync()
