/** The integrity report as HTML. It has no script and requests nothing. */
import { keptText, type Kept } from '@service-fs/format/duties'
import type { Selection } from '@service-fs/format/selection'
import { AUDIT_FILES } from './audit-files.ts'
import { htmlHead } from './html-head.ts'
import type { ExaminedLedger } from './ledger.ts'
import { authorText } from './pack-authors.ts'
import type { PackDuties } from './pack-duties.ts'
import type { PackedRecord, PackOptions, PackSummary } from './packed.ts'
import { htmlText } from './safe-text.ts'

const STYLE = `
:root { color-scheme: light dark; }
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 75rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; }
caption { text-align: left; padding: .5rem 0; }
th, td { border: 1px solid GrayText; padding: .25rem .5rem; text-align: left; vertical-align: top; }
code, pre { font-family: ui-monospace, monospace; overflow-wrap: anywhere; white-space: pre-wrap; }
bdi { overflow-wrap: anywhere; }
@media print { a { color: inherit; } }
`

function page(title: string, body: string): string {
  return `${htmlHead({ title, policy: ["style-src 'unsafe-inline'"], style: STYLE })}<body>
${body}</body>
</html>
`
}

/** Formats a record as a row. */
export function reportRow(row: PackedRecord, kept: Kept): string {
  const cells = [
    `<th scope="row">${row.cursor}</th>`,
    `<td><bdi>${htmlText(row.id)}</bdi></td>`,
    `<td><bdi>${htmlText(row.type)}</bdi>, ${row.size} bytes</td>`,
    `<td>${htmlText(row.time)}</td>`,
    '<td>Unchanged</td>',
    `<td>${htmlText(keptText(kept)) || 'No duty'}</td>`,
    `<td>${authorCell(row)}</td>`,
    `<td>leaf <code>${htmlText(row.leafHash)}</code><br>SHA-256 <code>${row.sha256}</code></td>`,
    `<td><code>${htmlText(row.file)}</code><br><code>${htmlText(row.proof)}</code></td>`,
  ]
  return `<tr>${cells.join('')}</tr>\n`
}

/** Formats the author of a record: the certificates and the signature's file follow the judgement. */
function authorCell(row: PackedRecord): string {
  const text = authorText(row)
  const judged = text === '' ? 'Not signed' : `<bdi>${htmlText(text)}</bdi>`
  const { author, signature } = row.author ?? {}
  const hashes = author === undefined ? [] : [author.certificate, ...author.chain]
  const files = signature === undefined ? [] : [signature.file]
  return [judged, ...[...hashes, ...files].map((one) => `<code>${htmlText(one)}</code>`)].join('<br>')
}

function table(rows: readonly string[]): string {
  if (rows.length === 0) return '<p>No record meets the selection.</p>\n'
  const columns = [
    'Cursor',
    'Identifier',
    'Media type',
    'Deposited',
    'Since then',
    'Must be kept',
    'Author',
    'Hashes',
    'Files',
  ]
  return `<table>
<caption>The records. “Unchanged” means that the proof of the record leads to the root hash of the checkpoint. The hashes below an author are those of the certificates, the author’s own first.</caption>
<thead><tr>${columns.map((column) => `<th scope="col">${column}</th>`).join('')}</tr></thead>
<tbody>
${rows.join('')}</tbody>
</table>
`
}

/** Formats a page that has only records. */
export function rowsPage(origin: string, number: number, rows: readonly string[]): string {
  const title = `Integrity report, records, page ${number}`
  return page(
    title,
    `<main>\n<h1>${title}</h1>\n<p>Ledger <bdi>${htmlText(origin)}</bdi>. <a href="../report.html">The report</a> says what was checked.</p>\n${table(rows)}</main>\n`,
  )
}

interface Report {
  duties: PackDuties
  ledger: ExaminedLedger
  options: PackOptions
  summary: PackSummary
  checked: readonly string[]
  notChecked: readonly string[]
  /** The rows of the records, unless they are on the pages in `pages`. */
  rows: readonly string[]
  /** The paths of the pages that contain the records. */
  pages: readonly string[]
}

