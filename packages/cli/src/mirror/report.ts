/** Formats the report of one run of a copy. */
import { quoted, visibleLine } from '@service-fs/format/visible'
import type { CopyReport } from './verified-copy.ts'

/** Returns the lines of a report, including the lines about the audit sub-ledger. */
export function copyText(report: CopyReport): string {
  const { origin, from, size, root, bundles, tiles, bytes, trust, notes, audit } = report
  const lines = [
    `${quoted(origin)}: size ${size}, ${from === 0 ? 'new' : `was ${from}`}, root hash ${root}`,
    `      added ${bundles} bundles, ${tiles} hash tiles, ${bytes} bytes; ${trust}`,
    ...notes.map((note) => `      note: ${note}`),
  ]
  const text = lines.map(visibleLine).join('\n') + '\n'
  return audit === undefined ? text : text + copyText(audit)
}

/** Reports whether a run has found anything new. */
export function hasGrown({ from, size, audit }: CopyReport): boolean {
  return size > from || (audit !== undefined && hasGrown(audit))
}
