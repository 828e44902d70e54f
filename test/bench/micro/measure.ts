// Runs the micro-benchmarks of one topic in a process of its own, and prints the figures as JSON.

import { Bench } from 'tinybench'

/** A kernel under measurement. */
export interface Micro {
  name: string
  /** Operations in one call of `run`; the figures are for one operation. */
  operations: number
  /** Has the same cost each time. An asynchronous kernel returns a promise. */
  run: () => unknown
  /** Checks one result of `run` before the measurement; throws if it is wrong. */
  check: (result: unknown) => void
}

/** The exports of a topic's module. `close` removes the data that the kernels worked on. */
export interface Topic {
  micros: readonly Micro[]
  close?: () => Promise<void>
}

export interface MicroFigure {
  name: string
  /** Median nanoseconds of an operation. */
  ns: number
}

/** A call under measurement takes at least this long, so that the clock's resolution and cost do not matter. */
const LEAST_MS = 0.05

/** Measures each kernel for `ms` milliseconds after a warm-up. */
export async function measureMicros(micros: readonly Micro[], ms: number): Promise<MicroFigure[]> {
  const bench = new Bench({ time: ms, warmupTime: ms / 2, throws: true })
  const operations: number[] = []
  for (const { name, operations: once, run, check } of micros) {
    const first = run()
    check(await first)
    const times = first instanceof Promise ? 1 : timesFor(run)
    operations.push(once * times)
    bench.add(name, times === 1 ? run : () => repeat(run, times))
  }
  const tasks = await bench.run()
  return tasks.map(({ name, result }, i) => {
    if (!('latency' in result)) throw new Error(`${name}: expected a result, found ${result.state}`)
    return { name, ns: (result.latency.p50 * 1e6) / (operations[i] ?? 1) }
  })
}

/** Receives results, so that no compiler can leave out the calls. */
let sink: unknown

function repeat(run: () => unknown, times: number): unknown {
  for (let i = 0; i < times; i++) sink = run()
  return sink
}

/** Returns how often a synchronous kernel has to run to take LEAST_MS. */
function timesFor(run: () => unknown): number {
  for (let times = 1; ; times *= 2) {
    const start = performance.now()
    repeat(run, times)
    if (performance.now() - start >= LEAST_MS) return times
  }
}

/** The entry point of a topic's process. */
export async function main({ micros, close }: Topic): Promise<void> {
  try {
    process.stdout.write(`${JSON.stringify(await measureMicros(micros, Number(process.argv[2])))}\n`)
  } finally {
    await close?.()
  }
}
