import type { Command } from 'commander'
import { ClientError } from '@service-fs/client/errors'
import type { Connection } from '@service-fs/client/http'
import type { Io } from '../io.ts'
import { parseCount } from '../numbers.ts'
import { ledgerOptions, withLedger, writeOutput, type LedgerOptions } from '../options.ts'
import { perform } from '../perform.ts'
import { fetchProof, readProof } from '@service-fs/client/proof'
import { readRecordById } from '@service-fs/client/read'

interface ProofOptions extends LedgerOptions {
  id?: string
  cursor?: string
  out?: string
  json?: boolean
}

/** `proof`: fetches the .tlog-proof of one record. */
export function addProof(program: Command, io: Io): void {
  ledgerOptions(program.command('proof'))
    .description('fetch the .tlog-proof of a record; verify-proof checks it offline')
    .option('--id <id>', 'the record with this identifier')
    .option('--cursor <n>', 'the record with this cursor')
    .option('--out <file>', 'write the proof to this file (default: standard output)')
    .option('--json', 'print {"index", "proof"}')
    .action((options: ProofOptions) =>
      perform(io, options.json, () => withLedger(options, (to) => proof(to, options, io))),
    )
}

async function proof(connection: Connection, options: ProofOptions, io: Io): Promise<void> {
  const text = await fetchProof(connection, await cursorOf(connection, options))
  const { index } = readProof(text)
  if (options.out !== undefined) await writeOutput(options.out, text)
  if (options.json === true) await io.out(JSON.stringify({ index, file: options.out, proof: text }) + '\n')
  else if (options.out === undefined) await io.out(Buffer.from(text))
}

/** Returns the cursor of the record that `--id` or `--cursor` names. @throws ClientError `usage`, `not-found` */
async function cursorOf(connection: Connection, options: { id?: string; cursor?: string }): Promise<number> {
  if ((options.id === undefined) === (options.cursor === undefined))
    throw new ClientError('usage', 'expected either --id or --cursor')
  if (options.id === undefined) return parseCount(options.cursor ?? '', '--cursor', 1)
  return (await readRecordById(connection, options.id)).cursor
}
