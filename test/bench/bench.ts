// service-fs and Tessera (its POSIX driver) under the same load on the same machine, in alternating rounds.
//
// On both sides the load generator shares the processors with the server. Each measurement has a new server on an
// empty directory; afterwards its checkpoint must cover all that it acknowledged. Timing is not a test, so `npm
// test` does not run this.

import { mkdirSync, writeFileSync } from 'node:fs'
import { availableParallelism, cpus, totalmem } from 'node:os'
import { join } from 'node:path'
import { daemonBuilt } from '../support/daemon.ts'
import { goBuild, goModules, goVersion, installFsck } from '../support/go.ts'
import { syncMs } from './disk.ts'
import { followLoads } from './follow.ts'
import { type Measurement, measure } from './load.ts'
import { HELP, type Options, parseOptions } from './options.ts'
import { type Row, ratiosOf, rowOf, type Series, table, withBest } from './report.ts'
import { benchDir, binDir, fsckBin, type Server, startServiceFs, startTessera } from './servers.ts'
import { bulk, type Phase, phases } from './settings.ts'
import { tenantLoads } from './tenants.ts'
import { tune } from './tune.ts'

const SERVICE_FS = 'service-fs'
const INTEGRATED = 'tessera'
const PUBLISHED = 'tessera published'

/** Entries that the read load reads from. */
const READ_FROM = 20_000

/** Time limit of the bulk import, in seconds. */
const BULK_LIMIT = 1800

const note = (line: string): void => void process.stderr.write(`${line}\n`)

/** Runs one load on one side. */
interface Contest {
  name: string
  sides: { side: string; run: () => Promise<Record<string, Measurement>> }[]
}

function appendContest(phase: Phase, options: Options): Contest {
  const { name, mode, clients, batch } = phase
  const under = (start: () => Promise<Server>) => async (): Promise<Record<string, Measurement>> => {
    const server = await start()
    try {
      if (mode === 'read')
        await measure(server, { mode: 'batch', clients: 4, batch: 1000, seconds: 60, total: READ_FROM })
      return { [name]: await measure(server, { mode, clients, batch, seconds: options.seconds }) }
    } finally {
      await server.dispose()
    }
  }
  const tessera = (until: 'integrated' | 'published') =>
    under(() => startTessera(options.dir, until, phase.tessera[until]))
  const sides = [
    { side: SERVICE_FS, run: under(() => startServiceFs(options.dir)) },
    { side: INTEGRATED, run: tessera('integrated') },
  ]
  if (mode !== 'read') sides.push({ side: PUBLISHED, run: tessera('published') })
  return { name, sides }
}

/** The import, counted until a checkpoint covers it, and then each side's own check of the whole log. */
function bulkContest(options: Options): Contest {
  const total = options.bulk
  const under =
    (start: () => Promise<Server>, how: { clients: number; batch: number }) =>
    async (): Promise<Record<string, Measurement>> => {
      const server = await start()
      try {
        const imported = await measure(server, { mode: 'batch', ...how, seconds: BULK_LIMIT, total })
        await server.stop()
        const begin = performance.now()
        await server.verify()
        const seconds = (performance.now() - begin) / 1000
        const usage = { hwm: 0, pss: 0, cpu: 0 }
        const verify = { rate: total / seconds, p50: 0, p99: 0, seconds, clients: 1, batch: 1, usage }
        return { 'bulk import': imported, verify }
      } finally {
        await server.dispose()
      }
    }
  return {
    name: 'bulk import',
    sides: [
      { side: SERVICE_FS, run: under(() => startServiceFs(options.dir), bulk.serviceFs) },
      {
        side: INTEGRATED,
        run: under(() => startTessera(options.dir, 'integrated', bulk.tessera.settings), bulk.tessera),
      },
    ],
  }
}

interface Outcome {
  series: Series[]
  /** Failed measurements, with their errors. The series exclude them. */
  failures: string[]
}

