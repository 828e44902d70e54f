/** The `service-fs` program with the client commands. The app adds the commands of the daemon. */
import type { Command } from 'commander'
import { addAlgorithms } from './commands/algorithms.ts'
import { addAppend } from './commands/append.ts'
import { addAudit } from './commands/audit.ts'
import { addClock } from './commands/clock.ts'
import { addCompletion } from './commands/completion.ts'
import { addDrill } from './commands/drill.ts'
import { addExamine } from './commands/examine.ts'
import { addExport } from './commands/export.ts'
import { addFollow } from './commands/follow.ts'
import { addGet } from './commands/get.ts'
import { addKeygen } from './commands/keygen.ts'
import { addLs } from './commands/ls.ts'
import { addMan } from './commands/man.ts'
import { addMirror } from './commands/mirror.ts'
import { addProof } from './commands/proof.ts'
import { addProvision } from './commands/provision.ts'
import { addReadme } from './commands/readme.ts'
import { addRepair } from './commands/repair.ts'
import { addRehash } from './commands/rehash.ts'
import { addRestore } from './commands/restore.ts'
import { addSearch } from './commands/search.ts'
import { addRetention } from './commands/retention.ts'
import { addVerifyProof } from './commands/verify-proof.ts'
import { addVerify } from './commands/verify.ts'
import { emptyProgram } from './empty-program.ts'
import { processIo, visibleIo, type Io } from './io.ts'

/** Returns the program with its commands. Commands that are added with `command()` inherit the handling of output and exit. */
export function buildProgram(raw: Io = processIo): Command {
  const io = visibleIo(raw)
  const program = emptyProgram(io)
  for (const add of [
    addKeygen,
    addAppend,
    addGet,
    addLs,
    addSearch,
    addFollow,
    addProof,
    addVerify,
    addAlgorithms,
    addVerifyProof,
    addAudit,
    addClock,
    addExamine,
    addRetention,
    addRehash,
    addExport,
    addRestore,
    addMirror,
    addRepair,
    addDrill,
    addReadme,
    addProvision,
    addCompletion,
    addMan,
  ])
    add(program, io)
  return program
}
