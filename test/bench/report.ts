// Medians, ratios and the table.

import type { Measurement } from './load.ts'

/** The baseline for the other sides of a host. */
export const ONE = 'service-fs, 1 tenant'

/** All rounds of one load on one side. */
export interface Series {
  /** e.g. '64 clients' */
  name: string
  /** 'service-fs', 'tessera' or 'tessera published'. */
  side: string
  rounds: Measurement[]
}

export interface Row {
  name: string
  side: string
  rounds: number
  /** Medians over the rounds. */
  rate: number
  p50: number
  p99: number
  hwm: number
  pss: number
  /** Server CPU time per record, in microseconds. */
  cpu: number
  /** Recorded reads per commit of the audit sub-ledger; only for recorded reads. */
  readsPerCommit?: number
  /** Lowest and highest rate of the rounds. */
  spread: [number, number]
}

export interface Ratio {
  name: string
  /** The variant of Tessera in the comparison. */
  against: string
  /** service-fs ÷ Tessera; of what is behind a host: ÷ the same load on one tenant there. */
  rate: number
  /** For follow loads: the other's latency ÷ ours, of the median and of the 99th percentile. */
  latency?: { p50: number; p99: number }
}

/** The prefix of loads that compare latencies instead of rates. */
const FOLLOW = 'follow: '

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length / 2
  const upper = sorted[Math.floor(middle)] ?? 0
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? 0) + upper) / 2
}

export function rowOf({ name, side, rounds }: Series): Row {
  const of = (value: (m: Measurement) => number): number => median(rounds.map(value))
  const rates = rounds.map((m) => m.rate)
  const perCommit = rounds.flatMap((m) => m.readsPerCommit ?? [])
  return {
    name,
    side,
    rounds: rounds.length,
    rate: of((m) => m.rate),
    p50: of((m) => m.p50),
    p99: of((m) => m.p99),
    hwm: of((m) => m.usage.hwm),
    pss: of((m) => m.usage.pss),
    cpu: of((m) => (m.usage.cpu / (m.rate * m.seconds)) * 1e6),
    ...(perCommit.length === 0 ? {} : { readsPerCommit: median(perCommit) }),
    spread: [Math.min(...rates), Math.max(...rates)],
  }
}

/** service-fs against each of Tessera's variants, and a host's sides against one tenant, load by load. */
export function ratiosOf(rows: readonly Row[]): Ratio[] {
  return rows.flatMap((row) => {
    const { name, side } = row
    const find = (wanted: string): Row | undefined =>
      rows.find((other) => other.name === name && other.side === wanted && other !== row)
    const ours = find('service-fs')
    if (ours !== undefined) {
      const latency = { p50: row.p50 / ours.p50, p99: row.p99 / ours.p99 }
      const isFollow = name.startsWith(FOLLOW)
      return [{ name, against: side, rate: ours.rate / row.rate, ...(isFollow ? { latency } : {}) }]
    }
    const one = find(ONE)
    return one === undefined ? [] : [{ name, against: side, rate: row.rate / one.rate }]
  })
}

/** Adds, for each batch size, a row with each side's better number of posters. */
export function withBest(rows: readonly Row[]): Row[] {
  const found = [...rows]
  const sizes = new Set(rows.flatMap((row) => /^batches of \d+/.exec(row.name) ?? []))
  for (const size of sizes) {
    for (const side of new Set(rows.map((row) => row.side))) {
      const all = rows.filter((row) => row.side === side && row.name.startsWith(`${size},`))
      const best = all.toSorted((a, b) => b.rate - a.rate)[0]
      if (best !== undefined) found.push({ ...best, name: `${size}, best`, side })
    }
  }
  return found
}

const COLUMNS = [
  'load',
  'side',
  'rate/s',
  'min–max',
  'p50 ms',
  'p99 ms',
  'HWM MiB',
  'PSS MiB',
  'µs cpu',
  'reads/commit',
  'ratio',
]

function ratioText({ rate, latency }: Ratio): string {
  if (latency === undefined) return `×${rate.toFixed(2)}`
  return `p50 ×${latency.p50.toFixed(2)} p99 ×${latency.p99.toFixed(2)}`
}

/** Returns a plain text table; Tessera's rows, and those compared with one tenant, show the ratio. */
export function table(rows: readonly Row[], ratios: readonly Ratio[]): string {
  const cells = rows.map((row) => {
    const ratio = ratios.find((r) => r.name === row.name && r.against === row.side)
    return [
      row.name,
      row.side,
      row.rate.toFixed(0),
      row.spread.map((n) => n.toFixed(0)).join('–'),
      row.p50.toFixed(2),
      row.p99.toFixed(2),
      row.hwm.toFixed(0),
      row.pss.toFixed(0),
      row.cpu.toFixed(1),
      row.readsPerCommit === undefined ? '' : row.readsPerCommit.toFixed(1),
      ratio === undefined ? '' : ratioText(ratio),
    ]
  })
  const lines = [COLUMNS, ...cells]
  const widths = COLUMNS.map((_, i) => Math.max(...lines.map((line) => line[i]?.length ?? 0)))
  const pad = (cell: string, i: number): string =>
    i < 2 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0)
  return lines.map((line) => line.map(pad).join('  ').trimEnd()).join('\n')
}
