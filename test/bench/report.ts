// The results of all rounds: a row for each load and side, with its ratio to the side that it is compared with.

import { type Contest, labelOf, type Measurement, type Series, type Side, type Unit } from './contest.ts'
import { ratioOf, type Spread, spreadOf } from './statistics.ts'

export interface Row {
  load: string
  side: string
  /** The revision of service-fs, where several were measured. */
  build?: string
  unit: Unit
  rounds: number
  value: Spread
  p50?: Spread
  p99?: Spread
  /** Processor microseconds for each record or request. */
  cpu: Spread
  /** Peak resident set, MiB. */
  rss: Spread
  readsPerCommit?: Spread
  /** For rates, `of` divided by this row; for times, this row divided by `of`. Above 1 if `of` is better. */
  ratio?: Spread & { of: string }
  /** The processor time for a record of this row divided by that of the row `of`. */
  cpuRatio?: Spread
}

/** Returns the rows in the order of the contests. */
export function rowsOf(contests: readonly Contest[], series: readonly Series[]): Row[] {
  return contests.flatMap(({ loads, sides }) =>
    loads.flatMap((load) =>
      sides.flatMap((side) => {
        const own = find(series, load, side)
        if (own === undefined) return []
        const reference = referenceOf(side, sides)
        const other = reference && find(series, load, reference)
        const [ratio, cpuRatio] = other === undefined ? [] : [betterOf(other, own), cheaperOf(other, own)]
        return [
          {
            ...rowOf(own),
            ...(ratio && reference && { ratio: { ...ratio, of: labelOf(reference) } }),
            ...(cpuRatio && { cpuRatio }),
          },
        ]
      }),
    ),
  )
}

/**
 * Returns the side that `side` is compared with: the same side of the first revision if `side` is of another revision, otherwise the
 * first side.
 */
function referenceOf(side: Side, sides: readonly Side[]): Side | undefined {
  if (side.isCompared === false) return undefined
  const [first] = sides
  const wanted =
    side.build === first?.build || side.build === undefined
      ? first
      : sides.find(({ name }) => name === side.name)
  return wanted === side ? undefined : wanted
}

function find(series: readonly Series[], load: string, { name, build }: Side): Series | undefined {
  return series.find((one) => one.load === load && one.side === name && one.build === build)
}

/** Returns the factor by which the first is better than the second, over the rounds. */
function betterOf(first: Series, second: Series): Spread | undefined {
  const isTime = [...second.rounds.values()].some(({ unit }) => unit === 'ms')
  const ours = byRound(first, ({ value }) => value)
  const others = byRound(second, ({ value }) => value)
  return isTime ? ratioOf(others, ours) : ratioOf(ours, others)
}

/** Returns the ratio of the processor times for a record: that of `second` divided by that of `first`. */
function cheaperOf(first: Series, second: Series): Spread | undefined {
  return ratioOf(byRound(second, cpuOf), byRound(first, cpuOf))
}

function byRound({ rounds }: Series, of: (m: Measurement) => number): Map<number, number> {
  return new Map([...rounds].map(([round, m]) => [round, of(m)]))
}

/** Returns the processor microseconds for each record or request. */
function cpuOf({ usage, count }: Measurement): number {
  return (usage.cpu / Math.max(1, count)) * 1e6
}

function rowOf({ load, side, build, rounds }: Series): Row {
  const all = [...rounds.values()]
  const of = (value: (m: Measurement) => number): Spread => spreadOf(all.map(value))
  const some = (value: (m: Measurement) => number | undefined): Spread | undefined => {
    const found = all.flatMap((m) => value(m) ?? [])
    return found.length === 0 ? undefined : spreadOf(found)
  }
  const [p50, p99, perCommit] = [some((m) => m.p50), some((m) => m.p99), some((m) => m.readsPerCommit)]
  return {
    load,
    side,
    ...(build === undefined ? {} : { build }),
    unit: all[0]?.unit ?? '/s',
    rounds: all.length,
    value: of((m) => m.value),
    ...(p50 && { p50 }),
    ...(p99 && { p99 }),
    cpu: of(cpuOf),
    rss: of((m) => m.usage.rss),
    ...(perCommit && { readsPerCommit: perCommit }),
  }
}

/** Formats a number with two or three significant digits, or all digits before the point, grouped by commas. */
export function figure(n: number): string {
  const digits = n >= 100 ? 0 : n >= 10 ? 1 : n >= 0.1 || n === 0 ? 2 : 3
  return n.toLocaleString('en-US', { minimumFractionDigits: digits, maximumFractionDigits: digits })
}

/** `median (min–max)` */
export function spreadText({ median, min, max }: Spread): string {
  return `${figure(median)} (${figure(min)}–${figure(max)})`
}

const COLUMNS = ['load', 'side', 'figure', 'min–max', 'p50 ms', 'p99 ms', 'RSS MiB', 'ratio', 'min–max']
const CPU_COLUMNS = ['µs cpu', 'cpu ratio', 'min–max']

/**
 * Returns a plain text table with medians. A ratio above 1 means that the first side, or the first revision, is better
 * than the row's; a cpu ratio above 1 means that it takes less processor time for a record.
 */
export function textTable(rows: readonly Row[]): string {
  const cells = rows.map((row) => [
    row.load,
    labelOf({ name: row.side, build: row.build }),
    `${figure(row.value.median)} ${row.unit}`,
    range(row.value),
    middle(row.p50),
    row.p99 === undefined ? '' : spreadText(row.p99),
    figure(row.rss.max),
    times(row.ratio),
    range(row.ratio),
    figure(row.cpu.median),
    times(row.cpuRatio),
    range(row.cpuRatio),
  ])
  const titles = [...COLUMNS, ...CPU_COLUMNS]
  const lines = [titles, ...cells]
  const widths = titles.map((_, i) => Math.max(...lines.map((line) => line[i]?.length ?? 0)))
  const pad = (cell: string, i: number): string =>
    i < 2 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0)
  return lines.map((line) => line.map(pad).join('  ').trimEnd()).join('\n')
}

function range(spread: Spread | undefined): string {
  return spread === undefined ? '' : `${figure(spread.min)}–${figure(spread.max)}`
}

function middle(spread: Spread | undefined): string {
  return spread === undefined ? '' : figure(spread.median)
}

function times(spread: Spread | undefined): string {
  return spread === undefined ? '' : `×${figure(spread.median)}`
}
