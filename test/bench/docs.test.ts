import { describe, expect, it } from 'vitest'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { repoRoot } from '../support/root.ts'
import { measuredTexts, partNames, replacePart } from './docs.ts'
import { parseOptions } from './options.ts'
import { ratioPlot, sizePlot } from './plot.ts'
import type { Row } from './report.ts'
import type { Result } from './result.ts'

const one = (n: number): { median: number; min: number; max: number } => ({ median: n, min: n, max: n })

function row(load: string, side: string, value: number, more: Partial<Row> = {}): Row {
  return { load, side, unit: '/s', rounds: 5, value: one(value), cpu: one(50), rss: one(100), ...more }
}

const ratio = { median: 1.5, min: 1.25, max: 2, of: 'service-fs' }
const rows: Row[] = [
  row('append-64', 'service-fs', 3000, { p50: one(20), p99: one(60) }),
  row('append-64', 'tessera', 2000, { ratio }),
  row('open-1k', 'service-fs', 250, { unit: 'ms' }),
  row('verify-1k', 'service-fs', 90_000),
  row('verify-1k', 'tessera', 60_000, { ratio }),
  row('front-append', '1 tenant behind a front', 900),
  row('front-append', 'no front', 1000, { ratio: { ...ratio, median: 0.9 } }),
]

const result: Result = {
  at: '2026-11-29T13:00:00.000Z',
  commit: '0123456789ab',
  machine: { cpus: 2, model: 'Xeon', memoryGiB: 24, node: 'v20.20.2', go: 'go1.26.8', syncMs: 0.4 },
  before: { load: 0.1, others: 0 },
  after: { load: 1.9, others: 0 },
  noise: undefined,
  rounds: 5,
  options: parseOptions([]),
  rows,
  failures: [],
  series: [],
}

const loads = ['append-64', 'open-1k', 'verify-1k', 'front-append', 'follow-100']

describe('replacePart', () => {
  const page = readFileSync(join(repoRoot, 'docs/performance.md'), 'utf8')

  it.each(partNames)('replaces only the text between the markers of %s in docs/performance.md', (name) => {
    const marked = new RegExp(
      `^([^]*<!-- measured: ${name} -->\\n\\n)[^]*(\\n\\n<!-- end: ${name} -->[^]*)$`,
    ).exec(page)
    expect(replacePart(page, name, 'new tables\n')).toBe(`${marked?.[1]}new tables${marked?.[2]}`)
  })

  it('gives the same text when it runs again', () => {
    const once = replacePart(page, 'sizes', 'tables')
    expect(replacePart(once, 'sizes', 'tables')).toBe(once)
  })

  it('rejects a page without markers', () =>
    expect(() => replacePart('# Page', 'sizes', 'x')).toThrow(/expected <!-- measured: sizes/))
})

describe('measuredTexts', () => {
  const { loads: main = '', sizes = '', front = '' } = measuredTexts(result, loads)

  it('names the machine, the commit and the load average in each part', () => {
    for (const text of [main, sizes, front]) {
      expect(text).toContain('on 2 × Xeon with 24 GiB, Node.js v20.20.2 and go1.26.8')
      expect(text).toContain('`0123456789ab`')
      expect(text).toContain('load average 0.10 before')
      expect(text).not.toContain('not quiet')
    }
  })

  it('has a row for each load, with the ratio and its range', () =>
    expect(main).toContain(
      '| 64 clients × 200 B | 3,000 (3,000–3,000) /s | 20.0 / 60.0 | 50.0 | 100 | 2,000 (2,000–2,000) /s | 1.50 (1.25–2.00) |  |  |',
    ))

  it('has a row for each size and each side of a host', () => {
    expect(sizes).toContain('| 1,000 | 250 (250–250) | 100 |')
    expect(sizes).toContain('| 90,000 (90,000–90,000) | 100 | 60,000 (60,000–60,000) | 1.50 (1.25–2.00) |')
    expect(front).toContain('| appends | no front | 1,000 (1,000–1,000) /s |')
  })

  it('leaves out a part if one of its loads was not run', () => {
    const options = parseOptions(['--only', 'append,open,front'])
    expect(Object.keys(measuredTexts({ ...result, options }, loads))).toEqual(['loads', 'front'])
  })

  it('leaves out a part if one of its loads failed', () => {
    const failures = [{ loads: ['verify-1k'], message: 'verify-1k, tessera, round 1 of 5: no' }]
    expect(Object.keys(measuredTexts({ ...result, failures }, loads))).toEqual(['loads', 'front', 'follow'])
  })

  it('says when the machine was not quiet', () =>
    expect(measuredTexts({ ...result, noise: 'the load average is 7.0' }, loads)['sizes']).toContain(
      '**The machine was not quiet: the load average is 7.0.**',
    ))
})

describe('plots', () => {
  it('draws a bar for each ratio', () => {
    const svg = ratioPlot(rows)
    expect(svg).toMatch(/^<svg [^>]*xmlns="http:\/\/www.w3.org\/2000\/svg"/)
    expect(svg).toContain('append-64 ÷ tessera')
    expect(svg).toContain('×0.90')
  })

  it('draws a panel for each cost by size', () => {
    const svg = sizePlot(rows, [1000, 100_000])
    for (const text of ['open, ms', '16 × 100', 'verify, entries/s', '100k']) expect(svg).toContain(text)
  })
})
