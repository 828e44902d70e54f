import type { Command } from 'commander'
import { idProblem } from '@service-fs/format/entry'
import { quoted } from '@service-fs/format/visible'
import {
  appendBatches,
  appendLimits,
  batches,
  checkReceipt,
  type AppendLimits,
  type NewRecord,
} from '@service-fs/client/append'
import { ClientError } from '@service-fs/client/errors'
import { FileReads } from '../file-reads.ts'
import { reasonOf, walkFiles, type FoundFile } from '../files.ts'
import { inTurn, type Sized } from '../in-turn.ts'
import type { Connection } from '@service-fs/client/http'
import type { Io } from '../io.ts'
import { nativeCodec } from '@service-fs/native/native'
import { momentIn } from '../moments.ts'
import { parseCount } from '../numbers.ts'
import { readSignature } from '../signature-file.ts'
import { ledgerOptions, withLedger, type LedgerOptions } from '../options.ts'
import { lineBatches } from '../record-lines.ts'
import { sameState, settled } from '../steady-file.ts'
import { FAILED, perform } from '../perform.ts'
import { progressBar, type Progress } from '../progress.ts'

interface AppendCommandOptions extends LedgerOptions {
  id?: string
  prefix?: string
  type?: string
  retainUntil?: string
  signature?: string
  batch?: string
  connections?: string
  inOrder?: boolean
  json?: boolean
}

const DETAILS = `
A record's id is its path from the directory that holds the argument, after --prefix: \`append /usr/share/doc\` makes
doc/bash/README, and \`append README\` makes README. Symbolic links are not followed: the record of a link has the type
inode/symlink, and its target as payload. The record of an empty directory has the type inode/directory.

Standard input (-) is NDJSON: on each line a record {"payload_id", "payload" or "payload_base64", "type",
"retain_until", "signature"} as in POST /v1/append; --retain-until is for lines without retain_until. Without payload_id the id is made of the line's number and a hash, the same in every run. With --id,
standard input is the payload of one record.

A file that changes while it is being read is read again, up to four times. The command reports each file that keeps
changing, can't be read, is too large, or whose name can't be an id, and each line that holds no record; it appends all
others and exits with status 3. Running the command again is safe: it does not append a record that the ledger already
has. So a run that was interrupted is resumed by running it again.`

/** `append`: appends files, directories or standard input as records. */
export function addAppend(program: Command, io: Io): void {
  ledgerOptions(program.command('append <paths...>'))
    .description('append files, all files in directories, or the records of NDJSON on standard input (-)')
    .option('--id <id>', 'the id of a single file, or of standard input')
    .option('--prefix <text>', 'a prefix for every id')
    .option('--type <type>', 'the media type (default: from the file name)')
    .option(
      '--retain-until <time>',
      'the time until which each record must be kept: 2033-11-22, 2033-11-22T18:43:00Z',
    )
    .option(
      '--signature <file>',
      "the author's detached signature of a single file, or of standard input with --id: a JWS, or a CMS signature in DER",
    )
    .option('--batch <n>', 'the most records in one request')
    .option('--connections <n>', 'requests at a time, each on its own connection, 1 to 8 (default: 4)')
    .option('--in-order', 'keep the order of the records in the ledger: one request at a time')
    .option('--json', 'print the result as JSON')
    .addHelpText('after', DETAILS)
    .action((paths: string[], options: AppendCommandOptions) =>
      perform(io, options.json, () => withLedger(options, (to) => append(to, paths, options, io))),
    )
}

interface Result {
  records: number
  appended: number
  duplicates: number
  bytes: number
  refused: { name: string; reason: string }[]
}

