// Cost by the size of the ledger: the time to open it, proofs, appends to it, and its verification.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { get } from 'node:http'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { collect, end, sleep } from '../../support/process.ts'
import type { Build } from '../builds.ts'
import { runMeasured } from '../command.ts'
import type { Contest, Measurement, Side } from '../contest.ts'
import { withCopy } from '../fixtures.ts'
import { type Load, measure } from '../load.ts'
import { fsckBin, MODULE, startServiceFs } from '../servers.ts'
import { watchUsage } from '../usage.ts'
import { type Context, SERVICE_FS, sidesOfBuilds, TESSERA } from './context.ts'

/** How often a run opens the ledger; the figure is the mean. */
const OPENINGS = 3
const READY_MS = 600_000

/** Returns e.g. `100k` or `10M`. */
export function sizeName(size: number): string {
  return size >= 1e6 ? `${size / 1e6}M` : `${size / 1e3}k`
}

export function sizeLoads(context: Context): Contest[] {
  const { seconds, warmup } = context.options
  const timed = { seconds, warmup }
  return context.options.sizes.flatMap((size) => [
    opening(context, size),
    reading(context, size, 'proof', { ...timed, mode: 'proof', clients: 1 }),
    reading(context, size, 'consistency', { ...timed, mode: 'consistency', clients: 1 }),
    growing(context, size, 'grow', { ...timed, mode: 'single', clients: 64 }),
    growing(context, size, 'grow-batch', { ...timed, mode: 'batch', clients: 16, batch: 100 }),
    verifying(context, size),
  ])
}

/**
 * From the start of the process until /readyz answers 200, minus the time that Node.js alone takes, which is measured in the same round.
 */
function opening(context: Context, size: number): Contest {
  const name = `open-${sizeName(size)}`
  const sides: Side[] = sidesOfBuilds(context, SERVICE_FS, async (build) => {
    const root = await context.fixtures.ledger(build, size)
    const beyondNode = async (): Promise<Measurement> => {
      const node = await startNode()
      const opened = await openOnce(build, root)
      return { ...opened, value: opened.value - node.value }
    }
    return { [name]: await repeated(beyondNode) }
  })
  if (context.builds.length > 0)
    sides.push({
      name: 'node alone',
      isCompared: false,
      run: async () => ({ [name]: await repeated(startNode) }),
    })
  return { loads: [name], sides }
}

async function repeated(run: () => Promise<Measurement>): Promise<Measurement> {
  const all: Measurement[] = []
  for (let i = 0; i < OPENINGS; i++) all.push(await run())
  const mean = (of: (m: Measurement) => number): number => all.reduce((sum, m) => sum + of(m), 0) / all.length
  return {
    value: mean((m) => m.value),
    unit: 'ms',
    seconds: mean((m) => m.seconds),
    count: 1,
    usage: { rss: Math.max(...all.map((m) => m.usage.rss)), cpu: mean((m) => m.usage.cpu) },
  }
}

async function openOnce(build: Build, root: string): Promise<Measurement> {
  const args = ['serve', '--json', '--module-id', MODULE, '--root', root, '--listen', '127.0.0.1:0']
  const start = performance.now()
  const child = spawn(process.execPath, [build.command, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
  try {
    const watch = watchUsage(child.pid ?? 0)
    const stderr = collect(child.stderr)
    const lines = createInterface({ input: child.stdout })
    const [line]: unknown[] = await Promise.race([once(lines, 'line'), once(child, 'exit')])
    if (typeof line !== 'string') throw new Error(`service-fs serve did not start: ${stderr()}`)
    const { url } = JSON.parse(line) as { url: string }
    while (!(await isReady(url))) {
      if (performance.now() - start > READY_MS) throw new Error(`not ready after ${READY_MS} ms`)
      await sleep(2)
    }
    const ms = performance.now() - start
    return { value: ms, unit: 'ms', seconds: ms / 1000, count: 1, usage: watch.stop() }
  } finally {
    await end(child, 'SIGTERM', 60_000)
  }
}

/** Not by `fetch`, whose first call takes tens of milliseconds. */
function isReady(url: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    get(`${url}readyz`, { agent: false, timeout: 10_000 }, (answer) => {
      answer.resume().once('end', () => resolve(answer.statusCode === 200))
    }).once('error', reject)
  })
}

async function startNode(): Promise<Measurement> {
  const { seconds, usage } = await runMeasured(process.execPath, ['-e', '0'])
  return { value: seconds * 1000, unit: 'ms', seconds, count: 1, usage }
}

/** One client that fetches proofs: of random records, or of the consistency of two random sizes. */
function reading(context: Context, size: number, title: string, load: Load): Contest {
  const name = `${title}-${sizeName(size)}`
  const sides = sidesOfBuilds(context, SERVICE_FS, async (build) => {
    const root = await context.fixtures.ledger(build, size)
    return { [name]: await served(build, root, load) }
  })
  return { loads: [name], sides }
}

/** Appends to a ledger that has this size at the beginning. */
function growing(context: Context, size: number, title: string, load: Load): Contest {
  const name = `${title}-${sizeName(size)}`
  const sides = sidesOfBuilds(context, SERVICE_FS, async (build) => {
    const root = await context.fixtures.ledger(build, size)
    return { [name]: await withCopy(root, context.dir, (copy) => served(build, copy, load)) }
  })
  return { loads: [name], sides }
}

async function served(build: Build, root: string, load: Load): Promise<Measurement> {
  const server = await startServiceFs(build, { root })
  try {
    return await measure(server, load)
  } finally {
    await server.dispose()
  }
}

/** `service-fs verify` of the directory, and fsck of Tessera's log of the same size. */
function verifying(context: Context, size: number): Contest {
  const name = `verify-${sizeName(size)}`
  const sides: Side[] = sidesOfBuilds(context, SERVICE_FS, async (build) => {
    const root = await context.fixtures.ledger(build, size)
    // Tessera's log has no audit sub-ledger.
    const args = [build.command, 'verify', '--no-audit', join(root, MODULE)]
    return { [name]: await verified(process.execPath, args, /\b(\d+) entries, \d+ records/) }
  })
  if (context.options.sides.tessera)
    sides.push({
      name: TESSERA,
      run: async () => {
        const root = await context.fixtures.tessera(size)
        const of = [`--storage_url=file://${join(root, 'log')}/`, `--public_key=${join(root, 'vkey')}`]
        const args = [...of, '--ui=false', `--N=${availableParallelism()}`]
        return {
          [name]: await verified(join(fsckBin, 'fsck'), args, /Successfully fsck'd log with size (\d+)/),
        }
      },
    })
  return { loads: [name], sides }
}

/** `proof` finds the number of verified entries in what the command prints. */
async function verified(command: string, args: readonly string[], proof: RegExp): Promise<Measurement> {
  const { seconds, usage, stdout, stderr } = await runMeasured(command, args)
  const count = Number(proof.exec(`${stdout}${stderr}`)?.[1])
  if (!(count > 0)) throw new Error(`${command}: expected ${proof.source}, found ${stderr}${stdout}`)
  return { value: count / seconds, unit: '/s', seconds, count, usage }
}
