// Runs the load generator (load/main.go) and its measurements.

import { join } from 'node:path'
import { run } from '../support/process.ts'
import { type Usage, sampleUsage } from './memory.ts'
import { binDir, type Server, waitForSize } from './servers.ts'

/** The load generator's output. */
export interface LoadReport {
  clients: number
  batch: number
  seconds: number
  requests: number
  records: number
  records_per_second: number
  p50_ms: number
  p90_ms: number
  p99_ms: number
  max_ms: number
  acknowledged: number
  errors: number
}

export interface Measurement {
  /** Records (reads: requests; verify: entries) a second. */
  rate: number
  p50: number
  p99: number
  seconds: number
  clients: number
  batch: number
  usage: Usage
  /** Reads that one commit of the audit sub-ledger recorded, on average. */
  readsPerCommit?: number
}

export interface Load {
  mode: 'single' | 'batch' | 'read'
  clients: number
  batch?: number
  /** Measured seconds; with `total` the limit. */
  seconds: number
  /** Records to append instead of a time. */
  total?: number
  warmup?: number
}

/** Drives the server and samples its memory; throws on any error, or when an acknowledged record is missing. */
export async function measure(server: Server, load: Load): Promise<Measurement> {
  const before = load.mode === 'read' ? 0 : await server.size()
  const recordedBefore = load.mode === 'read' ? await server.recorded?.() : undefined
  const sampler = sampleUsage(server.pid)
  const start = performance.now()
  const report = await generate(server, load)
  if (load.mode !== 'read') await waitForSize(server, before + report.acknowledged)
  const recording = await recordingOf(server, recordedBefore, report.acknowledged)
  const seconds = load.total === undefined ? report.seconds : (performance.now() - start) / 1000
  const usage = sampler.stop()
  const rate = load.total === undefined ? report.records_per_second : load.total / seconds
  const { p50_ms: p50, p99_ms: p99, clients, batch } = report
  return { rate, p50, p99, seconds, clients, batch, usage, ...recording }
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
  const args = ['-target', server.target, '-url', server.url, '-mode', load.mode]
  if (server.moduleId !== undefined) args.push('-module', server.moduleId)
  args.push('-clients', String(load.clients), '-batch', String(load.batch ?? 1))
  args.push(
    '-seconds',
    `${load.seconds}s`,
    '-warmup',
    `${load.warmup ?? 1}s`,
    '-total',
    String(load.total ?? 0),
  )
  const timeoutMs = (load.seconds + (load.warmup ?? 1) + 90) * 1000
  const done = await run(join(binDir, 'load'), args, { timeoutMs })
  if (done.code !== 0)
    throw new Error(`load ${args.join(' ')}: exit ${done.code}: ${done.stderr}${done.stdout}`)
  const report: LoadReport = JSON.parse(done.stdout)
  return report
}
