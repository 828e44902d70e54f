import type { Command } from 'commander'
import { anchorOptions, authorVerifier, type AnchorOptions } from '../author-anchors.ts'
import type { Io } from '../io.ts'
import {
  keyOptions,
  ledgerOptions,
  placeOptions,
  trustOptions,
  type KeyOptions,
  type LedgerOptions,
} from '../options.ts'
import { FALSE, perform } from '../perform.ts'
import { verifyAt } from '../places.ts'
import { progressBar } from '../progress.ts'
import { printReport } from '../report.ts'
import type { LedgerReport } from '@service-fs/client/verify'

interface VerifyCommandOptions extends LedgerOptions, KeyOptions, AnchorOptions {
  audit: boolean
  json?: boolean
}

/** `verify`: recomputes a ledger, from its entries up to the signed checkpoint. */
export function addVerify(program: Command, io: Io): void {
  const command = program.command('verify [place]')
  anchorOptions(keyOptions(ledgerOptions(command)))
    .description(
      'recompute a ledger behind a URL, in a directory, in a tar archive, in a disk image or in an S3 store, from each entry up to the signed checkpoint',
    )
    .option('--no-audit', 'skip the audit sub-ledger')
    .option('--json', 'print the report as JSON')
    .action((place: string | undefined, options: VerifyCommandOptions) =>
      perform(io, options.json, () => verify(place, options, io)),
    )
}

async function verify(place: string | undefined, options: VerifyCommandOptions, io: Io): Promise<number> {
  const trust = await trustOptions(options)
  const signatures = await authorVerifier(options)
  const bar = progressBar(io, 'verify', 'entries')
  let report: LedgerReport
  try {
    const at = place ?? options.url
    report = await verifyAt(at, {
      ...(await placeOptions(at, options)),
      ...trust,
      withoutAudit: !options.audit,
      signatures,
      isAnchored: options.authorAnchors !== undefined,
      progress: (_, entries, size) => bar.at(entries, size),
    })
  } finally {
    bar.stop()
  }
  if (options.json === true) await io.out(JSON.stringify(report) + '\n')
  else await printReport(report, io)
  return report.ok ? 0 : FALSE
}
