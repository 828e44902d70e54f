// A limit: a program that does a single step of the product, and so measures how fast that step can be on this machine.

import { isMainThread } from 'node:worker_threads'
import { spreadOf } from '../statistics.ts'

/** One measured figure. */
export interface LimitRow {
  name: string
  median: number
  lowest: number
  highest: number
  /** e.g. `/s`, `µs`, `MB/s`. */
  unit: string
}

/** The exports of a module in this folder. */
export interface Limit {
  /** One sentence: the step that the program does, and what it leaves out. */
  about: string
  run: (rounds: number) => Promise<LimitRow[]> | LimitRow[]
}

/** Returns the row of the figures of all rounds. */
export function limitRow(name: string, unit: string, figures: readonly number[]): LimitRow {
  const { median, min: lowest, max: highest } = spreadOf(figures)
  return { name, median, lowest, highest, unit }
}

/** One figure, and how a round measures it. */
export interface Measure {
  name: string
  unit: string
  measure: () => number | Promise<number>
}

/** Returns the row of each measure. A round takes all of them in turn. */
export async function limitRows(rounds: number, measures: readonly Measure[]): Promise<LimitRow[]> {
  const found = measures.map((one) => ({ ...one, figures: [] as number[] }))
  for (let round = 0; round < rounds; round++)
    for (const { measure, figures } of found) figures.push(await measure())
  return found.map(({ name, unit, figures }) => limitRow(name, unit, figures))
}

/** Calls `step` for `ms` milliseconds, and returns the calls per second of CPU time of this process. */
function perCpuSecond(step: () => void, ms = 700): number {
  const start = process.cpuUsage()
  const end = performance.now() + ms
  let count = 0
  for (; performance.now() < end; count++) step()
  const { user, system } = process.cpuUsage(start)
  return (count / (user + system)) * 1e6
}

/** Warms each step up, and returns its measure: `perCall` times the calls in a second of CPU time. */
export function stepMeasures(
  steps: Readonly<Record<string, () => void>>,
  unit: string,
  perCall: number,
): Measure[] {
  for (const step of Object.values(steps)) perCpuSecond(step, 300)
  return Object.entries(steps).map(([name, step]) => ({
    name,
    unit,
    measure: () => perCpuSecond(step) * perCall,
  }))
}

/** The first argument of the process that runs a limit. A limit may start its own script again with other arguments. */
export const RUN = 'run-limit'

/**
 * Runs the limit and prints its sentence and rows as JSON. Does nothing in a worker thread, or in a process that the
 * limit started with other arguments than RUN: a limit can run its own script there.
 */
export async function main({ about, run }: Limit): Promise<void> {
  const [command, rounds] = process.argv.slice(2)
  if (!isMainThread || command !== RUN) return
  process.stdout.write(`${JSON.stringify({ about, rows: await run(Number(rounds)) })}\n`)
}
