import type { Command } from 'commander'
import { idProblem } from '@service-fs/format/entry'
import { quoted } from '@service-fs/format/visible'
import {
  appendAll,
  appendLimits,
  checkReceipt,
  type AppendLimits,
  type NewRecord,
} from '@service-fs/client/append'
import { ClientError } from '@service-fs/client/errors'
import { reasonOf, walkFiles, type FoundFile } from '../files.ts'
import { inTurn, type Sized } from '../in-turn.ts'
import type { Connection } from '@service-fs/client/http'
import type { Io } from '../io.ts'
import { nativeCodec } from '@service-fs/native/native'
import { parseCount } from '../numbers.ts'
import { ledgerOptions, withLedger, type LedgerOptions } from '../options.ts'
import { sameState, settled } from '../steady-file.ts'
import { FAILED, perform } from '../perform.ts'
import { progressBar, type Progress } from '../progress.ts'

interface AppendCommandOptions extends LedgerOptions {
  id?: string
  prefix?: string
  type?: string
  batch?: string
  json?: boolean
}

const IDS = `
A record's id is its path from the directory that holds the argument, after --prefix: \`append /usr/share/doc\` makes
doc/bash/README, and \`append README\` makes README. Symbolic links are not followed: the record of a link has the type
inode/symlink, and its target as payload. The record of an empty directory has the type inode/directory.

A file that changes while it is being read is read again, up to four times. The command reports each file that keeps
changing, can't be read, is too large, or whose name can't be an id; it appends all others and exits with status 3.
Running the command again is safe: it does not append a record that the ledger already has.`

/** `append`: appends files, directories or standard input as records. */
export function addAppend(program: Command, io: Io): void {
  ledgerOptions(program.command('append <paths...>'))
    .description('append files, and all files in directories; - is standard input')
    .option('--id <id>', 'the id of a single file, or of standard input')
    .option('--prefix <text>', 'a prefix for every id')
    .option('--type <type>', 'the media type (default: from the file name)')
    .option('--batch <n>', 'the most records in one request')
    .option('--json', 'print the result as JSON')
    .addHelpText('after', IDS)
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
    await appendRecords(connection, recordsOf(paths, options, limits, result, io), limits, result, bar)
  } finally {
    bar.stop()
  }
  if (options.json !== true)
    for (const { name, reason } of result.refused) io.err(`service-fs: ${quoted(name)}: ${reason}`)
  await io.out(options.json === true ? JSON.stringify(result) + '\n' : summary(result))
  return result.refused.length > 0 ? FAILED : 0
}

function checkUsage(paths: string[], options: AppendCommandOptions): void {
  if (paths.includes('-') && options.id === undefined)
    throw new ClientError('usage', 'standard input: expected --id')
  if (options.id !== undefined && paths.length !== 1)
    throw new ClientError('usage', '--id: expected one path')
  if (options.batch !== undefined) parseCount(options.batch, '--batch', 1)
  const problem = options.id === undefined ? undefined : idProblem(options.id, nativeCodec)
  if (problem !== undefined) throw new ClientError('usage', `--id: ${problem}`)
}

async function limitsFor(connection: Connection, options: AppendCommandOptions): Promise<AppendLimits> {
  const limits = await appendLimits(connection)
  if (options.batch === undefined) return limits
  return { ...limits, lines: Math.min(limits.lines, parseCount(options.batch, '--batch', 1)) }
}

/** Appends the records and checks each receipt. */
async function appendRecords(
  connection: Connection,
  records: AsyncIterable<NewRecord>,
  limits: AppendLimits,
  result: Result,
  bar: Progress,
): Promise<void> {
  await appendAll(connection, records, {
    limits,
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

/** Files that are read at the same time, and the most bytes that they have together. */
const READ_AHEAD = { files: 64, bytes: 1 << 25 }

/** Yields the records for the paths, in order, and adds each file that can't be a record to the refused. */
async function* recordsOf(
  paths: string[],
  options: AppendCommandOptions,
  limits: AppendLimits,
  result: Result,
  io: Io,
): AsyncGenerator<NewRecord> {
  for await (const found of inTurn(attempts(paths, options, limits, io), READ_AHEAD)) {
    if ('reason' in found) {
      result.refused.push(found)
      continue
    }
    result.records += 1
    result.bytes += found.payload.length
    yield found
  }
}

/** A record, or why there is none. */
type Attempt = NewRecord | { name: string; reason: string }

/** Yields a task for each file, which reads it, and the size of the file. */
async function* attempts(
  paths: string[],
  options: AppendCommandOptions,
  limits: AppendLimits,
  io: Io,
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
      refused: (name: string, reason: string) => void refused.push({ name, reason }),
    }
    for await (const file of walkFiles(path, walkOptions)) {
      yield* told()
      yield { size: file.size, run: () => attempt(file, options, limits) }
    }
    yield* told()
  }
}

async function attempt(
  file: FoundFile,
  options: AppendCommandOptions,
  limits: AppendLimits,
): Promise<Attempt> {
  const { id, type, size } = file
  if (size > limits.payload)
    return { name: id, reason: `expected at most ${limits.payload} bytes, found ${size}` }
  try {
    return { id: options.id ?? id, type, payload: await file.read(limits.payload) }
  } catch (error) {
    return { name: id, reason: reasonOf(error) }
  }
}

async function standardInput(
  options: AppendCommandOptions,
  limits: AppendLimits,
  io: Io,
): Promise<NewRecord> {
  const chunks: Uint8Array[] = []
  let size = 0
  const state = io.stdinState
  const before = state === undefined ? undefined : await settled(state)
  for await (const chunk of io.stdin()) {
    size += chunk.length
    if (size > limits.payload)
      throw new ClientError('file', `standard input: expected at most ${limits.payload} bytes, found more`)
    chunks.push(chunk)
  }
  // A pipe has no state to compare.
  if (state !== undefined && before?.isFile() === true && !sameState(before, await state()))
    throw new ClientError('file', 'standard input: another program changed the file while it was being read')
  return {
    id: options.id ?? '',
    type: options.type ?? 'application/octet-stream',
    payload: Buffer.concat(chunks),
  }
}

function summary(result: Result): string {
  const { records, appended, duplicates, bytes, refused } = result
  const parts = [`${records} records (${bytes} bytes): ${appended} appended`, `${duplicates} there already`]
  if (refused.length > 0) parts.push(`${refused.length} could not be appended`)
  return parts.join(', ') + '\n'
}
