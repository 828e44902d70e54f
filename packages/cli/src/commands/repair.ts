import { resolve, sep } from 'node:path'
import type { Command } from 'commander'
import { quoted } from '@service-fs/format/visible'
import { ClientError } from '@service-fs/client/errors'
import type { Io } from '../io.ts'
import type { CopySource } from '../mirror/copy-source.ts'
import { checkApart, withSource } from '../mirror/update.ts'
import { keyOptions, tenantOptions, trustOptions, type KeyOptions, type TenantOptions } from '../options.ts'
import { FALSE, perform } from '../perform.ts'
import { progressBar } from '../progress.ts'
import { countsText, findingText, type RepairReport } from '../repair/finding.ts'
import { keptBeside, repairLedger } from '../repair/repair.ts'
import { printReport } from '../report.ts'

interface RepairCommandOptions extends TenantOptions, KeyOptions {
  audit: boolean
  from?: string
  damaged?: string
  dryRun?: boolean
  json?: boolean
}

const HOW = `
Stop the daemon first: the command refuses a ledger that a process uses. It compares every sealed tile and bundle with the
ledger's own signed tree, and writes only bytes that this tree proves, wherever they come from. It computes the tiles of second
trees from the entries, and writes only tiles that a bound or signed root hash of their tree proves. It moves each damaged file
to the directory --damaged. If it is killed, the next run continues. It needs an intact tail. Afterwards it verifies the ledger:
the exit status is 0 if nothing is wrong any more, and 1 otherwise. With --dry-run it is 0 if no file is damaged.`

/** `repair`: replaces the damaged sealed files of a ledger by those of a mirror. */
export function addRepair(program: Command, io: Io): void {
  keyOptions(tenantOptions(program.command('repair <directory>')))
    .description(
      'replace damaged or missing tiles and bundles of a ledger by those of a mirror or an export, proven',
    )
    .option(
      '--from <place>',
      'a mirror, an export or another copy: a URL, a directory, a tar archive or a disk image',
    )
    .option('--damaged <directory>', 'where to keep the damaged files; default: <directory>.damaged')
    .option('--dry-run', 'only report which files are damaged, and which of them can be repaired')
    .option('--no-audit', 'skip the audit sub-ledger')
    .option('--json', 'print the report as JSON')
    .addHelpText('after', HOW)
    .action((directory: string, options: RepairCommandOptions) =>
      perform(io, options.json, () => repair(directory, options, io)),
    )
}

async function repair(directory: string, options: RepairCommandOptions, io: Io): Promise<number> {
  const { from, json } = options
  if (from === undefined) throw new ClientError('usage', 'expected --from')
  await checkApart(from, directory)
  const dir = resolve(directory)
  const kept = options.damaged === undefined ? keptBeside(dir) : resolve(options.damaged)
  if (`${kept}${sep}`.startsWith(`${dir}${sep}`))
    throw new ClientError(
      'usage',
      `--damaged: expected a directory outside of the ledger, found ${quoted(kept)}`,
    )
  const report = await withSource(from, options, (source) => run(source, { dir, kept }, options, io))
  if (json === true) await io.out(`${JSON.stringify(report)}\n`)
  else await print(report, io)
  return report.ok ? 0 : FALSE
}

async function run(
  source: CopySource,
  places: { dir: string; kept: string },
  options: RepairCommandOptions,
  io: Io,
): Promise<RepairReport> {
  const bars = {
    repair: progressBar(io, 'repair', 'entries'),
    verify: progressBar(io, 'verify', 'entries'),
  }
  try {
    return await repairLedger(source, {
      ...places,
      ...(await trustOptions(options)),
      dryRun: options.dryRun === true,
      withoutAudit: !options.audit,
      progress: (entries, size) => bars.repair.at(entries, size),
      verifying: (_, entries, size) => {
        bars.repair.stop()
        bars.verify.at(entries, size)
      },
    })
  } finally {
    for (const bar of Object.values(bars)) bar.stop()
  }
}

async function print(report: RepairReport, io: Io): Promise<void> {
  for (const finding of report.files) {
    if (finding.outcome === 'repaired') await io.out(`${findingText(finding)}\n`)
    else io.err(findingText(finding))
  }
  const damaged = report.repaired + report.repairable + report.unrepaired
  if (damaged > report.files.length) io.err(`and ${damaged - report.files.length} more`)
  await io.out(countsText(report))
  if (report.verified !== undefined) await printReport(report.verified, io)
}
