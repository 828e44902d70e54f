// service-fs and its peers under the same loads on the same machine, in alternating rounds.
//
// On every side the load generator shares the processors with the server. After each measurement of appends the checkpoint must
// cover all that the server acknowledged, and every answered read must be in the audit sub-ledger. `npm test` does not run this,
// because timing is not a test.

import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { goBuild, goModules, goVersion, installFsck } from '../support/go.ts'
import { type Build, buildOf, commitOf, isBuilt, workingTree } from './builds.ts'
import { compete, type Contest, type Results } from './contest.ts'
import { writeDocs } from './docs.ts'
import { fixtureCache, Fixtures } from './fixtures.ts'
import { appendLoads } from './loads/append.ts'
import { bulkLoads } from './loads/bulk.ts'
import type { Context } from './loads/context.ts'
import { followLoads } from './loads/follow.ts'
import { frontLoads } from './loads/front.ts'
import { readLoads } from './loads/reads.ts'
import { sizeLoads } from './loads/sizes.ts'
import { describeMachine, noiseIn, quietness } from './machine.ts'
import { checkNames, HELP, isWanted, type Options, outDir, parseOptions } from './options.ts'
import { ratioPlot, sizePlot } from './plot.ts'
import { type Progress, progressOn, runMain } from './progress.ts'
import { figure, rowsOf, textTable } from './report.ts'
import type { Result } from './result.ts'
import { benchDir, binDir, fsckBin } from './servers.ts'
import { phases } from './settings.ts'
import { tune } from './tune.ts'

/** Returns the loads, in the order of the report. */
function allLoads(context: Context): Contest[] {
  return [
    ...appendLoads(context),
    ...bulkLoads(context),
    ...readLoads(context),
    ...sizeLoads(context),
    ...frontLoads(context),
    ...followLoads(context),
  ].filter(({ sides }) => sides.length > 0)
}

/** Builds the Go programs. Returns why the benchmark cannot run here, or undefined. */
async function prepare({ sides, tune: isSearch }: Options): Promise<string | undefined> {
  if (goVersion === undefined) return 'go is not installed: Tessera and the load generator are Go programs'
  if (sides.serviceFs && !isSearch && !isBuilt(workingTree))
    return 'service-fs is not built: run `npm run build` first'
  const missing = (await goModules(benchDir)) ?? (sides.tessera ? await installFsck(fsckBin) : undefined)
  if (missing !== undefined) return missing
  await goBuild(benchDir, binDir, ['./tessera', './load'])
  return undefined
}

async function buildsOf({ sides, vs }: Options, progress: Progress): Promise<Build[]> {
  if (!sides.serviceFs) return []
  if (vs === undefined) return [workingTree]
  progress.note(`building ${vs} …`)
  const other = await buildOf(vs)
  if (!isBuilt(other)) throw new Error(`${vs}: the checkout is not built: run \`npm run build\` there`)
  return [workingTree, other]
}

async function main(): Promise<void> {
  const options = parseOptions(process.argv.slice(2))
  if (options.help) {
    process.stdout.write(HELP)
    return
  }
  if (options.clear) {
    rmSync(fixtureCache, { recursive: true, force: true })
    return
  }
  const dir = options.dir ?? mkdtempSync(join(tmpdir(), 'service-fs-bench-data-'))
  mkdirSync(dir, { recursive: true })
  // The tenants of a host are other users.
  chmodSync(dir, 0o755)
  if (options.dir === undefined)
    process.once('exit', () => rmSync(dir, { recursive: true, force: true, maxRetries: 3 }))
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130))
  const fixtures = new Fixtures(join(dir, 'fixtures'))
  const named = allLoads({ options, dir, builds: options.sides.serviceFs ? [workingTree] : [], fixtures })
  const names = named.flatMap(({ loads }) => loads)
  if (options.list) {
    process.stdout.write(`${names.join('\n')}\n`)
    return
  }
  checkNames(options.only, names)
  const progress = progressOn(process.stderr)
  const missing = await prepare(options)
  if (missing !== undefined) throw new Error(missing)
  if (options.tune) {
    const loads = phases.filter(({ name }) => isWanted(name, options.only))
    await tune({ ...options, dir }, loads, (line) => progress.note(line))
    return
  }
  const builds = await buildsOf(options, progress)
  const contests = allLoads({ options, dir, builds, fixtures }).filter(({ loads }) =>
    loads.some((load) => isWanted(load, options.only)),
  )
  publish(await measureAll(contests, { ...options, dir }, progress), names, options, progress)
  if (options.dir !== undefined) fixtures.clear()
}