async function append(
  connection: Connection,
  paths: string[],
  options: AppendCommandOptions,
  io: Io,
): Promise<number> {
  checkUsage(paths, options)
  const limits = await limitsFor(connection, options)
  const result: Result = { records: 0, appended: 0, duplicates: 0, bytes: 0, refused: [] }
  const bar = progressBar(io, 'append', 'records')
  try {
    const found = isNdjson(paths, options)
      ? counted(ndjsonRecords(options, limits, result, io), result, retainUntilOf(options))
      : counted(
          batches(
            fileRecords(paths, { ...options, ...(await signatureOf(options)) }, limits, result, io),
            limits,
          ),
          result,
          retainUntilOf(options),
        )
    await appendRecords(connection, found, options, result, bar)
  } finally {
    bar.stop()
  }
  if (options.json !== true)
    for (const { name, reason } of result.refused) io.err(`service-fs: ${quoted(name)}: ${reason}`)
  await io.out(options.json === true ? JSON.stringify(result) + '\n' : summary(result))
  return result.refused.length > 0 ? FAILED : 0
}

/** Reports whether the records are lines of standard input. */
function isNdjson(paths: string[], { id }: AppendCommandOptions): boolean {
  return paths.includes('-') && id === undefined
}

function checkUsage(paths: string[], options: AppendCommandOptions): void {
  if (paths.includes('-') && paths.length !== 1)
    throw new ClientError('usage', '-: expected no other path beside standard input')
  if (options.id !== undefined && paths.length !== 1)
    throw new ClientError('usage', '--id: expected one path')
  if (isNdjson(paths, options) && options.type !== undefined)
    throw new ClientError('usage', '--type: expected --id too, or a type on each line of standard input')
  if (options.signature !== undefined && (paths.length !== 1 || isNdjson(paths, options)))
    throw new ClientError('usage', '--signature: expected one file, or standard input with --id')
  if (options.batch !== undefined) parseCount(options.batch, '--batch', 1)
  retainUntilOf(options)
  if (inFlight(options) > MOST_CONNECTIONS)
    throw new ClientError('usage', `--connections: expected at most ${MOST_CONNECTIONS}`)
  const problem = options.id === undefined ? undefined : idProblem(options.id, nativeCodec)
  if (problem !== undefined) throw new ClientError('usage', `--id: ${problem}`)
}

/** The maximum number of connections that a client keeps open. */
const MOST_CONNECTIONS = 8

function inFlight({ connections = '4' }: AppendCommandOptions): number {
  return parseCount(connections, '--connections', 1)
}

async function limitsFor(connection: Connection, options: AppendCommandOptions): Promise<AppendLimits> {
  const limits = await appendLimits(connection)
  if (options.batch === undefined) return limits
  return { ...limits, lines: Math.min(limits.lines, parseCount(options.batch, '--batch', 1)) }
}

/** Appends the records and checks each receipt. */
async function appendRecords(
  connection: Connection,
  records: AsyncIterable<readonly NewRecord[]>,
  options: AppendCommandOptions,
  result: Result,
  bar: Progress,
): Promise<void> {
  await appendBatches(connection, records, {
    inFlight: inFlight(options),
    inOrder: options.inOrder === true,
    appended(receipts, sent) {
      for (const [i, receipt] of receipts.entries()) {
        checkReceipt(receipt, sent[i] as NewRecord)
        result[receipt.duplicate ? 'duplicates' : 'appended'] += 1
      }
      bar.at(result.appended + result.duplicates, result.records)
    },
    refused: (content, error) => void result.refused.push({ name: content.id, reason: error.message }),
  })
}

/** Returns the text of the signature in a file. @throws ClientError `file` */
async function signatureOf({ signature: file }: AppendCommandOptions): Promise<{ signed?: string }> {
  return file === undefined ? {} : { signed: await readSignature(file) }
}

/** Returns `--retain-until` in the form of entry times. @throws ClientError `usage` */
function retainUntilOf({ retainUntil: text }: AppendCommandOptions): string | undefined {
  return text === undefined ? undefined : momentIn('--retain-until', text)
}

/** Counts the records in the result. Sets the time until which a record must be kept if the record does not state one. */
async function* counted(
  records: AsyncIterable<NewRecord[]>,
  result: Result,
  retainUntil: string | undefined,
): AsyncGenerator<readonly NewRecord[]> {
  for await (const batch of records) {
    result.records += batch.length
    for (const { payload } of batch) result.bytes += payload.length
    yield retainUntil === undefined ? batch : batch.map((record) => ({ retainUntil, ...record }))
  }
}

