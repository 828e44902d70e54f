import { CLOCK_TYPE } from '@service-fs/format/clock-correction'
import { SCRUB_TYPE } from '@service-fs/format/scrub-entry'
import type { Command } from 'commander'
import { parseEntry, type Entry } from '@service-fs/format/entry'
import { readsNoticeOf, type Reads } from '@service-fs/format/reads-notice'
import { quoted } from '@service-fs/format/visible'
import { nativeCodec } from '@service-fs/native/native'
import { TILE_WIDTH } from '@service-fs/tlog/tile'
import { ahead } from '@service-fs/client/ahead'
import { checkEarlier, openAuditTree, withAudit, type AuditPlace } from '@service-fs/client/audit-place'
import { messageOf } from '@service-fs/format/errors'
import { ClientError } from '@service-fs/client/errors'
import type { Io } from '../io.ts'
import { momentIn } from '../moments.ts'
import { parseCount } from '../numbers.ts'
import {
  keyOptions,
  ledgerOptions,
  placeOptions,
  readInput,
  trustOptions,
  writeOutput,
  type KeyOptions,
  type LedgerOptions,
} from '../options.ts'
import { FALSE, perform } from '../perform.ts'
import { progressBar } from '../progress.ts'
import { checkPayloadProof, proofHeader, readProof } from '@service-fs/client/proof'
import { matches, readText, tryReadOf, type Read, type ReadFilter } from '@service-fs/client/reads'
import { printReport } from '../report.ts'
import type { TrustedTree } from '@service-fs/client/tree'
import type { EachEntry } from '@service-fs/client/records'
import type { LedgerReport } from '@service-fs/client/verify'

/** The types of entries that the ledger appends by itself, other than the entries of reads. */
const OWN_TYPES: ReadonlySet<string> = new Set([CLOCK_TYPE, SCRUB_TYPE])

interface AuditOptions extends LedgerOptions, KeyOptions {
  json?: boolean
}

interface LsOptions extends AuditOptions {
  subject?: string
  requestId?: string
  route?: string
  since?: string
  until?: string
  from?: string
  to?: string
  cursor?: string
  payloadId?: string
}

interface ProveOptions extends AuditOptions {
  index?: string
  out?: string
  record?: string
}

interface VerifyOptions extends AuditOptions {
  checkpoint?: string
}

/** `audit ls`, `audit prove`, `audit verify`: reports from the audit sub-ledger which subject read which records, and when. */
export function addAudit(program: Command, io: Io): void {
  const audit = program
    .command('audit')
    .description(
      'list, prove and verify the reads in an audit sub-ledger behind a URL, in a directory, in a tar archive or in a disk image',
    )
  const add = (name: string): Command => keyOptions(ledgerOptions(audit.command(`${name} [place]`)))
  add('ls')
    .description('list reads, and verify that each is in the signed tree of the sub-ledger')
    .option('--subject <name>', 'only reads by this subject')
    .option('--route <route>', 'only reads of this route and those below it, such as /v1/entries')
    .option('--request-id <id>', 'only reads with this X-Foundry-Request-ID')
    .option('--cursor <n>', 'only reads that showed the record with this cursor')
    .option('--payload-id <id>', 'only reads that showed the record with this identifier')
    .option('--since <time>', 'only reads at or after this time: 2026-11-23, 2026-11-23T08:00:00Z')
    .option('--until <time>', 'only reads before this time')
    .option('--from <index>', 'start with this entry of the sub-ledger', '0')
    .option('--to <index>', 'end before this entry of the sub-ledger')
    .option('--json', 'print one JSON object per line')
    .action((place: string | undefined, options: LsOptions) =>
      perform(io, options.json, () => opened(place, options, (at) => ls(at, options, io))),
    )
  add('prove')
    .description('verify the .tlog-proof of one read and print it')
    .option('--index <n>', 'the entry of the sub-ledger: the X-Audit-Index of the response')
    .option('--out <file>', 'write the proof to this file (default: standard output)')
    .option('--record <file>', "write the read's payload to this file, for verify-proof --record")
    .option('--json', 'print {"index", "read", "proof"}')
    .action((place: string | undefined, options: ProveOptions) =>
      perform(io, options.json, () => opened(place, options, (at) => prove(at, options, io))),
    )
  add('verify')
    .description(
      "recompute the sub-ledger up to its signed checkpoint; every entry must record a read, be a notice about public reads, or be an operator's correction of the clock",
    )
    .option('--checkpoint <file>', 'an earlier checkpoint of the sub-ledger; the present one must extend it')
    .option('--json', 'print the report as JSON')
    .action((place: string | undefined, options: VerifyOptions) =>
      perform(io, options.json, () => opened(place, options, (at) => verify(at, options, io))),
    )
}

