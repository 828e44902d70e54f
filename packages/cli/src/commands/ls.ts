import type { Command } from 'commander'
import { quoted } from '@service-fs/format/visible'
import { membersOf, type Connection } from '@service-fs/client/http'
import type { Io } from '../io.ts'
import { parseCount } from '../numbers.ts'
import { ledgerOptions, withLedger, type LedgerOptions } from '../options.ts'
import { perform } from '../perform.ts'
import { readRecords, type ReadRecord } from '@service-fs/client/read'

interface LsOptions extends LedgerOptions {
  long?: boolean
  since: string
  json?: boolean
}

/** `ls`: lists the records in order, one per line. */
export function addLs(program: Command, io: Io): void {
  ledgerOptions(program.command('ls'))
    .description('list the records in order')
    .option('--long', 'print cursor, time, size in bytes and type before each id')
    .option('--since <cursor>', 'start after this cursor', '0')
    .option('--json', 'print one JSON object per line')
    .action((options: LsOptions) =>
      perform(io, options.json, () => withLedger(options, (to) => ls(to, options, io))),
    )
}

async function ls(connection: Connection, options: LsOptions, io: Io): Promise<void> {
  const since = parseCount(options.since, '--since', 0)
  let text = ''
  for await (const found of readRecords(connection, { since, ...(await end(connection)) })) {
    text += lineOf(found, options)
    if (text.length < 16_384) continue
    await io.out(text)
    text = ''
  }
  if (text !== '') await io.out(text)
}

/** Returns the index at which to stop in an audit sub-ledger. Each read of it appends an entry to it, so the listing would never end. */
async function end(connection: Connection): Promise<{ until?: number }> {
  if (!connection.url.endsWith('/audit/')) return {}
  const { size } = membersOf(await connection.askJson('v1/checkpoint'))
  return typeof size === 'number' ? { until: size } : {}
}

function lineOf(found: ReadRecord, options: LsOptions): string {
  const { cursor, id, type, time, payload } = found
  if (options.json === true)
    return JSON.stringify({ cursor, payload_id: id, type, time, bytes: payload.length }) + '\n'
  if (options.long !== true) return quoted(id) + '\n'
  return `${String(cursor).padStart(8)} ${time} ${String(payload.length).padStart(10)} ${quoted(type).padEnd(24)} ${quoted(id)}\n`
}
