/** Makes an examiner's pack: the selected records of a ledger with their proofs, an index, a report and a page that shows them. */
import { CLOCK_TYPE } from '@service-fs/format/clock-correction'
import { keptText } from '@service-fs/format/duties'
import { RETAIN_FIELD } from '@service-fs/format/duty'
import { SIGNATURE_OF_FIELD } from '@service-fs/format/author'
import { fieldOf } from '@service-fs/format/entry'
import { readmeText } from '@service-fs/format/readme'
import { VERIFY_SH } from '@service-fs/format/verify-shell'
import { nativeCodec, nativeHasher, sha256Hex } from '@service-fs/native/native'
import { verifyInclusion } from '@service-fs/tlog/proof'
import { formatTlogProof } from '@service-fs/tlog/tlog-proof'
import { ClientError } from '../errors.ts'
import { treeRecords, type TreeRecord } from '../tree-records.ts'
import { putAudit } from './audit-files.ts'
import { IndexFiles } from './index-files.ts'
import type { ExaminedLedger } from './ledger.ts'
import type { PackOutput } from './output.ts'
import type { ClockCorrections, PackedRecord, PackOptions, PackSummary } from './packed.ts'
import { authorText, PackAuthors } from './pack-authors.ts'
import { PackDuties } from './pack-duties.ts'
import { PageFiles } from './page-files.ts'
import { readmeOfPack } from './readme.ts'
import { ReportFiles } from './report-files.ts'
import { packedFiles } from './safe-text.ts'
import { Spool } from './spool.ts'
import { TreeProofs } from './tree-proofs.ts'

/** The number of bundles to read ahead. A bundle takes up to 60 MiB while it is decoded. */
const READ_AHEAD = 1
/** The maximum number of clock corrections that the report lists. */
const CORRECTIONS = 1000

/**
 * Reads and verifies every entry of a ledger, and writes the pack of its selected records. The output is complete, and may be used, only if this
 * resolves.
 * @throws ClientError `false` when an entry, a record or a proof does not verify; like the source and the output
 */
export async function makePack(
  ledger: ExaminedLedger,
  output: PackOutput,
  options: PackOptions,
): Promise<PackSummary> {
  const spool = await Spool.open<SpooledRecord>(output.folder)
  try {
    return await packInto(ledger, { output, spool }, options)
  } finally {
    await spool.close()
  }
}

/** A record whose row waits until its author and all duties are known. */
interface SpooledRecord extends PackedRecord {
  /** The number of the script with its data. */
  data: number
  retainUntil: string | undefined
}

async function packInto(
  ledger: ExaminedLedger,
  { output, spool }: { output: PackOutput; spool: Spool<SpooledRecord> },
  options: PackOptions,
): Promise<PackSummary> {
  const { tree, origin, checkpoint, note, trust } = ledger
  const { selection, progress } = options
  const proofs = new TreeProofs(tree)
  const authors = new PackAuthors<SpooledRecord>(options.signatures)
  const report = await ReportFiles.open(output, ledger, options)
  const page = new PageFiles(output)
  const summary: PackSummary = {
    origin,
    size: checkpoint.size,
    root: checkpoint.root,
    recordsRead: 0,
    records: 0,
    signatures: 0,
    bytes: 0,
    pinned: trust.pinned,
    authors: authors.counts,
  }
  const corrections: ClockCorrections = { count: 0, first: [] }
  const duties = new PackDuties()
  for await (const record of treeRecords(tree, READ_AHEAD)) {
    summary.recordsRead += 1
    if (record.type === CLOCK_TYPE) noteCorrection(record, corrections)
    duties.read(record)
    progress?.(record.index + record.parts, checkpoint.size)
    const signed = await authors.next(record)
    if (signed !== undefined) await spool.add(signed.row)
    const isSelected = selection.selects(record) && selection.selectsPayload(record.payload)
    if (!isSelected && signed?.isFollowed !== true) continue
    const row = rowOf(record)
    const hashes = await proofs.inclusion(record.index)
    checkInclusion(ledger, row, hashes)
    const extra = record.entry.subarray(0, record.headerLength)
    const proof = formatTlogProof({ extra, index: record.index, hashes, checkpoint: note }, nativeCodec)
    await output.put(row.file, record.payload)
    await output.put(row.proof, nativeCodec.utf8Encode(proof))
    const data = await page.add(row, { header: extra, payload: record.payload, hashes })
    const spooled = { ...row, data, retainUntil: fieldOf(record, RETAIN_FIELD) }
    if (!authors.waits(record, spooled)) await spool.add(spooled)
    summary.records += 1
    summary.bytes += row.size
    if (!isSelected) summary.signatures += 1
  }
  const last = await authors.next(undefined)
  if (last !== undefined) await spool.add(last.row)
  const index = await IndexFiles.open(output)
  for await (const row of spool.items()) {
    const kept = duties.of(row)
    await index.add(row)
    await report.add(row, kept)
    await page.index(row, { kept: keptText(kept), author: authorText(row) })
  }
  await index.end()
  await report.end(summary, { corrections, duties })
  await page.end(ledger, options, summary)
  await putIdentity(ledger, output)
  await putAudit(options.recorded, output)
  return summary
}

function rowOf(record: TreeRecord): PackedRecord {
  const { index, parts, id, type, time, payload, entry } = record
  const signatureOf = fieldOf(record, SIGNATURE_OF_FIELD)
  return {
    cursor: index + 1,
    id,
    type,
    time,
    entries: parts,
    size: payload.length,
    leafHash: nativeHasher.leaf(entry),
    sha256: sha256Hex(payload),
    ...packedFiles(record),
    ...(signatureOf === undefined ? {} : { signatureOf }),
  }
}

function checkInclusion({ checkpoint }: ExaminedLedger, row: PackedRecord, proof: readonly string[]): void {
  const { size, root } = checkpoint
  try {
    verifyInclusion({ index: row.cursor - 1, size, leafHash: row.leafHash, root, proof }, nativeHasher)
  } catch {
    throw new ClientError(
      'false',
      `entry ${row.cursor - 1}: expected a proof that verifies, found one that does not`,
    )
  }
}

function noteCorrection({ index, time }: TreeRecord, corrections: ClockCorrections): void {
  corrections.count += 1
  if (corrections.first.length < CORRECTIONS) corrections.first.push({ cursor: index + 1, time })
}

/** Writes the files that verify the proofs without this software. */
async function putIdentity({ origin, keys, note }: ExaminedLedger, output: PackOutput): Promise<void> {
  const put = (path: string, text: string): Promise<void> => output.put(path, nativeCodec.utf8Encode(text))
  await put('README.txt', readmeOfPack(origin))
  // verify.sh treats its folder as a ledger, and reports any other file there.
  await put('ledger/README.txt', readmeText(origin))
  await put('ledger/verify.sh', VERIFY_SH)
  await put('ledger/origin', `${origin}\n`)
  await put('ledger/checkpoint', note)
  for (const [name, vkey] of keys) await put(`ledger/keys/${name}`, `${vkey}\n`)
}