/** Runs the contests round by round, alternating the sides; each round starts with another side. */
async function compete(contests: readonly Contest[], options: Options): Promise<Outcome> {
  const series = new Map<string, Series>()
  const failures: string[] = []
  for (const { name: load, sides } of contests) {
    const wanted = sides.filter(({ side }) => options.side === undefined || side.startsWith(options.side))
    for (let round = 0; round < options.rounds; round++) {
      for (let turn = 0; turn < wanted.length; turn++) {
        const next = wanted[(turn + round) % wanted.length]
        if (next === undefined) continue
        const title = `${load}, round ${round + 1} of ${options.rounds}, ${next.side}`
        note(`${title} …`)
        try {
          collectResults(series, next.side, await next.run())
        } catch (error) {
          failures.push(`${title}: ${error instanceof Error ? error.message : String(error)}`)
          note(`  FAILED: ${failures.at(-1)}`)
        }
      }
    }
  }
  return { series: [...series.values()], failures }
}

function collectResults(
  series: Map<string, Series>,
  side: string,
  results: Record<string, Measurement>,
): void {
  for (const [name, result] of Object.entries(results)) {
    const { rate, p50, p99 } = result
    note(`  ${name}: ${rate.toFixed(0)}/s, p50 ${p50.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms`)
    const key = `${name}\n${side}`
    const found = series.get(key) ?? { name, side, rounds: [] }
    found.rounds.push(result)
    series.set(key, found)
  }
}

/** Why the benchmark cannot run here, or undefined; builds the Go programs. */
async function prepare(options: Options): Promise<string | undefined> {
  if (goVersion === undefined) return 'go is not installed: Tessera and the load generator are Go programs'
  if (options.side !== 'tessera' && !options.tune && !daemonBuilt)
    return 'service-fs is not built: run `npm run build` first'
  const missing = (await goModules(benchDir)) ?? (await installFsck(fsckBin))
  if (missing !== undefined) return missing
  await goBuild(benchDir, binDir, ['./tessera', './load'])
  return undefined
}

function machine(sync: number): Record<string, string | number> {
  return {
    cpus: availableParallelism(),
    model: cpus()[0]?.model ?? '',
    memory_gib: Math.round(totalmem() / 2 ** 30),
    node: process.version,
    go: goVersion ?? '',
    sync_ms: sync,
  }
}

async function main(): Promise<void> {
  const options = parseOptions(process.argv.slice(2))
  if (options.help) {
    process.stdout.write(HELP)
    return
  }
  const missing = await prepare(options)
  if (missing !== undefined) {
    note(`bench skipped: ${missing}`)
    return
  }
  const wanted = (name: string): boolean =>
    options.only.length === 0 || options.only.some((text) => name.includes(text))
  const loads = phases.filter((phase) => wanted(phase.name))
  const about = machine(await syncMs(options.dir))
  note(
    `${about['cpus']} × ${about['model']}, 4 KiB durable in ${Number(about['sync_ms']).toFixed(2)} ms (median)`,
  )
  if (options.tune) {
    await tune(options, loads, note)
    return
  }
  const contests = loads.map((phase) => appendContest(phase, options))
  contests.push(...followLoads(options).filter(({ name }) => wanted(name)))
  contests.push(...tenantLoads(options).filter(({ name }) => wanted(name)))
  if (wanted('bulk import') || wanted('verify')) contests.push(bulkContest(options))
  publish(await compete(contests, options), about, options)
}

/** Saves and prints the result; a failed measurement sets exit status 1. */
function publish(
  { series, failures }: Outcome,
  about: Record<string, string | number>,
  options: Options,
): void {
  const rows: Row[] = withBest(series.map(rowOf))
  const ratios = ratiosOf(rows)
  const result = {
    at: new Date().toISOString(),
    machine: about,
    options,
    settings: { phases, bulk },
    rows,
    ratios,
    failures,
    series,
  }
  const json = `${JSON.stringify(result, undefined, 2)}\n`
  const out = join(benchDir, 'out')
  mkdirSync(out, { recursive: true })
  writeFileSync(join(out, `${result.at.replaceAll(':', '')}.json`), json)
  writeFileSync(join(out, 'latest.json'), json)
  process.stdout.write(options.json ? json : `${table(rows, ratios)}\n`)
  for (const failure of failures) note(`FAILED ${failure}`)
  if (failures.length > 0) process.exitCode = 1
}

await main()
