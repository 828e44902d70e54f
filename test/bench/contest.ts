// Runs loads in alternating rounds and keeps their measurements.

import { watchOthers } from './machine.ts'
import type { Usage } from './usage.ts'

export type Unit = '/s' | 'MB/s' | 'ms'

/** One load on one side in one round. */
export interface Measurement {
  /** The figure that the load measures. In '/s' and 'MB/s' more is better, in 'ms' less. */
  value: number
  unit: Unit
  /** Latency in ms; absent where the load is a single run. */
  p50?: number
  p99?: number
  seconds: number
  /** Records, or requests for reads, that `usage.cpu` was spent on. */
  count: number
  /** The usage of the server's processes, or of the command if the load has no server. */
  usage: Usage
  /** Reads that one commit of the audit sub-ledger records, on average. */
  readsPerCommit?: number
}

/** The measurements of one run, by the name of the load. */
export type Results = Record<string, Measurement>

/** Thrown by a side that lacks a feature that the load needs. */
export class Unsupported extends Error {}

/** One of the programs that a contest compares. */
export interface Side {
  /** e.g. 'service-fs', 'tessera' or 'no front'. */
  name: string
  /** The revision of service-fs; absent for other programs. */
  build?: string
  /** Whether reports compare it with the first side; default: true. */
  isCompared?: boolean
  run(): Promise<Results>
}

/** Some loads and the sides that run them. Every other side is compared with the first. */
export interface Contest {
  /** The names that `run` may measure. */
  loads: readonly string[]
  sides: readonly Side[]
}

/** All rounds of one load on one side. */
export interface Series {
  load: string
  side: string
  build?: string
  /** By the number of the round, from 1. */
  rounds: Map<number, Measurement>
}

/** A run that failed: the loads that it was to measure, and the error. */
export interface Failure {
  loads: readonly string[]
  message: string
}

export interface Outcome {
  series: Series[]
  /** Failed runs, with their errors. They are missing from the series. */
  failures: Failure[]
  /** The rounds that were completed. */
  rounds: number
  /** The largest share of the processors that other processes used during a run. */
  others: number
}

export interface Rules {
  rounds: number
  /** The time limit of the contest in seconds, or undefined: the contest begins no run that it expects to end after the limit. */
  limit: number | undefined
  /** Called before each run, with the progress of the contest (0 to 1). */
  started(title: string, done: number): void
  /** Called with the measurements of a run. */
  finished(results: Results): void
  failed(message: string): void
  /** Called when a side does not support a load, which is not a failure. */
  skipped(message: string): void
}

/**
 * Runs every side of every contest once a round. Each round begins each contest with the next side, so that no side always runs
 * first. After the first failure of a side in a contest, its other runs there are skipped.
 */
export async function compete(contests: readonly Contest[], rules: Rules): Promise<Outcome> {
  const series = new Map<string, Series>()
  const failures: Failure[] = []
  const lost = new Set<Side>()
  const took = new Map<Side, number>()
  const begin = performance.now()
  const elapsed = (): number => (performance.now() - begin) / 1000
  const all = contests.reduce((sum, { sides }) => sum + sides.length, 0) * rules.rounds
  let [done, rounds, others] = [0, 0, 0]
  for (let round = 1; round <= rules.rounds; round++) {
    for (const { loads, sides } of contests) {
      for (const side of rotate(sides, round - 1)) {
        if (lost.has(side)) continue
        if (rules.limit !== undefined && elapsed() + (took.get(side) ?? 0) > rules.limit)
          return { series: [...series.values()], failures, rounds, others }
        const title = `${titleOf(loads)}, ${labelOf(side)}, round ${round} of ${rules.rounds}`
        rules.started(title, done++ / all)
        const start = elapsed()
        const otherWork = watchOthers()
        try {
          const results = await side.run()
          for (const [load, result] of Object.entries(results)) keep(series, load, side, round, result)
          rules.finished(results)
        } catch (error) {
          lost.add(side)
          const message = `${title}: ${error instanceof Error ? error.message : String(error)}`
          if (error instanceof Unsupported) {
            rules.skipped(message)
          } else {
            failures.push({ loads, message })
            rules.failed(message)
          }
        }
        others = Math.max(others, otherWork())
        // A later round has no fixture to make, so the newest time is the best estimate.
        took.set(side, elapsed() - start)
      }
    }
    rounds = round
  }
  return { series: [...series.values()], failures, rounds, others }
}

/** Returns the sides in order, beginning with side number `by`. */
export function rotate<T>(values: readonly T[], by: number): T[] {
  const first = values.length === 0 ? 0 : by % values.length
  return [...values.slice(first), ...values.slice(0, first)]
}

function titleOf(loads: readonly string[]): string {
  return loads.length === 1 ? (loads[0] ?? '') : `${loads[0]} … ${loads.at(-1)}`
}

export function labelOf({ name, build }: { name: string; build?: string | undefined }): string {
  return build === undefined ? name : `${name} (${build})`
}

function keep(
  series: Map<string, Series>,
  load: string,
  { name: side, build }: Side,
  round: number,
  result: Measurement,
): void {
  const key = `${load}\n${side}\n${build}`
  const found = series.get(key) ?? {
    load,
    side,
    ...(build === undefined ? {} : { build }),
    rounds: new Map(),
  }
  found.rounds.set(round, result)
  series.set(key, found)
}
