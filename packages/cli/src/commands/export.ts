import { resolve } from 'node:path'
import type { Command } from 'commander'
import { exportCopy } from '../copy.ts'
import { ClientError } from '@service-fs/client/errors'
import type { Io } from '../io.ts'
import {
  keyOptions,
  ledgerOptions,
  placeOptions,
  trustOptions,
  type KeyOptions,
  type LedgerOptions,
} from '../options.ts'
import { perform } from '../perform.ts'
import { directoryOutput } from '../output-directory.ts'
import { tarOutput } from '../output-tar.ts'
import type { Output } from '../output.ts'
import { copyInto } from '../report.ts'
import { verifyPlace } from '@service-fs/client/verify-place'

interface ExportOptions extends LedgerOptions, KeyOptions {
  audit: boolean
  out?: string
  json?: boolean
}

/** `export`: writes a whole ledger, verified, as a directory or a tar archive. */
export function addExport(program: Command, io: Io): void {
  const command = program.command('export [place]')
  keyOptions(ledgerOptions(command))
    .description(
      'verify a whole ledger from a URL, a directory, a tar archive or a disk image, and write a copy',
    )
    .option('--out <path>', 'the directory to create, or the archive if the name ends in .tar')
    .option('--no-audit', 'skip the audit sub-ledger')
    .option('--json', 'print the report as JSON')
    .action((place: string | undefined, options: ExportOptions) =>
      perform(io, options.json, () => exportLedger(place ?? options.url, options, io)),
    )
}

async function exportLedger(place: string, options: ExportOptions, io: Io): Promise<number> {
  const trust = await trustOptions(options)
  const out = outputPath(options.out)
  const output = await openOutput(out)
  return copyInto({ output, out, verb: 'exported', json: options.json }, io, async (progress) =>
    verifyPlace(place, {
      ...(await placeOptions(place, options)),
      ...trust,
      withoutAudit: !options.audit,
      copy: exportCopy(output),
      progress,
    }),
  )
}

function outputPath(out: string | undefined): string {
  if (out === undefined) throw new ClientError('usage', 'expected --out')
  if (out.endsWith('.img'))
    throw new ClientError('usage', `--out: expected a directory or .tar, found ${out}`)
  return out
}

function openOutput(out: string): Promise<Output> {
  return out.endsWith('.tar') ? tarOutput(resolve(out)) : directoryOutput(resolve(out))
}
