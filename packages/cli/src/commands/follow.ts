import type { Command } from 'commander'
import { quoted } from '@service-fs/format/visible'
import { messageOf } from '@service-fs/format/errors'
import { follow, type Followed } from '@service-fs/client/follow'
import type { Connection } from '@service-fs/client/http'
import { membersOf } from '@service-fs/client/http'
import type { Io } from '../io.ts'
import { parseCount } from '../numbers.ts'
import { ledgerOptions, withLedger, type LedgerOptions } from '../options.ts'
import { perform } from '../perform.ts'

interface FollowCommandOptions extends LedgerOptions {
  since: string
  new?: boolean
  limit?: string
  json?: boolean
}

const HOW = `
The command runs until it is stopped. It reconnects after a lost connection, with growing pauses, and resumes after the
last record. It prints each record once, in the order of the ledger, and exits with status 1 if one is missing. It does not
verify signatures and hashes: service-fs get and service-fs verify do.`

/** `follow`: prints the records in order, and then each new record as soon as it is durable. */
export function addFollow(program: Command, io: Io): void {
  ledgerOptions(program.command('follow'))
    .description('print the records in order, and new ones as they become durable')
    .option('--since <cursor>', 'start after this cursor', '0')
    .option('--new', 'start with records that are appended from now on')
    .option('--limit <n>', 'end after this many records')
    .option('--json', 'print each record with its payload as a line of JSON')
    .addHelpText('after', HOW)
    .action((options: FollowCommandOptions) =>
      perform(io, options.json, () => withLedger(options, (from) => run(from, options, io))),
    )
}

async function run(connection: Connection, options: FollowCommandOptions, io: Io): Promise<void> {
  const limit = options.limit === undefined ? {} : { limit: parseCount(options.limit, '--limit', 1) }
  const since = options.new === true ? await sizeOf(connection) : parseCount(options.since, '--since', 0)
  const lost = (error: Error | undefined, pause: number): void => {
    if (io.terminal === undefined) return
    const why = error === undefined ? 'the server ended the stream' : messageOf(error)
    io.err(`service-fs: ${why}; reconnecting in ${(pause / 1000).toFixed(1)} s`)
  }
  for await (const found of follow(connection, { since, ...limit, lost }))
    await io.out(lineOf(found, options))
}

async function sizeOf(connection: Connection): Promise<number> {
  return Number(membersOf(await connection.askJson('v1/checkpoint'))['size'])
}

function lineOf({ record: found, text }: Followed, options: FollowCommandOptions): string {
  if (options.json === true) return `${text}\n`
  const { cursor, time, payload, type, id } = found
  return `${String(cursor).padStart(8)} ${time} ${String(payload.length).padStart(10)} ${quoted(type).padEnd(24)} ${quoted(id)}\n`
}