export function reportPage(report: Report): string {
  const { ledger, options, summary, duties, checked, notChecked, rows, pages } = report
  const facts: [string, string][] = [
    ['Ledger', `<bdi>${htmlText(ledger.origin)}</bdi>`],
    ['Made', `${htmlText(options.made)} by ${htmlText(options.program)}`],
    ['Selection', selectionText(options.selection)],
    ['Records in this pack', `${summary.records} of ${summary.recordsRead}, ${summary.bytes} bytes`],
    ['Entries read and verified', String(summary.size)],
    ['Signatures of authors', signedText(summary)],
    [
      'Duties',
      `scopes with a policy: ${duties.policies}; holds in force: ${duties.holds}; report.json lists them`,
    ],
    ['Recorded', recordedText(options.recorded)],
    ['Root hash', `<code>${htmlText(summary.root)}</code>`],
    ['Keys', [...ledger.keys.values()].map((vkey) => `<code>${htmlText(vkey)}</code>`).join('<br>')],
    ['Checkpoint', `<pre>${ledger.note.split('\n').map(htmlText).join('\n')}</pre>`],
  ]
  return page(
    'Integrity report',
    `<main>
<h1>Integrity report</h1>
<p>${resultText(summary.records)}
<a href="index.html">Search and read the records.</a></p>
<table>
<caption>The pack</caption>
<tbody>
${facts.map(([name, value]) => `<tr><th scope="row">${name}</th><td>${value}</td></tr>\n`).join('')}</tbody>
</table>
<h2>What was checked</h2>
${list(checked)}<h2>What was not checked</h2>
${list(notChecked)}<h2>Records</h2>
${pages.length === 0 ? table(rows) : links(pages)}</main>
`,
  )
}

function signedText({ authors: { signed, verified } }: PackSummary): string {
  if (signed === 0) return 'no record of this pack is signed'
  return `verified: ${verified} of ${signed}${verified === signed ? '' : '; the others are NOT VERIFIED'}`
}

function recordedText(recorded: PackOptions['recorded']): string {
  if (typeof recorded !== 'object') return 'without a proof in this pack'
  return `entry ${recorded.index} of <bdi>${htmlText(recorded.origin)}</bdi>: <code>${AUDIT_FILES.file}</code>, <code>${AUDIT_FILES.proof}</code>`
}

function resultText(records: number): string {
  if (records === 0) return 'No record of the ledger meets the selection.'
  const which = records === 1 ? 'The record' : `Each of the ${records} records`
  return `${which} of this pack is unchanged from its deposit to this report, as far as the checks below show it.`
}

function list(sentences: readonly string[]): string {
  return `<ul>\n${sentences.map((sentence) => `<li>${htmlText(sentence)}</li>\n`).join('')}</ul>\n`
}

function links(pages: readonly string[]): string {
  const items = pages.map((path, i) => `<li><a href="${htmlText(path)}">Page ${i + 1}</a></li>\n`)
  return `<nav aria-label="Pages of records"><ol>\n${items.join('')}</ol></nav>\n`
}

function selectionText({ from, to, type, prefix, where = [] }: Selection): string {
  const conditions = [
    from === undefined ? '' : `deposited at ${htmlText(from)} or later`,
    to === undefined ? '' : `deposited before ${htmlText(to)}`,
    type === undefined ? '' : `media type <bdi>${htmlText(type)}</bdi>`,
    prefix === undefined ? '' : `identifier starts with <bdi>${htmlText(prefix)}</bdi>`,
    ...where.map(
      ({ pointer, text }) => `field <bdi>${htmlText(pointer)}</bdi> is <bdi>${htmlText(text)}</bdi>`,
    ),
  ].filter((condition) => condition !== '')
  return conditions.length === 0 ? 'every record' : conditions.join('; ')
}
