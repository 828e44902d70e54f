/** Prints verification reports: problems to standard error, a summary of each ledger to standard output. */
import { quoted, visibleLine } from '@service-fs/format/visible'
import type { Io } from './io.ts'
import { FALSE } from './perform.ts'
import type { Output } from './output.ts'
import { problemText } from '@service-fs/client/problems'
import { progressBar } from './progress.ts'
import type { SecondTreeReport } from '@service-fs/client/second-tree/second-trees'
import type { LedgerReport, VerifyOptions } from '@service-fs/client/verify'

export async function printReport(report: LedgerReport, io: Io): Promise<void> {
  for (const problem of report.problems) io.err(`${quoted(report.place)}: ${problemText(problem)}`)
  const more = report.problemCount - report.problems.length
  if (more > 0) io.err(`${quoted(report.place)}: and ${more} more`)
  await io.out(summary(report))
  if (report.audit !== undefined) await printReport(report.audit, io)
}

function summary(report: LedgerReport): string {
  const { bundles, tiles, commits, proofs, files } = report.checked
  const checked = [`${bundles} bundles`, `${tiles} hash tiles`, `${commits} signed checkpoints`]
  if (proofs > 0) checked.push(`${proofs} proofs`)
  if (files > 0) checked.push(`${files} files`)
  const newest = report.time === '' ? '' : `, newest ${report.time}`
  const lines = [
    `${report.problemCount === 0 ? 'true ' : 'FALSE'} ${quoted(report.origin)}: ${report.entries} entries, ${report.records} records${newest}`,
    `      size ${report.size}, root hash ${report.root}`,
    `      checked ${checked.join(', ')}`,
    `      ${report.trust}${report.witnesses.length === 0 ? '' : `; cosigned by ${report.witnesses.map(quoted).join(', ')}`}`,
    ...(report.trees ?? []).map((tree) => `      ${treeText(tree)}`),
    ...report.notes.map((note) => `      note: ${note}`),
  ]
  return lines.map(visibleLine).join('\n') + '\n'
}

/** Returns the line about a second tree. */
export function treeText({ algorithm, size, root, tiles, boundAt }: SecondTreeReport): string {
  const signed =
    size === undefined ? 'no signed checkpoint' : `size ${size}, root hash ${root}, ${tiles} hash tiles`
  const bound = boundAt.length === 0 ? 'not bound' : `bound at entry ${boundAt.join(', ')}`
  return `${algorithm} tree: ${signed}; ${bound}`
}

export interface CopyTo {
  output: Output
  /** The place in the form in which the user named it. */
  out: string
  verb: 'exported' | 'restored'
  json: boolean | undefined
}

/**
 * Copies a ledger while `check` verifies it, moves the copy into place if no problem was found, and prints the result, followed by `hint`.
 * Returns the exit status.
 */
export async function copyInto(
  { output, out, verb, json }: CopyTo,
  io: Io,
  check: (progress: NonNullable<VerifyOptions['progress']>) => Promise<LedgerReport>,
  hint = '',
): Promise<number> {
  const bar = progressBar(io, verb, 'entries')
  try {
    const report = await check((_, entries, size) => bar.at(entries, size))
    const written = report.ok ? await output.finish() : undefined
    bar.stop()
    if (json === true)
      await io.out(JSON.stringify(written === undefined ? report : { ...report, out, written }) + '\n')
    else {
      await printReport(report, io)
      if (written !== undefined)
        await io.out(`${verb} to ${out}: ${written.files} files, ${written.bytes} bytes\n${hint}`)
    }
    return report.ok ? 0 : FALSE
  } finally {
    bar.stop()
    await output.discard()
  }
}