async function opened<T>(
  place: string | undefined,
  options: AuditOptions,
  work: (audit: AuditPlace) => Promise<T>,
): Promise<T> {
  const at = place ?? options.url
  return withAudit(at, { ...(await placeOptions(at, options)), ...(await trustOptions(options)) }, work)
}

/** One entry of the sub-ledger. */
interface Found {
  index: number
  entry: Entry
}

async function ls(audit: AuditPlace, options: LsOptions, io: Io): Promise<number> {
  const { range, filter } = await lookedFor(audit, options)
  let text = ''
  let status = 0
  for await (const found of entriesIn(await openAuditTree(audit), range)) {
    const notice = readsNoticeOf(found.entry)
    if (notice !== undefined)
      io.err(`service-fs: ${noticeText(notice, found.index, found.entry.header.time)}`)
    // Skip notices and the ledger's own entries, such as an operator's correction of the clock: they record no read.
    if (notice !== undefined || OWN_TYPES.has(found.entry.header.type)) continue
    const read = tryReadOf(found.entry)
    if (typeof read === 'string') {
      io.err(`service-fs: entry ${found.index} of ${quoted(audit.origin)} does not record a read: ${read}`)
      status = FALSE
    } else if (matches(read, filter)) text += line(found, read, options.json)
    if (text.length < 16_384) continue
    await io.out(text)
    text = ''
  }
  if (text !== '') await io.out(text)
  return status
}

function line({ index, entry: { header } }: Found, read: Read, json: boolean | undefined): string {
  if (json === true) return `${JSON.stringify({ index, time: header.time, id: header.id, read })}\n`
  return `${String(index).padStart(8)} ${header.time} ${readText(read)}\n`
}

interface Range {
  from: number
  to: number
  /** The bounds in the form of entry times; '' sorts before all times, and '~' sorts after all times. */
  since: string
  until: string
}

async function lookedFor(
  audit: AuditPlace,
  options: LsOptions,
): Promise<{ range: Range; filter: ReadFilter }> {
  const { subject, requestId, route, cursor, payloadId, to } = options
  if (cursor !== undefined && payloadId !== undefined)
    throw new ClientError('usage', 'expected --cursor or --payload-id, not both')
  const range = {
    from: parseCount(options.from ?? '0', '--from', 0),
    to: to === undefined ? Number.MAX_SAFE_INTEGER : parseCount(to, '--to', 0),
    since: moment(options.since, '--since') ?? '',
    until: moment(options.until, '--until') ?? '~',
  }
  const asked =
    payloadId !== undefined
      ? { id: payloadId }
      : cursor !== undefined
        ? { cursor: parseCount(cursor, '--cursor', 1) }
        : undefined
  const span = asked === undefined ? undefined : await audit.spanOf(asked)
  return { range, filter: { subject, requestId, route: route?.replace(/(.)\/$/, '$1'), span } }
}

function moment(text: string | undefined, name: string): string | undefined {
  return text === undefined ? undefined : momentIn(name, text)
}

/** Yields the entries of a range, in order. Entry times never go back, so a binary search finds the first entry of the range. */
async function* entriesIn(tree: TrustedTree, range: Range): AsyncGenerator<Found> {
  const { to, since, until } = range
  const from = Math.max(range.from, since === '' ? 0 : await bundleBefore(tree, since))
  const first = Math.floor(from / TILE_WIDTH)
  const count = Math.max(0, Math.ceil(Math.min(tree.size, to) / TILE_WIDTH) - first)
  let index = first * TILE_WIDTH
  for await (const entries of ahead(count, 4, (i) => tree.bundle(first + i))) {
    for (const bytes of entries) {
      const found = { index, entry: parsed(bytes, index) }
      index += 1
      const { time } = found.entry.header
      if (time >= until || found.index >= to) return
      if (found.index >= from && time >= since) yield found
    }
  }
}

