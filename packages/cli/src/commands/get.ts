import type { Command } from 'commander'
import { parseCheckpointText } from '@service-fs/tlog/checkpoint'
import { parseNote } from '@service-fs/tlog/note'
import { quoted } from '@service-fs/format/visible'
import { messageOf } from '@service-fs/format/errors'
import { authorMembers } from '@service-fs/client/author'
import { ClientError } from '@service-fs/client/errors'
import { getRecord, openTree } from '@service-fs/client/get'
import type { Connection } from '@service-fs/client/http'
import type { Io } from '../io.ts'
import { parseCount } from '../numbers.ts'
import {
  keyOptions,
  ledgerOptions,
  trustOptions,
  withLedger,
  type KeyOptions,
  type LedgerOptions,
} from '../options.ts'
import { FAILED, perform } from '../perform.ts'
import { progressBar, type Progress } from '../progress.ts'
import { readRecord } from '@service-fs/client/read'
import { Restorer } from '../record-files.ts'
import { httpSource } from '@service-fs/client/source'
import { treeRecords, uncheckedBundles, type Bundles } from '@service-fs/client/tree-records'
import type { Trust } from '@service-fs/client/trust'
import { trustOf } from '@service-fs/client/verify-url'

interface GetOptions extends LedgerOptions, KeyOptions {
  out?: string
  id?: string
  cursor?: string
  all?: boolean
  prefix?: string
  verify: boolean
  json?: boolean
}

const HOW = `
The command writes each record to a file below --out, named by the record's id. It refuses ids that lead out of --out, and
never overwrites a file. Before it writes a record, it verifies the record against the signed checkpoint: by the tiles, or
by the inclusion proof of a single record. Without --vkey or --policy it uses the keys that the ledger publishes.`

/** `get`: writes records to files, or one record to standard output. */
export function addGet(program: Command, io: Io): void {
  keyOptions(ledgerOptions(program.command('get')))
    .description('verify records and write them to files')
    .option(
      '--out <directory>',
      'the directory for the files (default: print the payload of a single record)',
    )
    .option('--id <id>', 'the record with this identifier')
    .option('--cursor <n>', 'the record with this cursor')
    .option('--all', 'all records')
    .option('--prefix <text>', 'all records whose id starts with this text')
    .option('--no-verify', 'do not verify the records')
    .option('--json', 'print the result as JSON')
    .addHelpText('after', HOW)
    .action((options: GetOptions) =>
      perform(io, options.json, () => withLedger(options, (from) => get(from, options, io))),
    )
}

async function get(connection: Connection, options: GetOptions, io: Io): Promise<number> {
  const chosen = [options.id, options.cursor, options.all, options.prefix].filter(
    (choice) => choice !== undefined,
  )
  if (chosen.length !== 1)
    throw new ClientError('usage', 'expected one of --id, --cursor, --all and --prefix')
  const single = options.id !== undefined || options.cursor !== undefined
  const { out } = options
  if (options.cursor !== undefined) parseCount(options.cursor, '--cursor', 1)
  if (!single && out === undefined)
    throw new ClientError('usage', 'expected --out, the directory for the files')
  const trust = options.verify ? await trustOf(connection, await trustOptions(options)) : undefined
  if (single) return getOne(connection, options, trust, io)
  const restorer = new Restorer(out as string)
  const bar = progressBar(io, 'get', 'entries')
  try {
    await getMany(connection, options, trust, restorer, bar)
  } finally {
    bar.stop()
  }
  return finish(restorer, options, trust, io)
}

async function getOne(
  connection: Connection,
  options: GetOptions,
  trust: Trust | undefined,
  io: Io,
): Promise<number> {
  const key =
    options.id === undefined
      ? { cursor: parseCount(options.cursor ?? '', '--cursor', 1) }
      : { id: options.id }
  const found = await (trust === undefined ? readRecord(connection, key) : getRecord(connection, key, trust))
  if (options.out !== undefined) {
    const restorer = new Restorer(options.out)
    await restorer.write(found)
    return finish(restorer, options, trust, io)
  }
  const { cursor, id, type, time, retainUntil, author, signatureOf, payload } = found
  const content = Buffer.from(payload).toString('base64')
  const value = {
    cursor,
    payload_id: id,
    type,
    time,
    retain_until: retainUntil,
    author: author && authorMembers(author),
    signature_of: signatureOf,
    payload_base64: content,
    verified: trust !== undefined,
  }
  await io.out(options.json === true ? JSON.stringify(value) + '\n' : payload)
  return 0
}

async function getMany(
  connection: Connection,
  options: GetOptions,
  trust: Trust | undefined,
  restorer: Restorer,
  bar: Progress,
): Promise<void> {
  const tree = await (trust === undefined ? openUnchecked(connection) : openTree(connection, trust))
  for await (const found of treeRecords(tree)) {
    bar.at(found.index + found.parts, tree.size)
    if (options.prefix === undefined || found.id.startsWith(options.prefix)) await restorer.write(found)
  }
  await restorer.finish()
}

/** Returns the entries of the newest tree, not verified. @throws ClientError `malformed` */
async function openUnchecked(connection: Connection): Promise<Bundles> {
  const source = httpSource(connection)
  const note = await source.checkpoint()
  try {
    return uncheckedBundles(source, parseCheckpointText(parseNote(note).text).size)
  } catch (error) {
    throw new ClientError('malformed', `checkpoint: ${messageOf(error)}`)
  }
}

async function finish(
  restorer: Restorer,
  options: GetOptions,
  trust: Trust | undefined,
  io: Io,
): Promise<number> {
  await restorer.finish()
  const { written, refused } = restorer
  const how = trust === undefined ? 'not verified' : `verified (${trust.toString()})`
  if (options.json === true)
    await io.out(
      JSON.stringify({ written, refused, verified: trust !== undefined, pinned: trust?.pinned ?? false }) +
        '\n',
    )
  else {
    for (const { id, reason } of refused) io.err(`service-fs: ${quoted(id)}: ${reason}`)
    await io.out(
      `${written} records written, ${how}${refused.length === 0 ? '' : `, ${refused.length} refused`}\n`,
    )
  }
  return refused.length > 0 ? FAILED : 0
}
