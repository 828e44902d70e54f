import type { Command } from 'commander'
import type { Io } from '../io.ts'
import {
  FALSE,
  keyOptions,
  ledgerOptions,
  perform,
  trustOptions,
  withConnection,
  type KeyOptions,
  type LedgerOptions,
} from '../options.ts'
import { problemText } from '../problems.ts'
import { progressBar } from '../progress.ts'
import { verifyDirectory } from '../verify-directory.ts'
import { verifyUrl } from '../verify-url.ts'
import type { LedgerReport, VerifyOptions } from '../verify.ts'

interface VerifyCommandOptions extends LedgerOptions, KeyOptions {
  audit: boolean
  json?: boolean
}

/** `verify`: derives a ledger again from its entries up. */
export function addVerify(program: Command, io: Io): void {
  const command = program.command('verify [url-or-directory]')
  keyOptions(ledgerOptions(command))
    .description('derive everything again, entry by entry, up to the signed checkpoint')
    .option('--no-audit', 'leave the audit sub-ledger out')
    .option('--json', 'print the report as JSON')
    .action((place: string | undefined, options: VerifyCommandOptions) =>
      perform(io, options.json, () => verify(place, options, io)),
    )
}

async function verify(place: string | undefined, options: VerifyCommandOptions, io: Io): Promise<number> {
  const bar = progressBar(io, 'verify', 'entries')
  const trust = await trustOptions(options)
  let report: LedgerReport
  try {
    const checks: VerifyOptions = {
      ...trust,
      withoutAudit: !options.audit,
      progress: (_, entries, size) => bar.at(entries, size),
    }
    report = await check(place ?? options.url, options, checks)
  } finally {
    bar.stop()
  }
  if (options.json === true) await io.out(JSON.stringify(report) + '\n')
  else await print(report, io)
  return report.ok ? 0 : FALSE
}

function check(place: string, options: VerifyCommandOptions, checks: VerifyOptions): Promise<LedgerReport> {
  if (!/^https?:\/\//.test(place)) return verifyDirectory(place, checks)
  return withConnection({ ...options, url: place }, (connection) => verifyUrl(connection, checks))
}

async function print(report: LedgerReport, io: Io): Promise<void> {
  for (const problem of report.problems) io.err(`${report.place}: ${problemText(problem)}`)
  const more = report.problemCount - report.problems.length
  if (more > 0) io.err(`${report.place}: and ${more} more`)
  await io.out(summary(report))
  if (report.audit !== undefined) await print(report.audit, io)
}

function summary(report: LedgerReport): string {
  const { bundles, tiles, commits, proofs, files } = report.checked
  const checked = [`${bundles} bundles`, `${tiles} hash tiles`, `${commits} signed checkpoints`]
  if (proofs > 0) checked.push(`${proofs} proofs`)
  if (files > 0) checked.push(`${files} files`)
  const newest = report.time === '' ? '' : `, newest ${report.time}`
  const lines = [
    `${report.problemCount === 0 ? 'true ' : 'FALSE'} ${report.origin}: ${report.entries} entries, ${report.records} records${newest}`,
    `      size ${report.size}, root hash ${report.root}`,
    `      checked ${checked.join(', ')}`,
    `      ${report.trust}${report.witnesses.length === 0 ? '' : `; cosigned by ${report.witnesses.join(', ')}`}`,
    ...report.notes.map((note) => `      note: ${note}`),
  ]
  return lines.join('\n') + '\n'
}
