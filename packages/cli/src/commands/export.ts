import { resolve } from 'node:path'
import type { Command } from 'commander'
import { exportCopy } from '../copy.ts'
import { ClientError } from '@service-fs/client/errors'
import { directoryFiles } from '@service-fs/client/ledger-files'
import { Trust, type TrustOptions } from '@service-fs/client/trust'
import type { Io } from '../io.ts'
import { directoryPlace } from '../mirror/directory-place.ts'
import { copyText } from '../mirror/report.ts'
import { checkApart, updateWith, withSource } from '../mirror/update.ts'
import { VerifiedCopy, type CopyReport } from '../mirror/verified-copy.ts'
import {
  keyOptions,
  ledgerOptions,
  placeOptions,
  trustOptions,
  type KeyOptions,
  type LedgerOptions,
} from '../options.ts'
import { perform } from '../perform.ts'
import { refuseStore, verifyAt } from '../places.ts'
import { directoryOutput } from '../output-directory.ts'
import { tarOutput } from '../output-tar.ts'
import type { Output } from '../output.ts'
import { copyInto } from '../report.ts'

interface ExportOptions extends LedgerOptions, KeyOptions {
  audit: boolean
  out?: string
  json?: boolean
}

/** `export`: verifies a whole ledger, and writes it as a directory or a tar archive. */
export function addExport(program: Command, io: Io): void {
  const command = program.command('export [place]')
  keyOptions(ledgerOptions(command))
    .description(
      'copy a ledger, verified, from a URL, a directory, a tar archive, a disk image or an S3 store, or bring such a copy up to date',
    )
    .option('--out <path>', 'the directory to create or to add to, or the archive if the name ends in .tar')
    .option('--no-audit', 'skip the audit sub-ledger')
    .option('--json', 'print the report as JSON')
    .action((place: string | undefined, options: ExportOptions) =>
      perform(io, options.json, () => exportLedger(place ?? options.url, options, io)),
    )
}

async function exportLedger(place: string, options: ExportOptions, io: Io): Promise<number> {
  const trust = await trustOptions(options)
  const out = outputPath(options.out)
  if (await isExport(resolve(out))) return continueExport(place, { out, trust }, options, io)
  const output = await openOutput(out)
  return copyInto({ output, out, verb: 'exported', json: options.json }, io, async (progress) =>
    verifyAt(place, {
      ...(await placeOptions(place, options)),
      ...trust,
      withoutAudit: !options.audit,
      copy: exportCopy(output),
      progress,
    }),
  )
}

/** Reports whether there is a directory with a ledger's origin, so that an export continues it. */
async function isExport(dir: string): Promise<boolean> {
  return (await directoryFiles(dir).read('origin')) !== undefined
}

/** Adds the source's new entries to an existing export. Verifies the new entries, and the end of the export. */
async function continueExport(
  place: string,
  { out, trust }: { out: string; trust: TrustOptions },
  options: ExportOptions,
  io: Io,
): Promise<number> {
  await checkApart(place, out)
  const copy = new VerifiedCopy({
    place: directoryPlace(resolve(out), 'export'),
    trust: Trust.pinned(trust),
    withoutAudit: !options.audit,
  })
  let report: CopyReport
  try {
    report = await withSource(place, options, (source) => updateWith(copy, source, io))
  } finally {
    await copy.close()
  }
  if (options.json === true) await io.out(`${JSON.stringify({ ...report, out })}\n`)
  else await io.out(`${copyText(report)}exported to ${out}\n`)
  return 0
}

function outputPath(out: string | undefined): string {
  if (out === undefined) throw new ClientError('usage', 'expected --out')
  refuseStore('--out', out)
  if (out.endsWith('.img'))
    throw new ClientError('usage', `--out: expected a directory or .tar, found ${out}`)
  return out
}

function openOutput(out: string): Promise<Output> {
  return out.endsWith('.tar') ? tarOutput(resolve(out)) : directoryOutput(resolve(out))
}