/** The options, with the text of the signature for the record. */
interface SigningOptions extends AppendCommandOptions {
  signed?: string
}

/** The maximum number of files that are read at the same time, and their maximum size together in bytes. */
const READ_AHEAD = { files: 512, bytes: 1 << 25 }

/** Yields the records for the paths, in order, and adds each file that can't be a record to the refused files. */
async function* fileRecords(
  paths: string[],
  options: SigningOptions,
  limits: AppendLimits,
  result: Result,
  io: Io,
): AsyncGenerator<NewRecord> {
  const reads = new FileReads()
  try {
    for await (const found of inTurn(attempts(paths, options, limits, io, reads), READ_AHEAD)) {
      if ('reason' in found) result.refused.push(found)
      else yield found
    }
  } finally {
    await reads.close()
  }
}

/** A record, or the reason why a file can't be a record. */
type Attempt = NewRecord | { name: string; reason: string }

/** Yields for each file its size and a task that reads it. */
async function* attempts(
  paths: string[],
  options: SigningOptions,
  limits: AppendLimits,
  io: Io,
  reads: FileReads,
): AsyncGenerator<Sized<Attempt>> {
  const refused: Attempt[] = []
  const told = function* (): Generator<Sized<Attempt>> {
    for (const one of refused.splice(0)) yield { size: 0, run: async () => one }
  }
  for (const path of paths) {
    if (path === '-') {
      yield { size: 0, run: () => standardInput(options, limits, io) }
      continue
    }
    const { prefix, type } = options
    const walkOptions = {
      prefix,
      type,
      readFile: (at: Buffer, limit: number) => reads.read(at, limit),
      refused: (name: string, reason: string) => void refused.push({ name, reason }),
    }
    for await (const file of walkFiles(path, walkOptions)) {
      yield* told()
      yield { size: file.size, run: () => attempt(file, options, limits) }
    }
    yield* told()
  }
}

async function attempt(file: FoundFile, options: SigningOptions, limits: AppendLimits): Promise<Attempt> {
  const { id, type, size } = file
  if (size > limits.payload)
    return { name: id, reason: `expected at most ${limits.payload} bytes, found ${size}` }
  try {
    return { id: options.id ?? id, type, payload: await file.read(limits.payload), signature: options.signed }
  } catch (error) {
    return { name: id, reason: reasonOf(error) }
  }
}

/** Yields the records on the lines of standard input, in batches, and adds each line without a valid record to the refused lines. */
async function* ndjsonRecords(
  { prefix }: AppendCommandOptions,
  limits: AppendLimits,
  result: Result,
  io: Io,
): AsyncGenerator<NewRecord[]> {
  const refused = (name: string, reason: string): void => void result.refused.push({ name, reason })
  yield* lineBatches(steadyInput(io), { limits, prefix, refused })
}

async function standardInput(options: SigningOptions, limits: AppendLimits, io: Io): Promise<NewRecord> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of steadyInput(io)) {
    size += chunk.length
    if (size > limits.payload)
      throw new ClientError('file', `standard input: expected at most ${limits.payload} bytes, found more`)
    chunks.push(chunk)
  }
  return {
    id: options.id ?? '',
    type: options.type ?? 'application/octet-stream',
    payload: Buffer.concat(chunks),
    signature: options.signed,
  }
}

/** Yields standard input. A file as standard input must not change meanwhile. @throws ClientError `file` at the end */
async function* steadyInput(io: Io): AsyncGenerator<Uint8Array> {
  const state = io.stdinState
  const before = state === undefined ? undefined : await settled(state)
  yield* io.stdin()
  // Only a regular file has a state to compare; a pipe has none.
  if (state !== undefined && before?.isFile() === true && !sameState(before, await state()))
    throw new ClientError('file', 'standard input: another program changed the file while it was being read')
}

function summary(result: Result): string {
  const { records, appended, duplicates, bytes, refused } = result
  const parts = [`${records} records (${bytes} bytes): ${appended} appended`, `${duplicates} there already`]
  if (refused.length > 0) parts.push(`${refused.length} could not be appended`)
  return parts.join(', ') + '\n'
}
