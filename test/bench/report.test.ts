import { describe, expect, it } from 'vitest'
import { type Contest, type Measurement, rotate, type Series, type Unit } from './contest.ts'
import { figure, rowsOf, textTable } from './report.ts'

const never = (): never => {
  throw new Error('not run')
}

function measured(value: number, unit: Unit = '/s', more: Partial<Measurement> = {}): Measurement {
  return { value, unit, seconds: 2, count: 1000, usage: { rss: 100, cpu: 0.5 }, ...more }
}

function seriesOf(
  load: string,
  side: string,
  values: readonly number[],
  unit?: Unit,
  build?: string,
): Series {
  const rounds = new Map(values.map((value, i) => [i + 1, measured(value, unit)]))
  return { load, side, ...(build === undefined ? {} : { build }), rounds }
}

function contest(load: string, ...sides: [string, string?][]): Contest {
  return {
    loads: [load],
    sides: sides.map(([name, build]) => ({ name, ...(build === undefined ? {} : { build }), run: never })),
  }
}

describe('rowsOf', () => {
  it('compares every side with the first, round by round', () => {
    const [ours, peer] = rowsOf(
      [contest('bulk', ['service-fs'], ['tessera'])],
      [seriesOf('bulk', 'service-fs', [300, 200, 100]), seriesOf('bulk', 'tessera', [100, 100, 100])],
    )
    expect(ours).toMatchObject({ value: { median: 200, min: 100, max: 300 }, rounds: 3 })
    expect(ours?.ratio).toBeUndefined()
    expect(peer?.ratio).toEqual({ of: 'service-fs', median: 2, min: 1, max: 3 })
  })

  it('divides times the other way round, so that more is better', () => {
    const rows = rowsOf(
      [contest('open-1k', ['service-fs'], ['node alone'])],
      [seriesOf('open-1k', 'service-fs', [300], 'ms'), seriesOf('open-1k', 'node alone', [60], 'ms')],
    )
    expect(rows[1]?.ratio).toMatchObject({ median: 0.2 })
  })

  it('compares each side of another revision with the same side of the first', () => {
    const rows = rowsOf(
      [contest('front-append', ['front', 'new'], ['front', 'old'], ['direct', 'new'], ['direct', 'old'])],
      [
        seriesOf('front-append', 'front', [40], '/s', 'new'),
        seriesOf('front-append', 'front', [20], '/s', 'old'),
        seriesOf('front-append', 'direct', [80], '/s', 'new'),
        seriesOf('front-append', 'direct', [64], '/s', 'old'),
      ],
    )
    expect(rows.map(({ ratio }) => ratio && [ratio.of, ratio.median])).toEqual([
      undefined,
      ['front (new)', 2],
      ['front (new)', 0.5],
      ['direct (new)', 1.25],
    ])
  })

  it('leaves out a side that failed', () => {
    const rows = rowsOf([contest('bulk', ['service-fs'], ['tessera'])], [seriesOf('bulk', 'tessera', [5])])
    expect(rows.map(({ side, ratio }) => [side, ratio])).toEqual([['tessera', undefined]])
  })

  it('compares the processor time of a record', () => {
    const cheap = measured(1, '/s', { usage: { rss: 1, cpu: 0.1 } })
    const rows = rowsOf(
      [contest('bulk', ['service-fs'], ['tessera'])],
      [
        { load: 'bulk', side: 'service-fs', rounds: new Map([[1, measured(1)]]) },
        { load: 'bulk', side: 'tessera', rounds: new Map([[1, cheap]]) },
      ],
    )
    expect(rows[1]?.cpuRatio?.median).toBeCloseTo(0.2)
  })

  it('divides processor seconds by the count', () => {
    const series = { load: 'bulk', side: 'service-fs', rounds: new Map([[1, measured(10)]]) }
    expect(rowsOf([contest('bulk', ['service-fs'])], [series])[0]?.cpu.median).toBe(500)
  })
})

describe('rotate', () => {
  it('begins with another value each time', () =>
    expect([0, 1, 2, 3].map((by) => rotate(['a', 'b', 'c'], by).join(''))).toEqual([
      'abc',
      'bca',
      'cab',
      'abc',
    ]))
  it('returns nothing for nothing', () => expect(rotate([], 3)).toEqual([]))
})

describe('figure', () => {
  it.each([
    [12_345.6, '12,346'],
    [100, '100'],
    [42.25, '42.3'],
    [0.666, '0.67'],
    [0.0042, '0.004'],
    [0, '0.00'],
  ])('writes %d as %s', (n, text) => expect(figure(n)).toBe(text))
})

describe('textTable', () => {
  it('aligns medians, ranges and ratios', () => {
    const rows = rowsOf(
      [contest('bulk', ['service-fs'], ['tessera'])],
      [seriesOf('bulk', 'service-fs', [3000, 2000]), seriesOf('bulk', 'tessera', [1000, 1000])],
    )
    expect(textTable(rows).split('\n')).toEqual([
      'load  side          figure      min–max  p50 ms  p99 ms  RSS MiB  ratio    min–max  µs cpu  cpu ratio    min–max',
      'bulk  service-fs  2,500 /s  2,000–3,000                      100                       500',
      'bulk  tessera     1,000 /s  1,000–1,000                      100  ×2.50  2.00–3.00     500      ×1.00  1.00–1.00',
    ])
  })
})
