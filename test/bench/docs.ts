// The measured parts of docs/performance.md: each is a table between two markers, with its plot beside the page.

import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { repoRoot } from '../support/root.ts'
import { sizeName } from './loads/sizes.ts'
import { isWanted } from './options.ts'
import { ratioPlot, sizePlot } from './plot.ts'
import { figure, type Row, spreadText } from './report.ts'
import type { Result } from './result.ts'

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

/** A part of the page. A run replaces it if all of the part's loads ran in it without a failure, in at least one round. */
interface Part {
  name: string
  has: (load: string) => boolean
  table: (result: Result) => string
  /** A plot that the part shows: its file's name, its title, and its drawing. */
  plot?: { file: string; title: string; draw: (result: Result) => string }
}

const SIZED = /^(?:open|proof|consistency|grow|grow-batch|verify)-\d+[kM]$/
const FRONT = { 'front-append': 'appends', 'front-read': 'recorded reads' }
const FOLLOW = { 'follow-1': '1 follower', 'follow-100': '100 followers' }

const PARTS: readonly Part[] = [
  {
    name: 'loads',
    has: (load) => load in TITLES,
    table: ({ rows }) => mainTable(rows),
    plot: {
      file: 'performance.svg',
      title: 'service-fs beside Tessera: ratios of the rates, with their ranges',
      draw: ({ rows }) => ratioPlot(rows.filter(({ load }) => load in TITLES)),
    },
  },
  {
    name: 'sizes',
    has: (load) => SIZED.test(load),
    table: ({ rows, options }) => sizeTable(rows, options.sizes),
    plot: {
      file: 'performance-size.svg',
      title: 'Cost by the size of the ledger',
      draw: ({ rows, options }) => sizePlot(rows, options.sizes),
    },
  },
  { name: 'front', has: (load) => load in FRONT, table: ({ rows }) => sideTable(rows, FRONT) },
  { name: 'follow', has: (load) => load in FOLLOW, table: ({ rows }) => sideTable(rows, FOLLOW) },
]

/** The names of the parts, each of which has its markers in the page. */
export const partNames: readonly string[] = PARTS.map(({ name }) => name)

/** Replaces the text between the markers of the part. Throws unless the page has both, in order. */
export function replacePart(page: string, name: string, text: string): string {
  const [begin, end] = [`<!-- measured: ${name} -->`, `<!-- end: ${name} -->`]
  const [from, to] = [page.indexOf(begin), page.indexOf(end)]
  if (from === -1 || to < from) throw new Error(`expected ${begin} before ${end}`)
  return `${page.slice(0, from + begin.length)}\n\n${text.trim()}\n\n${page.slice(to)}`
}

/** Rewrites the parts of docs/performance.md that `result` has, with their plots. `loads`: the names of all loads. */
export function writeDocs(result: Result, loads: readonly string[]): void {
  const file = join(repoRoot, 'docs/performance.md')
  let page = readFileSync(file, 'utf8')
  for (const part of completeParts(result, loads)) {
    page = replacePart(page, part.name, partText(part, result))
    if (part.plot !== undefined) writeFileSync(join(repoRoot, 'docs', part.plot.file), part.plot.draw(result))
  }
  writeFileSync(file, page)
}

/** Returns the text of each part that the run replaces, by its name. */
export function measuredTexts(result: Result, loads: readonly string[]): Record<string, string> {
  return Object.fromEntries(completeParts(result, loads).map((part) => [part.name, partText(part, result)]))
}

function completeParts({ options, failures, rounds }: Result, loads: readonly string[]): Part[] {
  const failed = failures.flatMap((failure) => failure.loads)
  if (rounds === 0) return []
  return PARTS.filter(({ has }) =>
    loads.filter(has).every((load) => isWanted(load, options.only) && !failed.includes(load)),
  )
}

function partText(part: Part, result: Result): string {
  const { plot } = part
  const picture = plot === undefined ? [] : [`![${plot.title}](${plot.file})`]
  return [about(result), part.table(result), ...picture].join('\n\n')
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
  return row === undefined ? ['', ''] : [rate(row), ratioCell(row)]
}

function figureCell({ value }: Row): string {
  return spreadText(value)
}

/** The columns of the table by size: a title, a load, and the value that the table shows of its row. */
const COLUMNS: readonly { title: string; load: string; side?: string; show: (row: Row) => string }[] = [
  { title: "open, ms beyond Node's start", load: 'open', show: figureCell },
  { title: 'RSS MiB', load: 'open', show: memory },
  { title: 'inclusion proof, p50 / p99 ms', load: 'proof', show: latency },
  { title: 'consistency proof, p50 / p99 ms', load: 'consistency', show: latency },
  { title: 'appends/s, 64 clients', load: 'grow', show: figureCell },
  { title: 'RSS MiB', load: 'grow', show: memory },
  { title: 'records/s, 16 × 100', load: 'grow-batch', show: figureCell },
  { title: 'RSS MiB', load: 'grow-batch', show: memory },
  { title: 'verify, entries/s', load: 'verify', show: figureCell },
  { title: 'RSS MiB', load: 'verify', show: memory },
  { title: 'fsck, entries/s', load: 'verify', side: 'tessera', show: figureCell },
  { title: 'ratio', load: 'verify', side: 'tessera', show: ratioCell },
]

function sizeTable(rows: readonly Row[], sizes: readonly number[]): string {
  const lines = sizes.map((size) => [
    size.toLocaleString('en-US'),
    ...COLUMNS.map(({ load, side = 'service-fs', show }) => {
      const row = rows.find((one) => one.load === `${load}-${sizeName(size)}` && one.side === side)
      return row === undefined ? '' : show(row)
    }),
  ])
  return markdown(['entries', ...COLUMNS.map(({ title }) => title)], lines)
}

function memory({ rss }: Row): string {
  return figure(rss.max)
}

function ratioCell({ ratio }: Row): string {
  return ratio === undefined ? '' : spreadText(ratio)
}

/** The table of loads whose sides are variants of service-fs. */
function sideTable(rows: readonly Row[], titles: Record<string, string>): string {
  const lines = rows
    .filter(({ load }) => load in titles)
    .map((row) => [
      titles[row.load] ?? '',
      row.side,
      row.unit === 'ms' ? '' : rate(row),
      latency(row),
      figure(row.cpu.median),
      memory(row),
      ratioCell(row),
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
