// The search for Tessera's best settings, load by load: a grid of short runs, then longer runs of the best settings.

import { measure } from './load.ts'
import type { Options } from './options.ts'
import { startTessera } from './servers.ts'
import type { Await, Phase, TesseraSettings } from './settings.ts'

const AGES = ['1ms', '5ms', '20ms', '50ms']
const SIZES = [16, 32, 64, 100, 128, 200, 256, 400, 512, 1000, 1024, 2048, 4096, 8192]

interface Trial {
  settings: TesseraSettings
  rate: number
  p99: number
}

/** Prints the best settings for each append load and each of the two moments of answering. */
export async function tune(
  options: Options & { dir: string },
  phases: readonly Phase[],
  log: (line: string) => void,
): Promise<void> {
  for (const phase of phases) {
    for (const until of ['integrated', 'published'] as const) {
      const first = await trials(options, phase, until, grid(phase, until), 1.5, 1, log)
      const again = first.slice(0, 5).flatMap(({ settings }) => intervals(settings, until))
      const best = await trials(options, phase, until, again, 4, 2, log)
      log(`${phase.name}, answered when ${until}:`)
      for (const trial of best.slice(0, 5)) log(`  ${describe(trial)}`)
    }
  }
}

/** Batch sizes, from a quarter of the entries that all clients can have waiting to more than all of them. */
function grid(phase: Phase, until: Await): TesseraSettings[] {
  const waiting = phase.clients * phase.batch
  const sizes = SIZES.filter((n) => n >= Math.min(waiting / 4, 256) && (n <= 2 * waiting || n === 4096))
  const checkpointInterval = until === 'integrated' ? '1s' : '100ms'
  return sizes.flatMap((batchSize) => AGES.map((batchAge) => ({ batchSize, batchAge, checkpointInterval })))
}

function intervals(settings: TesseraSettings, until: Await): TesseraSettings[] {
  const tried = until === 'integrated' ? ['100ms', '1s'] : ['100ms', '200ms']
  return tried.map((checkpointInterval) => ({ ...settings, checkpointInterval }))
}

async function trials(
  options: Options & { dir: string },
  phase: Phase,
  until: Await,
  candidates: readonly TesseraSettings[],
  seconds: number,
  times: number,
  log: (line: string) => void,
): Promise<Trial[]> {
  const found: Trial[] = []
  for (const settings of candidates) {
    let rate = 0
    let p99 = 0
    for (let i = 0; i < times; i++) {
      const server = await startTessera(until, settings, { work: options.dir })
      try {
        const done = await measure(server, {
          mode: phase.mode,
          clients: phase.clients,
          batch: phase.batch,
          payload: phase.payload,
          seconds,
        })
        rate += done.value / times
        p99 = Math.max(p99, done.p99 ?? 0)
      } finally {
        await server.dispose()
      }
    }
    const trial = { settings, rate, p99 }
    found.push(trial)
    log(`  … ${describe(trial)}`)
  }
  return found.sort((a, b) => b.rate - a.rate)
}

function describe({ settings, rate, p99 }: Trial): string {
  const { batchSize, batchAge, checkpointInterval } = settings
  return `${rate.toFixed(0)}/s p99 ${p99.toFixed(1)} ms: batches of ${batchSize}, ${batchAge}, checkpoints ${checkpointInterval}`
}