/** Returns the index of the first entry of the last bundle that begins before a time. */
async function bundleBefore(tree: TrustedTree, time: string): Promise<number> {
  let low = 0
  let high = tree.bundles
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2)
    const [first] = await tree.bundle(middle)
    if (parsed(first ?? new Uint8Array(), middle * TILE_WIDTH).header.time < time) low = middle
    else high = middle
  }
  return low * TILE_WIDTH
}

function parsed(bytes: Uint8Array, index: number): Entry {
  try {
    return parseEntry(bytes, nativeCodec)
  } catch (error) {
    throw new ClientError('false', `entry ${index}: ${messageOf(error)}`)
  }
}

async function prove(audit: AuditPlace, options: ProveOptions, io: Io): Promise<void> {
  if (options.index === undefined)
    throw new ClientError('usage', 'expected --index, the entry of the sub-ledger')
  const index = parseCount(options.index, '--index', 0)
  const { proof, payload } = await audit.prove(index)
  const proved = checkPayloadProof(proof, payload, audit.trust.policy)
  if (proved.index !== index || proved.origin !== audit.origin)
    throw new ClientError(
      'false',
      `proof: expected entry ${index} of ${audit.origin}, found ${proved.index} of ${proved.origin}`,
    )
  const { header } = proofHeader(readProof(proof))
  const read = tryReadOf(parsed(Buffer.concat([header, payload]), index))
  if (typeof read === 'string')
    throw new ClientError('false', `entry ${index} does not record a read: ${read}`)
  if (options.record !== undefined) await writeOutput(options.record, payload)
  if (options.out !== undefined) await writeOutput(options.out, proof)
  if (options.json === true) {
    const { size, time } = proved
    return io.out(`${JSON.stringify({ index, size, time, read, proof, pinned: audit.trust.pinned })}\n`)
  }
  if (options.out === undefined) return io.out(Buffer.from(proof))
  await io.out(
    `true: entry ${index} of ${proved.size} in ${quoted(proved.origin)}, ${proved.time}: ${readText(read)}\n`,
  )
  await io.out(`      ${audit.trust.toString()}\n`)
}

function noticeText(reads: Reads, index: number, time: string): string {
  return reads === 'public'
    ? `no reads of the ledger are recorded from entry ${index} (${time}) on: they are public`
    : `reads of the ledger are recorded again from entry ${index} (${time}) on`
}

/** Checks that each entry records a read or is another permitted entry, and adds the notices to `notes`. */
function recordsRead(notes: string[]): EachEntry {
  return (entry, place, problems) => {
    const notice = readsNoticeOf(entry)
    if (notice !== undefined) notes.push(noticeText(notice, place.index ?? -1, entry.header.time))
    if (notice !== undefined || OWN_TYPES.has(entry.header.type)) return
    const read = tryReadOf(entry)
    if (typeof read === 'string') problems.addError(place, new Error(read), 'an entry that records a read')
  }
}

async function verify(audit: AuditPlace, options: VerifyOptions, io: Io): Promise<number> {
  const { checkpoint } = options
  const kept = checkpoint === undefined ? undefined : (await readInput(checkpoint)).toString('utf8')
  const earlier = kept === undefined ? undefined : audit.trust.open(kept, audit.origin)
  const bar = progressBar(io, 'verify', 'entries')
  const notices: string[] = []
  let report: LedgerReport
  try {
    report = await audit.verify({
      each: recordsRead(notices),
      progress: (_, entries, size) => bar.at(entries, size),
    })
  } finally {
    bar.stop()
  }
  report = { ...report, notes: [...report.notes, ...notices] }
  if (earlier !== undefined)
    report = await withEarlier(report, () => checkEarlier(audit, earlier, report), checkpoint ?? '')
  if (options.json === true) await io.out(`${JSON.stringify(report)}\n`)
  else await printReport(report, io)
  return report.ok ? 0 : FALSE
}

/** Returns the report, with the result of comparing the tree with an earlier checkpoint. */
async function withEarlier(
  report: LedgerReport,
  check: () => Promise<void>,
  file: string,
): Promise<LedgerReport> {
  try {
    await check()
    return { ...report, notes: [...report.notes, `extends the checkpoint in ${file}`] }
  } catch (error) {
    if (!(error instanceof ClientError && error.code === 'false')) throw error
    const [, expected = '', found = ''] = /^expected (.*), found (.*)$/.exec(error.message) ?? []
    const problem = { file: 'checkpoint', expected, found }
    return {
      ...report,
      ok: false,
      problems: [...report.problems, problem],
      problemCount: report.problemCount + 1,
    }
  }
}
