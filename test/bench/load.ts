// Runs the load generator (load/main.go) and the measurements around it.

import { join } from 'node:path'
import { run } from '../support/process.ts'
import { type Usage, sampleUsage } from './memory.ts'
import { binDir, type Server, waitForSize } from './servers.ts'

/** What the load generator prints. */
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

/** Drives the server, sampling its memory; throws on any error, or when it does not hold what it acknowledged. */
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

/** How many reads shared a commit of the audit sub-ledger. Throws unless each answered read is on record. */
async function recordingOf(
  server: Server,
  before: { reads: number; commits: number } | undefined,
  answered: number,
): Promise<{ readsPerCommit?: number }> {
  const after = before === undefined ? undefined : await server.recorded?.()
  if (before === undefined || after === undefined) return {}
  const reads = after.reads - before.reads
  // The load generator reads the checkpoint first.
  if (reads !== answered + 1) throw new Error(`${answered + 1} reads were answered, ${reads} are on record`)
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
