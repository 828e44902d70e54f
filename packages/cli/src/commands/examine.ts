import { resolve } from 'node:path'
import type { Command } from 'commander'
import { quoted } from '@service-fs/format/visible'
import { ClientError } from '@service-fs/client/errors'
import { anchorOptions, authorVerifier, type AnchorOptions } from '../author-anchors.ts'
import { isUrl } from '@service-fs/client/http'
import type { PackWriter } from '../examine/pack-directory.ts'
import type { Io } from '../io.ts'
import {
  collect,
  keyOptions,
  ledgerOptions,
  placeOptions,
  readInput,
  trustOptions,
  type KeyOptions,
  type LedgerOptions,
} from '../options.ts'
import type { Written } from '../output.ts'
import { perform } from '../perform.ts'
import { progressBar } from '../progress.ts'
import { selectionOf, selectionOptions, type SelectionOptions } from '../selection.ts'
import type { PackSummary } from '@service-fs/client/examine/packed'

interface ExamineOptions extends LedgerOptions, KeyOptions, SelectionOptions, AnchorOptions {
  checkpoint?: string[]
  out?: string
  json?: boolean
}

const HOW = `
The command reads the whole ledger and verifies every entry against the signed checkpoint. The pack has each selected record as a
file, its .tlog-proof, an index, an integrity report, and index.html, which searches the records and checks their proofs in a browser
without a network. If a check fails, there is no pack.`

/** `examine`: makes a pack of selected records for an examiner. */
export function addExamine(program: Command, io: Io): void {
  const command = program.command('examine [place]')
  selectionOptions(anchorOptions(keyOptions(ledgerOptions(command))))
    .description(
      'make a pack of selected records, their proofs and an integrity report, from the ledger behind a URL, in a directory, in a tar archive or in a disk image',
    )
    .option(
      '--checkpoint <file>',
      'an earlier checkpoint of the ledger; the ledger must extend it; may be repeated',
      collect,
    )
    .option('-o, --out <pack>', 'the directory to create, or the archive if the name ends in .zip')
    .option('--json', 'print the result as JSON')
    .addHelpText('after', HOW)
    .action((place: string | undefined, options: ExamineOptions) =>
      perform(io, options.json, () => examine(place ?? options.url, options, program.version() ?? '', io)),
    )
}

async function examine(place: string, options: ExamineOptions, version: string, io: Io): Promise<void> {
  const { out } = options
  if (out === undefined) throw new ClientError('usage', 'expected --out')
  const selection = selectionOf(options)
  const earlier: string[] = []
  for (const file of options.checkpoint ?? []) earlier.push((await readInput(file)).toString())
  const signatures = await authorVerifier(options)
  const access = { ...(await placeOptions(place, options)), ...(await trustOptions(options)), earlier }
  const [{ withExamined }, { makePack }] = await Promise.all([
    import('@service-fs/client/examine/ledger'),
    import('@service-fs/client/examine/pack'),
  ])
  const made = new Date()
  const output = await openPack(resolve(out), made)
  const bar = progressBar(io, 'examine', 'entries')
  try {
    const summary = await withExamined(place, access, (ledger) =>
      makePack(ledger, output, {
        selection,
        signatures,
        isAnchored: options.authorAnchors !== undefined,
        made: made.toISOString(),
        program: `service-fs ${version} examine`,
        recorded: isUrl(place) ? 'by-server' : undefined,
        progress: (entries, size) => bar.at(entries, size),
      }),
    )
    const written = await output.finish()
    bar.stop()
    if (options.json === true) await io.out(`${JSON.stringify({ ...summary, out, written })}\n`)
    else await io.out(resultText(summary, written, out))
  } finally {
    bar.stop()
    await output.discard()
  }
}

async function openPack(place: string, made: Date): Promise<PackWriter> {
  if (place.endsWith('.zip')) return (await import('../examine/pack-zip.ts')).packZip(place, made)
  return (await import('../examine/pack-directory.ts')).packDirectory(place)
}

function resultText(summary: PackSummary, written: Written, out: string): string {
  const key = summary.pinned ? 'key pinned' : 'self-consistent, key not pinned'
  const { signed, verified } = summary.authors
  const authors =
    signed === 0
      ? ''
      : `signatures of authors: ${verified} verified${verified === signed ? '' : `, ${signed - verified} NOT VERIFIED: the report has the reasons`}\n`
  return `true  ${quoted(summary.origin)}: ${summary.size} entries, ${summary.recordsRead} records verified; ${key}
packed ${summary.records} records (${summary.bytes} bytes) in ${quoted(out)}: ${written.files} files, ${written.bytes} bytes
${authors}`
}
