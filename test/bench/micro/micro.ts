// Micro-benchmarks of the kernels: each topic of each revision in a process of its own, in alternating rounds.

import { join } from 'node:path'
import { run } from '../../support/process.ts'
import { type Build, buildOf, workingTree } from '../builds.ts'
import { bundleProgram } from '../bundle.ts'
import { rotate } from '../contest.ts'
import { progressOn, runMain } from '../progress.ts'
import { spreadText } from '../report.ts'
import { benchDir } from '../servers.ts'
import { ratioOf, spreadOf } from '../statistics.ts'
import type { MicroFigure } from './measure.ts'
import { HELP, type MicroOptions, parseMicroOptions } from './options.ts'

/** Nanoseconds of one kernel on one revision, by round. */
type Rounds = Map<number, number>

const progress = progressOn(process.stderr)

async function main(): Promise<void> {
  const options = parseMicroOptions(process.argv.slice(2))
  if (options.help) {
    process.stdout.write(HELP)
    return
  }
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130))
  if (options.vs !== undefined) progress.note(`building ${options.vs} …`)
  const builds = options.vs === undefined ? [workingTree] : [workingTree, await buildOf(options.vs)]
  const found = await measureAll(builds, options)
  progress.end()
  process.stdout.write(options.json ? jsonOf(found) : textOf(found, builds.length > 1))
}

/** Returns the figures by kernel and then by revision. */
async function measureAll(
  builds: readonly Build[],
  { topics, rounds, ms }: MicroOptions,
): Promise<Map<string, Map<string, Rounds>>> {
  const scripts = await bundlesOf(topics, builds)
  const found = new Map<string, Map<string, Rounds>>()
  const all = topics.length * rounds
  for (let round = 1; round <= rounds; round++) {
    for (const [i, topic] of topics.entries()) {
      progress.show(`${topic}, round ${round} of ${rounds}`, ((round - 1) * topics.length + i) / all)
      for (const { name: build } of rotate(builds, round - 1)) {
        const script = scripts.get(`${topic}\n${build}`)
        if (script === undefined) continue
        for (const { name, ns } of await runTopic(script, ms)) keep(found, name, build, round, ns)
      }
    }
  }
  return found
}

function keep(
  found: Map<string, Map<string, Rounds>>,
  name: string,
  build: string,
  round: number,
  ns: number,
): void {
  const builds = found.get(name) ?? new Map<string, Rounds>()
  found.set(name, builds)
  builds.set(build, (builds.get(build) ?? new Map<number, number>()).set(round, ns))
}

/** Bundles each topic with the packages of each revision. A revision that lacks a kernel's functions is left out there. */
async function bundlesOf(topics: readonly string[], builds: readonly Build[]): Promise<Map<string, string>> {
  const scripts = new Map<string, string>()
  for (const [i, build] of builds.entries()) {
    for (const topic of topics) {
      try {
        scripts.set(`${topic}\n${build.name}`, await bundleTopic(topic, build, i))
      } catch (error) {
        if (build === workingTree) throw error
        const reason =
          error instanceof Error ? error.message.split('\n').find((line) => line.includes('ERROR')) : ''
        progress.note(`skipped: ${topic} of ${build.name}: ${reason ?? ''}`)
      }
    }
  }
  return scripts
}

function bundleTopic(topic: string, build: Build, number: number): Promise<string> {
  const contents = `import * as topic from './${topic}.ts'; import { main } from './measure.ts'; await main(topic)`
  const program = { contents, resolveDir: join(benchDir, 'micro') }
  return bundleProgram(program, `micro-${topic}-${number}.mjs`, build)
}

async function runTopic(script: string, ms: number): Promise<MicroFigure[]> {
  const done = await run(process.execPath, [script, String(ms)], { timeoutMs: 120_000 + 40 * ms })
  if (done.code !== 0) throw new Error(`${script}: exit ${done.code}: ${done.stderr}`)
  const figures: MicroFigure[] = JSON.parse(done.stdout)
  return figures
}

function textOf(found: ReadonlyMap<string, ReadonlyMap<string, Rounds>>, versus: boolean): string {
  const titles = versus ? ['kernel', 'ns', 'ns before', 'times as fast'] : ['kernel', 'ns (range)']
  const lines = [...found].map(([name, builds]) => {
    const [ours, other] = [
      builds.get(workingTree.name),
      [...builds].find(([key]) => key !== workingTree.name)?.[1],
    ]
    const ratio = ours === undefined || other === undefined ? undefined : ratioOf(other, ours)
    const versusCells = [cell(other), ratio === undefined ? '' : `×${spreadText(ratio)}`]
    return [name, cell(ours), ...(versus ? versusCells : [])]
  })
  const all = [titles, ...lines]
  const widths = titles.map((_, i) => Math.max(...all.map((line) => line[i]?.length ?? 0)))
  return all
    .map((line) =>
      line
        .map((text, i) => (i === 0 ? text.padEnd(widths[i] ?? 0) : text.padStart(widths[i] ?? 0)))
        .join('  '),
    )
    .map((line) => `${line.trimEnd()}\n`)
    .join('')
}

function cell(rounds: Rounds | undefined): string {
  return rounds === undefined ? '' : spreadText(spreadOf([...rounds.values()]))
}

function jsonOf(found: ReadonlyMap<string, ReadonlyMap<string, Rounds>>): string {
  const rows = [...found].flatMap(([kernel, builds]) =>
    [...builds].map(([build, rounds]) => ({
      kernel,
      build,
      ns: spreadOf([...rounds.values()]),
      rounds: [...rounds.values()],
    })),
  )
  return `${JSON.stringify(rows, undefined, 2)}\n`
}

await runMain('bench:micro', main)
