import type { Command } from 'commander'
import { parseCheckpointText } from '@service-fs/tlog/checkpoint'
import { parseNote } from '@service-fs/tlog/note'
import { quoted } from '@service-fs/format/visible'
import { authorFields, signatureId } from '@service-fs/format/author'
import { messageOf } from '@service-fs/format/errors'
import { authorMembers } from '@service-fs/client/author'
import { judgeAuthor } from '@service-fs/client/author-judgement'
import type { SignatureVerifier } from '@service-fs/client/companions'
import { ClientError } from '@service-fs/client/errors'
import { getRecord, openTree } from '@service-fs/client/get'
import type { Connection } from '@service-fs/client/http'
import { anchorOptions, authorVerifier, type AnchorOptions } from '../author-anchors.ts'
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
import { nativeCodec, sha256Hex } from '@service-fs/native/native'
import { readRecord, type ReadRecord } from '@service-fs/client/read'
import { Restorer } from '../record-files.ts'
import { judgedRecords, type JudgedRecord } from '../signed-records.ts'
import { httpSource } from '@service-fs/client/source'
import { treeRecords, uncheckedBundles, type Bundles, type TreeRecord } from '@service-fs/client/tree-records'
import type { Trust } from '@service-fs/client/trust'
import { trustOf } from '@service-fs/client/verify-url'

interface GetOptions extends LedgerOptions, KeyOptions, AnchorOptions {
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
  anchorOptions(keyOptions(ledgerOptions(program.command('get'))))
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
  if (options.authorAnchors !== undefined && !options.verify)
    throw new ClientError('usage', 'expected --author-anchors or --no-verify, found both')
  const authors = options.authorAnchors === undefined ? undefined : await authorVerifier(options)
  const trust = options.verify ? await trustOf(connection, await trustOptions(options)) : undefined
  if (single) return getOne(connection, options, { trust, authors }, io)
  const restorer = new Restorer(out as string)
  const bar = progressBar(io, 'get', 'entries')
  try {
    await getMany(connection, options, { trust, authors }, restorer, bar)
  } finally {
    bar.stop()
  }
  return finish(restorer, options, trust, io)
}

/** The keys that the checkpoint must be signed with, and the verifier of authors' signatures, if the command must check them. */
interface Checks {
  readonly trust: Trust | undefined
  readonly authors: SignatureVerifier | undefined
}

async function getOne(
  connection: Connection,
  options: GetOptions,
  { trust, authors }: Checks,
  io: Io,
): Promise<number> {
  const key =
    options.id === undefined
      ? { cursor: parseCount(options.cursor ?? '', '--cursor', 1) }
      : { id: options.id }
  const found = await (trust === undefined ? readRecord(connection, key) : getRecord(connection, key, trust))
  if (trust !== undefined && authors !== undefined) await checkAuthor(connection, found, trust, authors)
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

/** Verifies the signature of a record's author. @throws ClientError `false` */
async function checkAuthor(
  connection: Connection,
  { id, time, author, payload }: ReadRecord,
  trust: Trust,
  verify: SignatureVerifier,
): Promise<void> {
  const fields = author === undefined ? [] : authorFields(author)
  const companion = signatureId(id, sha256Hex, nativeCodec)
  const signature =
    author === undefined
      ? undefined
      : await getRecord(connection, { id: companion }, trust).catch(unlessMissing)
  const { problem } = await judgeAuthor({ id, time, fields, payload }, signature, verify)
  if (problem !== undefined) throw new ClientError('false', `${quoted(id)}: ${problem}`)
}

function unlessMissing(error: unknown): undefined {
  if (error instanceof ClientError && error.code === 'not-found') return undefined
  throw error
}

async function getMany(
  connection: Connection,
  options: GetOptions,
  { trust, authors }: Checks,
  restorer: Restorer,
  bar: Progress,
): Promise<void> {
  const tree = await (trust === undefined ? openUnchecked(connection) : openTree(connection, trust))
  const wanted = (id: string): boolean => options.prefix === undefined || id.startsWith(options.prefix)
  const records = watched(treeRecords(tree), ({ index, parts }) => bar.at(index + parts, tree.size))
  const judged = authors === undefined ? unjudged(records, wanted) : judgedRecords(records, wanted, authors)
  for await (const { record, refusal, unsigned } of judged) {
    if (refusal !== undefined) restorer.refuse(record.id, refusal)
    else if (unsigned === true) restorer.unsigned += 1
    else await restorer.write(record)
  }
  await restorer.finish()
}

async function* watched<T>(records: AsyncIterable<T>, seen: (record: T) => void): AsyncGenerator<T> {
  for await (const record of records) {
    seen(record)
    yield record
  }
}

async function* unjudged(
  records: AsyncIterable<TreeRecord>,
  wanted: (id: string) => boolean,
): AsyncGenerator<JudgedRecord> {
  for await (const record of records) if (wanted(record.id)) yield { record }
}

/** Returns the entries of the newest tree without verifying them. @throws ClientError `malformed` */
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
  const { written, refused, unsigned } = restorer
  const how = trust === undefined ? 'not verified' : `verified (${trust.toString()})`
  const isAnchored = options.authorAnchors !== undefined
  if (options.json === true) {
    const counts = { written, refused, ...(isAnchored ? { unsigned } : {}) }
    const verified = { verified: trust !== undefined, pinned: trust?.pinned ?? false }
    await io.out(`${JSON.stringify({ ...counts, ...verified })}\n`)
  } else {
    for (const { id, reason } of refused) io.err(`service-fs: ${quoted(id)}: ${reason}`)
    const left = isAnchored ? `, ${unsigned} left out that no author signed` : ''
    await io.out(
      `${written} records written, ${how}${left}${refused.length === 0 ? '' : `, ${refused.length} refused`}\n`,
    )
  }
  return refused.length > 0 ? FAILED : 0
}
