import type { Command } from 'commander'
import { quoted, visibleLine } from '@service-fs/format/visible'
import { Trust } from '@service-fs/client/trust'
import { AS_OF } from '../algorithms/standing.ts'
import { algorithmsOf, type AlgorithmReport, type AlgorithmUse } from '../algorithms/uses.ts'
import type { Io } from '../io.ts'
import { withSource } from '../mirror/update.ts'
import { keyOptions, ledgerOptions, trustOptions, type KeyOptions, type LedgerOptions } from '../options.ts'
import { perform } from '../perform.ts'
import { progressBar } from '../progress.ts'

interface AlgorithmsOptions extends LedgerOptions, KeyOptions {
  audit: boolean
  json?: boolean
}

const HOW = `
The command reads all entries, and verifies each by the tree of the signed checkpoint. It does not compare second trees with the
entries: verify does. The standing of each algorithm is that of the table in docs/compliance.md, at the date that is printed.`

/** `algorithms`: reports which hash and signature algorithms a ledger rests on. */
export function addAlgorithms(program: Command, io: Io): void {
  keyOptions(ledgerOptions(program.command('algorithms [place]')))
    .description(
      'report which hash and signature algorithms a ledger rests on, since which entry, and their standing',
    )
    .option('--no-audit', 'skip the audit sub-ledger')
    .option('--json', 'print the report as JSON')
    .addHelpText('after', HOW)
    .action((place: string | undefined, options: AlgorithmsOptions) =>
      perform(io, options.json, () => algorithms(place ?? options.url, options, io)),
    )
}

async function algorithms(place: string, options: AlgorithmsOptions, io: Io): Promise<void> {
  const trust = Trust.pinned(await trustOptions(options))
  const bar = progressBar(io, 'algorithms', 'entries')
  let report: AlgorithmReport
  try {
    report = await withSource(place, options, (source) =>
      algorithmsOf(source, {
        trust,
        withoutAudit: !options.audit,
        progress: (entries, size) => bar.at(entries, size),
      }),
    )
  } finally {
    bar.stop()
  }
  await io.out(
    options.json === true
      ? `${JSON.stringify({ as_of: AS_OF, ...report })}\n`
      : `${textOf(report)}standing as of ${AS_OF}: docs/compliance.md, Algorithms\n`,
  )
}

function textOf({ origin, size, root, trust, algorithms: uses, audit }: AlgorithmReport): string {
  const lines = [
    `${quoted(origin)}: size ${size}, root hash ${root}`,
    `      ${trust}`,
    ...uses.map((use) => `      ${useText(use)}`),
  ]
  const text = lines.map(visibleLine).join('\n') + '\n'
  return audit === undefined ? text : text + textOf(audit)
}

function useText({ name, standard, standing, use, since, covers }: AlgorithmUse): string {
  const bound = covers === undefined ? '' : `, which binds the first ${covers} entries`
  return `${use}: ${name} (${standard}), since entry ${since}${bound}: ${standing}`
}
