// Runs the load generator (load/main.go) and its measurements.

import { join } from 'node:path'
import { run } from '../support/process.ts'
import type { Measurement } from './contest.ts'
import { binDir, type Server, waitForSize } from './servers.ts'
import { watchUsage } from './usage.ts'

/** The load generator's output. */
interface LoadReport {
  seconds: number
  records: number
  records_per_second: number
  p50_ms: number
  p99_ms: number
  acknowledged: number
  bytes: number
}

export type Mode = 'single' | 'batch' | 'read' | 'tile' | 'bundle' | 'entries' | 'proof' | 'consistency'

export interface Load {
  mode: Mode
  clients: number
  /** Records in a request. */
  batch?: number
  /** Bytes of a payload; default 200. */
  payload?: number
  /** Measured seconds; with `total` the limit. */
  seconds: number
  /** Records to append instead of a time. */
  total?: number
  /** Seconds before the measured ones; default 1. */
  warmup?: number
}

/** Drives the server and measures it; throws on any error, or when an acknowledged record or a recorded read is missing. */
export async function measure(server: Server, load: Load): Promise<Measurement> {
  const isRead = load.mode !== 'single' && load.mode !== 'batch'
  const before = isRead ? 0 : await server.size()
  const recordedBefore = isRead ? await server.recorded?.() : undefined
  const watch = watchUsage(server.pid)
  const start = performance.now()
  const report = await generate(server, load)
  if (!isRead) await waitForSize(server, before + report.acknowledged)
  const wall = (performance.now() - start) / 1000
  const usage = watch.stop()
  const count = report.acknowledged
  const answers = load.mode === 'entries' ? count / (load.batch ?? 1) : count
  const recording = await recordingOf(server, recordedBefore, answers)
  const common = { p50: report.p50_ms, p99: report.p99_ms, count, usage, ...recording }
  if (load.mode === 'entries')
    return { ...common, value: report.bytes / 1e6 / report.seconds, unit: 'MB/s', seconds: report.seconds }
  if (load.total !== undefined) return { ...common, value: load.total / wall, unit: '/s', seconds: wall }
  return { ...common, value: report.records_per_second, unit: '/s', seconds: report.seconds }
}

/** Returns the average number of reads per commit of the audit sub-ledger. Throws unless the audit recorded each answered read. */
async function recordingOf(
  server: Server,
  before: { reads: number; commits: number } | undefined,
  answered: number,
): Promise<{ readsPerCommit?: number }> {
  const after = before === undefined ? undefined : await server.recorded?.()
  if (before === undefined || after === undefined) return {}
  const reads = after.reads - before.reads
  // The load generator reads the checkpoint first.
  if (reads !== answered + 1) throw new Error(`expected ${answered + 1} recorded reads, found ${reads}`)
  return { readsPerCommit: reads / Math.max(1, after.commits - before.commits) }
}

async function generate(server: Server, load: Load): Promise<LoadReport> {
  const { mode, clients, batch = 1, payload = 200, seconds, total = 0, warmup = 1 } = load
  const args = ['-target', server.target, '-url', server.url, '-mode', mode]
  if (server.moduleId !== undefined) args.push('-module', server.moduleId)
  args.push('-clients', String(clients), '-batch', String(batch), '-payload', String(payload))
  args.push('-seconds', `${seconds}s`, '-warmup', `${warmup}s`, '-total', String(total))
  const timeoutMs = (seconds + warmup + 90) * 1000
  const done = await run(join(binDir, 'load'), args, { timeoutMs })
  if (done.code !== 0)
    throw new Error(`load ${args.join(' ')}: exit ${done.code}: ${done.stderr}${done.stdout}`)
  const report: LoadReport = JSON.parse(done.stdout)
  if (report.records === 0) throw new Error(`no request was answered within the ${seconds} s: use --seconds`)
  return report
}
