// The measured part of docs/performance.md: tables between two markers, and two plots beside it.

import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { repoRoot } from '../support/root.ts'
import { sizeName } from './loads/sizes.ts'
import { ratioPlot, sizePlot } from './plot.ts'
import { figure, type Row, spreadText } from './report.ts'
import type { Result } from './result.ts'

const BEGIN = '<!-- measured by npm run bench -- --write-docs -->'
const END = '<!-- end of what was measured -->'

/** Names of the loads in the first table. */
const TITLES: Record<string, string> = {
  'append-16': '16 clients × 200 B',
  'append-64': '64 clients × 200 B',
  'append-256': '256 clients × 200 B',
  'append-1k': '64 clients × 1 KiB',
  'batch-100': '16 clients × 100 records of 200 B',
  'batch-1000': '8 clients × 1,000 records of 200 B',
  bulk: 'bulk, NDJSON over HTTP',
  'bulk-cli': 'bulk, NDJSON by `service-fs append -`',
  files: 'small files by `service-fs append`',
  'read-record': 'GET a record, recorded',
  'read-tile': 'GET a tile, recorded',
  'read-bundle': 'GET a bundle, recorded',
  'public-tile': 'GET a tile, public ledger',
  'public-bundle': 'GET a bundle, public ledger',
  entries: '`/v1/entries` as NDJSON, recorded',
  'public-entries': '`/v1/entries` as NDJSON, public ledger',
}

/** Replaces what is between the markers. Throws unless the text has both, in order. */
export function replaceMeasured(text: string, measured: string): string {
  const [begin, end] = [text.indexOf(BEGIN), text.indexOf(END)]
  if (begin === -1 || end < begin) throw new Error(`expected ${BEGIN} before ${END}`)
  return `${text.slice(0, begin + BEGIN.length)}\n\n${measured.trim()}\n\n${text.slice(end)}`
}

/** Rewrites docs/performance.md and its plots. */
export function writeDocs(result: Result): void {
  const file = join(repoRoot, 'docs/performance.md')
  writeFileSync(file, replaceMeasured(readFileSync(file, 'utf8'), measuredText(result)))
  writeFileSync(join(repoRoot, 'docs/performance.svg'), ratioPlot(result.rows))
  writeFileSync(join(repoRoot, 'docs/performance-size.svg'), sizePlot(result.rows, result.options.sizes))
}

/** Returns the Markdown of the tables. */
export function measuredText(result: Result): string {
  const { rows } = result
  const parts = [about(result), mainTable(rows)]
  if (rows.some(({ ratio }) => ratio !== undefined))
    parts.push('![service-fs beside Tessera: ratios of the rates, with their ranges](performance.svg)')
  const sizes = sizeTable(rows, result.options.sizes)
  if (sizes !== '')
    parts.push('### Cost by size', sizes, '![Cost by the size of the ledger](performance-size.svg)')
  const front = rows.filter(({ load }) => load.startsWith('front-'))
  if (front.length > 0)
    parts.push('### A front', sideTable(front, { 'front-append': 'appends', 'front-read': 'recorded reads' }))
  const follow = rows.filter(({ load }) => load.startsWith('follow-'))
  if (follow.length > 0)
    parts.push(
      '### Followers',
      sideTable(follow, { 'follow-1': '1 follower', 'follow-100': '100 followers' }),
    )
  return parts.join('\n\n')
}

function about({ at, machine, commit, rounds, options, before, after, noise }: Result): string {
  const { cpus, model, memoryGiB, node, go, syncMs } = machine
  const quiet = noise === undefined ? '' : ` **The machine was not quiet: ${noise}.**`
  return `Measured on ${at.slice(0, 10)} at commit \`${commit}\` on ${cpus} × ${model} with ${memoryGiB} GiB, Node.js ${node} and ${go};
the disk makes 4 KiB durable in ${syncMs.toFixed(2)} ms. ${rounds} alternating rounds of ${options.seconds} s; load average ${before.load.toFixed(2)} before and
${after.load.toFixed(2)} after.${quiet} Figures are medians, with the lowest and the highest round in parentheses.`
}

function mainTable(rows: readonly Row[]): string {
  const find = (load: string, side: string): Row | undefined =>
    rows.find((row) => row.load === load && row.side === side)
  const lines = Object.entries(TITLES).flatMap(([load, title]) => {
    const ours = find(load, 'service-fs')
    if (ours === undefined) return []
    return [
      [
        title,
        rate(ours),
        latency(ours),
        figure(ours.cpu.median),
        figure(ours.rss.max),
        ...peer(find(load, 'tessera')),
        ...peer(find(load, 'tessera published')),
      ],
    ]
  })
  return markdown(
    [
      ['load', 'service-fs', 'p50 / p99 ms', 'CPU µs', 'RSS MiB'],
      ['Tessera, integrated', 'ratio', 'Tessera, published', 'ratio'],
    ].flat(),
    lines,
  )
}

function peer(row: Row | undefined): string[] {
  return row === undefined ? ['', ''] : [rate(row), row.ratio === undefined ? '' : spreadText(row.ratio)]
}

function figureCell(row: Row | undefined): string {
  return row === undefined ? '' : spreadText(row.value)
}

function sizeTable(rows: readonly Row[], sizes: readonly number[]): string {
  const lines = sizes.flatMap((size) => {
    const find = (load: string, side = 'service-fs'): Row | undefined =>
      rows.find((row) => row.load === `${load}-${sizeName(size)}` && row.side === side)
    const [open, node, proof, grow] = [find('open'), find('open', 'node alone'), find('proof'), find('grow')]
    const [verify, fsck] = [find('verify'), find('verify', 'tessera')]
    if ([open, proof, grow, verify].every((row) => row === undefined)) return []
    const rss = grow === undefined ? '' : figure(grow.rss.max)
    const ratio = fsck?.ratio === undefined ? '' : spreadText(fsck.ratio)
    return [
      [
        size.toLocaleString('en-US'),
        figureCell(open),
        figureCell(node),
        proof === undefined ? '' : latency(proof),
        figureCell(grow),
        rss,
        figureCell(verify),
        figureCell(fsck),
        ratio,
      ],
    ]
  })
  if (lines.length === 0) return ''
  const titles = [
    'entries',
    'open, ms',
    'Node alone, ms',
    'proof p50 / p99 ms',
    'appends/s, 64 clients',
    'RSS MiB',
  ]
  return markdown([...titles, 'verify, entries/s', 'fsck, entries/s', 'ratio'], lines)
}

function sideTable(rows: readonly Row[], titles: Record<string, string>): string {
  const lines = rows.map((row) => [
    titles[row.load] ?? row.load,
    row.side,
    row.unit === 'ms' ? '' : rate(row),
    latency(row),
    figure(row.cpu.median),
    figure(row.rss.max),
    row.ratio === undefined ? '' : spreadText(row.ratio),
  ])
  return markdown(['load', '', 'rate', 'p50 / p99 ms', 'CPU µs', 'RSS MiB', 'the first row ÷ this'], lines)
}

function rate({ value, unit }: Row): string {
  return `${spreadText(value)} ${unit}`
}

function latency({ p50, p99 }: Row): string {
  return p50 === undefined || p99 === undefined ? '' : `${figure(p50.median)} / ${figure(p99.median)}`
}

function markdown(titles: readonly string[], lines: readonly (readonly string[])[]): string {
  return [line(titles), `|${titles.map(() => '---|').join('')}`, ...lines.map(line)].join('\n')
}

function line(cells: readonly string[]): string {
  return `| ${cells.join(' | ')} |`
}
