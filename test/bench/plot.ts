// Plots of a result, as SVG.

import * as echarts from 'echarts'
import { sizeName } from './loads/sizes.ts'
import { figure, type Row } from './report.ts'
import type { Spread } from './statistics.ts'

const WIDTH = 860
const INK = '#333'

/** Returns a plot of all ratios: a bar from 1 to the median and a line from the lowest to the highest. */
export function ratioPlot(rows: readonly Row[]): string {
  const compared = rows
    .flatMap((row) => (row.ratio === undefined ? [] : [{ row, ratio: row.ratio }]))
    .toReversed()
  const names = compared.map(({ row }) => `${row.load} ÷ ${row.build ?? row.side}`)
  return draw(60 + 24 * compared.length, {
    title: {
      text: 'How many times as fast; the line is the range over the rounds',
      textStyle: { fontSize: 13 },
    },
    grid: { left: 250, right: 70, top: 36, bottom: 24 },
    xAxis: { type: 'log', axisLabel: { formatter: (n: number) => `×${n}` } },
    yAxis: { type: 'category', data: names, axisTick: { show: false } },
    series: [
      {
        type: 'custom',
        renderItem: (params, api) => rangeBar(compared[params.dataIndex]?.ratio, api),
        data: compared.map(({ ratio }, i) => [ratio.median, i, ratio.min, ratio.max]),
        encode: { x: [0, 2, 3], y: 1 },
      },
    ],
  })
}

type Api = Parameters<NonNullable<echarts.CustomSeriesOption['renderItem']>>[1]
type Shape = ReturnType<NonNullable<echarts.CustomSeriesOption['renderItem']>>

function rangeBar(ratio: Spread | undefined, api: Api): Shape {
  if (ratio === undefined) return null
  const line = api.value(1)
  const at = (x: number): [number, number] => api.coord([x, line]) as [number, number]
  const [one] = at(1)
  const [middle, y] = at(ratio.median)
  const [[low], [high]] = [at(ratio.min), at(ratio.max)]
  const fill = ratio.median >= 1 ? '#3a7d44' : '#b5523b'
  const label = `×${figure(ratio.median)}`
  return {
    type: 'group',
    children: [
      {
        type: 'rect',
        shape: { x: Math.min(one, middle), y: y - 7, width: Math.abs(middle - one), height: 14 },
        style: { fill },
      },
      { type: 'line', shape: { x1: low, y1: y, x2: high, y2: y }, style: { stroke: INK, lineWidth: 1.5 } },
      {
        type: 'text',
        style: { text: label, x: Math.max(one, middle, high) + 6, y: y - 6, fill: INK, fontSize: 11 },
      },
    ],
  }
}

const PANELS = [
  { load: 'open', title: "open, ms beyond Node's start", of: (row: Row) => row.value.median },
  { load: 'proof', title: 'inclusion proof p50, ms', of: (row: Row) => row.p50?.median ?? Number.NaN },
  { load: 'consistency', title: 'consistency p50, ms', of: (row: Row) => row.p50?.median ?? Number.NaN },
  { load: 'grow', title: 'appends/s, 64 clients', of: (row: Row) => row.value.median },
  { load: 'grow-batch', title: 'records/s, 16 × 100', of: (row: Row) => row.value.median },
  { load: 'verify', title: 'verify, entries/s', of: (row: Row) => row.value.median },
  { load: 'open', title: 'RSS after opening, MiB', of: (row: Row) => row.rss.max },
  { load: 'grow-batch', title: 'peak RSS of 16 × 100, MiB', of: (row: Row) => row.rss.max },
  { load: 'verify', title: 'peak RSS of verify, MiB', of: (row: Row) => row.rss.max },
]

/** Returns a plot of each cost over the sizes, with a line for each side. */
export function sizePlot(rows: readonly Row[], sizes: readonly number[]): string {
  const height = 220
  const names = sizes.map(sizeName)
  const at = (i: number): { left: number; top: number; width: number; height: number } => ({
    left: 60 + (i % 3) * 280,
    top: 50 + Math.floor(i / 3) * height,
    width: 210,
    height: 130,
  })
  return draw(Math.ceil(PANELS.length / 3) * height + 20, {
    legend: { bottom: 0 },
    title: PANELS.map(({ title }, i) => ({
      text: title,
      left: at(i).left - 10,
      top: at(i).top - 30,
      textStyle: { fontSize: 12 },
    })),
    grid: PANELS.map((_, i) => at(i)),
    xAxis: PANELS.map((_, i) => ({ type: 'category', gridIndex: i, data: names })),
    yAxis: PANELS.map((_, i) => ({ type: 'value', gridIndex: i, min: 0 })),
    series: PANELS.flatMap(({ load, of }, i) => {
      const found = rows.filter((row) => names.some((name) => row.load === `${load}-${name}`))
      const sides = [...new Set(found.map(({ side, build }) => build ?? side))]
      return sides.map((side): echarts.LineSeriesOption => ({
        type: 'line',
        name: side,
        xAxisIndex: i,
        yAxisIndex: i,
        data: names.map((name) => {
          const row = found.find((one) => one.load === `${load}-${name}` && (one.build ?? one.side) === side)
          return row === undefined ? Number.NaN : of(row)
        }),
      }))
    }),
  })
}

function draw(height: number, option: echarts.EChartsOption): string {
  const chart = echarts.init(null, null, { renderer: 'svg', ssr: true, width: WIDTH, height })
  try {
    chart.setOption({
      animation: false,
      backgroundColor: '#fff',
      textStyle: { fontFamily: 'sans-serif' },
      ...option,
    })
    return `${chart.renderToSVGString()}\n`
  } finally {
    chart.dispose()
  }
}
