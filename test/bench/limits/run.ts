// Runs limits, each in a process of its own: `npm run bench:limits -- --help`.

import { tmpdir } from 'node:os'
import { run } from '../../support/process.ts'
import { workingTree } from '../builds.ts'
import { bundleProgram } from '../bundle.ts'
import { describeMachine, noiseIn, quietness, watchOthers } from '../machine.ts'
import { type Progress, progressOn, runMain } from '../progress.ts'
import { figure } from '../report.ts'
import { type LimitRow, RUN } from './limit.ts'
import { HELP, limitNames, limitsDir, parseLimitOptions } from './options.ts'

const LIMIT_MS = 1_800_000

interface Measured {
  limit: string
  about: string
  rows: LimitRow[]
}

async function main(): Promise<void> {
  const options = parseLimitOptions(process.argv.slice(2), limitNames())
  if (options.help || options.list) {
    process.stdout.write(options.help ? HELP : `${options.names.join('\n')}\n`)
    return
  }
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130))
  const progress = progressOn(process.stderr)
  const machine = await describeMachine(tmpdir())
  const before = await quietness()
  progress.note(
    `${machine.cpus} × ${machine.model}, Node.js ${machine.node}, 4 KiB durable in ${machine.syncMs.toFixed(2)} ms, load average ${before.load.toFixed(2)}`,
  )
  const others = watchOthers()
  const measured = await measureAll(options.names, options.rounds, progress)
  const noise = noiseIn(before, others())
  if (noise !== undefined) progress.note(`WARNING: the machine was not quiet: ${noise}`)
  const result = { at: new Date().toISOString(), machine, load: before.load, noise, limits: measured }
  process.stdout.write(options.json ? `${JSON.stringify(result, undefined, 2)}\n` : textOf(measured))
}

async function measureAll(names: readonly string[], rounds: number, progress: Progress): Promise<Measured[]> {
  const measured: Measured[] = []
  for (const [i, limit] of names.entries()) {
    progress.show(limit, i / names.length)
    measured.push({ limit, ...(await measure(limit, rounds)) })
  }
  progress.end()
  return measured
}

async function measure(limit: string, rounds: number): Promise<Omit<Measured, 'limit'>> {
  const script = await bundleLimit(limit)
  const done = await run(process.execPath, [script, RUN, String(rounds)], { timeoutMs: LIMIT_MS })
  if (done.code !== 0) throw new Error(`${limit}: exit ${done.code}: ${done.stderr}`)
  return JSON.parse(done.stdout) as Omit<Measured, 'limit'>
}

function bundleLimit(limit: string): Promise<string> {
  const contents = `import * as limit from './${limit}.ts'; import { main } from './limit.ts'; await main(limit)`
  return bundleProgram({ contents, resolveDir: limitsDir }, `limit-${limit}.mjs`, workingTree)
}

function textOf(measured: readonly Measured[]): string {
  return measured
    .map(({ limit, about, rows }) => {
      const cells = rows.map((row) => [
        `  ${row.name}`,
        `${figure(row.median)} ${row.unit}`,
        `(${figure(row.lowest)}–${figure(row.highest)})`,
      ])
      const widths = [0, 1, 2].map((i) => Math.max(...cells.map((line) => line[i]?.length ?? 0)))
      const lines = cells.map((line) =>
        line
          .map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0)))
          .join('  '),
      )
      return `${limit}: ${about}\n${lines.join('\n')}\n`
    })
    .join('\n')
}

await runMain('bench:limits', main)
