import type { Command } from 'commander'
import { parseCheckpointText } from '@service-fs/tlog/checkpoint'
import { parseNote } from '@service-fs/tlog/note'
import { quoted } from '@service-fs/format/visible'
import { ClientError, messageOf } from '../errors.ts'
import type { Connection } from '../http.ts'
import type { Io } from '../io.ts'
import {
  keyOptions,
  ledgerOptions,
  parseCount,
  trustOptions,
  withConnection,
  type KeyOptions,
  type LedgerOptions,
} from '../options.ts'
import { FAILED, perform } from '../perform.ts'
import { progressBar, type Progress } from '../progress.ts'
import { checkPayloadProof, fetchProof } from '../proof.ts'
import { readRecordAt, readRecordById, type ReadRecord } from '../read.ts'
import { Restorer } from '../record-files.ts'
import { httpSource } from '../source.ts'
import { TrustedTree } from '../tree.ts'
import { treeRecords, uncheckedBundles, type Bundles } from '../tree-records.ts'
import type { Trust } from '../trust.ts'
import { trustOf } from '../verify-url.ts'

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
Files are written below --out under their ids; ids that would leave it are refused, a file that is there is never
overwritten. Everything is checked against the signed checkpoint before it is written: the leaf hash of each entry by the
tiles, or a single record by its proof. Without --vkey or --policy the keys are those that the ledger shows.`

/** `get`: records back as files, or one to standard output. */
export function addGet(program: Command, io: Io): void {
  keyOptions(ledgerOptions(program.command('get')))
    .description('write records back as files, verified')
    .option(
      '--out <directory>',
      'where the files go (default for a single record: its payload to standard output)',
    )
    .option('--id <id>', 'the record with this identifier')
    .option('--cursor <n>', 'the record with this cursor')
    .option('--all', 'all records')
    .option('--prefix <text>', 'all records whose id starts so')
    .option('--no-verify', 'take the answers as they come')
    .option('--json', 'print the result as JSON')
    .addHelpText('after', HOW)
    .action((options: GetOptions) =>
      perform(io, options.json, () => withConnection(options, (from) => get(from, options, io))),
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
  if (!single && out === undefined) throw new ClientError('usage', 'expected --out: where the files go')
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
  const found = await (options.id === undefined
    ? readRecordAt(connection, parseCount(options.cursor ?? '', '--cursor', 1))
    : readRecordById(connection, options.id))
  checkAsked(found, options)
  if (trust !== undefined) await checkRecord(connection, found, trust)
  if (options.out !== undefined) {
    const restorer = new Restorer(options.out)
    await restorer.write(found)
    return finish(restorer, options, trust, io)
  }
  const { cursor, id, type, time, payload } = found
  const content = Buffer.from(payload).toString('base64')
  const value = { cursor, payload_id: id, type, time, payload_base64: content, verified: trust !== undefined }
  await io.out(options.json === true ? JSON.stringify(value) + '\n' : payload)
  return 0
}

function checkAsked(found: ReadRecord, options: GetOptions): void {
  if (options.id !== undefined && found.id !== options.id) throw mismatch('id', options.id, found.id)
  if (options.cursor !== undefined && found.cursor !== Number(options.cursor))
    throw mismatch('cursor', options.cursor, String(found.cursor))
}

function mismatch(what: string, expected: string, found: string): ClientError {
  return new ClientError(
    'false',
    `record: expected ${what} ${JSON.stringify(expected)}, found ${JSON.stringify(found)}`,
  )
}

/** Checks one record by its proof. @throws ClientError `false` */
async function checkRecord(connection: Connection, found: ReadRecord, trust: Trust): Promise<void> {
  const proved = checkPayloadProof(await fetchProof(connection, found.cursor), found.payload, trust.policy)
  if (proved.index !== found.cursor - 1)
    throw mismatch('index', String(found.cursor - 1), String(proved.index))
  for (const name of ['id', 'type', 'time'] as const) {
    if (proved[name] !== found[name]) throw mismatch(name, proved[name] ?? '', found[name])
  }
}

async function getMany(
  connection: Connection,
  options: GetOptions,
  trust: Trust | undefined,
  restorer: Restorer,
  bar: Progress,
): Promise<void> {
  const tree = await openTree(connection, trust)
  for await (const found of treeRecords(tree)) {
    bar.at(found.index + found.parts, tree.size)
    if (options.prefix === undefined || found.id.startsWith(options.prefix)) await restorer.write(found)
  }
  await restorer.finish()
}

async function openTree(connection: Connection, trust: Trust | undefined): Promise<Bundles> {
  const source = httpSource(connection)
  const note = await source.checkpoint()
  if (trust !== undefined) return TrustedTree.open(source, trust.openPublished(note).checkpoint)
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