async function measureAll(
  contests: readonly Contest[],
  options: Options & { dir: string },
  progress: Progress,
): Promise<Result> {
  const begin = performance.now()
  const machine = await describeMachine(options.dir)
  const before = await quietness()
  progress.note(
    `${machine.cpus} × ${machine.model}, 4 KiB durable in ${machine.syncMs.toFixed(2)} ms, load average ${before.load.toFixed(2)}`,
  )
  const early = noiseIn(before)
  if (early !== undefined) progress.note(`WARNING: the machine is not quiet: ${early}`)
  const outcome = await compete(contests, {
    rounds: options.rounds,
    limit:
      options.minutes === undefined ? undefined : options.minutes * 60 - (performance.now() - begin) / 1000,
    started: (title, done) => progress.show(title, done),
    finished: (results) => progress.detail(`  ${described(results)}`),
    failed: (message) => progress.note(`FAILED ${message}`),
    skipped: (message) => progress.note(`skipped: ${message}`),
  })
  progress.end()
  const noise = noiseIn(before, outcome.others)
  if (noise !== undefined) progress.note(`WARNING: the machine was not quiet: ${noise}`)
  if (outcome.rounds < options.rounds)
    progress.note(`the time limit ended the run: ${outcome.rounds} of ${options.rounds} rounds are complete`)
  return {
    at: new Date().toISOString(),
    commit: commitOf(workingTree),
    machine,
    before,
    after: await quietness(),
    noise,
    rounds: outcome.rounds,
    options,
    rows: rowsOf(contests, outcome.series),
    failures: outcome.failures,
    series: outcome.series,
  }
}

function described(results: Results): string {
  return Object.entries(results)
    .map(([load, { value, unit, p50, p99 }]) => {
      const times =
        p50 === undefined || p99 === undefined ? '' : `, p50 ${figure(p50)} ms, p99 ${figure(p99)} ms`
      return `${load}: ${figure(value)} ${unit}${times}`
    })
    .join('; ')
}

/** Saves and prints the result. A failed run sets exit status 1. `loads`: the names of all loads. */
function publish(result: Result, loads: readonly string[], options: Options, progress: Progress): void {
  const series = result.series.map((one) => ({ ...one, rounds: Object.fromEntries(one.rounds) }))
  const json = `${JSON.stringify({ ...result, series }, undefined, 2)}\n`
  mkdirSync(outDir, { recursive: true })
  for (const name of [result.at.replaceAll(':', ''), 'latest']) {
    writeFileSync(join(outDir, `${name}.json`), json)
    writeFileSync(join(outDir, `${name}.svg`), ratioPlot(result.rows))
    writeFileSync(join(outDir, `${name}-size.svg`), sizePlot(result.rows, result.options.sizes))
  }
  if (options.writeDocs) writeDocs(result, loads)
  process.stdout.write(options.json ? json : `${textTable(result.rows)}\n`)
  progress.note(
    `load average ${result.before.load.toFixed(2)} before, ${result.after.load.toFixed(2)} after; ${join(outDir, 'latest.json')}`,
  )
  if (result.failures.length > 0) process.exitCode = 1
}

await runMain('bench', main)
