/** The `service-fs` command. */
import { emptyProgram } from '@service-fs/client/empty-program'
import { processIo } from '@service-fs/client/io'

// A daemon does not load what only the client's commands need, and the other way round.
if (process.argv[2] === 'serve') {
  const { addServe } = await import('./command.ts')
  const program = emptyProgram()
  addServe(program, processIo)
  await program.parseAsync()
} else {
  const { buildProgram } = await import('@service-fs/client/program')
  const { describeServe } = await import('./serve-options.ts')
  const program = buildProgram()
  describeServe(program)
  await program.parseAsync()
}
