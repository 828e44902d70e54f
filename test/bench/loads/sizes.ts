// Cost by the size of the ledger: the time to open it, a proof, appends to it, and its verification.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { collect, end, sleep } from '../../support/process.ts'
import type { Build } from '../builds.ts'
import { runMeasured } from '../command.ts'
import type { Contest, Measurement, Side } from '../contest.ts'
import { withCopy } from '../fixtures.ts'
import { measure } from '../load.ts'
import { fsckBin, MODULE, startServiceFs } from '../servers.ts'
import { watchUsage } from '../usage.ts'
import { type Context, SERVICE_FS, sidesOfBuilds, TESSERA } from './context.ts'

/** Up to this size appends go to a copy of the ledger, so that its size stays. */
const COPIED = 100_000
/** Openings of a run; the figure is their mean. */
const OPENINGS = 3
const READY_MS = 600_000

/** Returns e.g. `100k` or `10M`. */
export function sizeName(size: number): string {
  return size >= 1e6 ? `${size / 1e6}M` : `${size / 1e3}k`
}

export function sizeLoads(context: Context): Contest[] {
  return context.options.sizes.flatMap((size) => [
    opening(context, size),
    proving(context, size),
    growing(context, size),
    verifying(context, size),
  ])
}

/** From the start of the process until /readyz answers 200, beside the start of Node alone. */
function opening(context: Context, size: number): Contest {
  const name = `open-${sizeName(size)}`
  const sides: Side[] = sidesOfBuilds(context, SERVICE_FS, async (build) => {
    const root = await context.fixtures.ledger(build, size)
    return { [name]: await repeated(() => openOnce(build, root)) }
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
    while ((await fetch(`${url}readyz`, { signal: AbortSignal.timeout(10_000) })).status !== 200) {
      if (performance.now() - start > READY_MS) throw new Error(`not ready after ${READY_MS} ms`)
      await sleep(2)
    }
    const ms = performance.now() - start
    return { value: ms, unit: 'ms', seconds: ms / 1000, count: 1, usage: watch.stop() }
  } finally {
    await end(child, 'SIGTERM', 60_000)
  }
}

async function startNode(): Promise<Measurement> {
  const { seconds, usage } = await runMeasured(process.execPath, ['-e', '0'])
  return { value: seconds * 1000, unit: 'ms', seconds, count: 1, usage }
}

/** One client that fetches the proof of a random record. */
function proving(context: Context, size: number): Contest {
  const name = `proof-${sizeName(size)}`
  const { seconds, warmup } = context.options
  const sides = sidesOfBuilds(context, SERVICE_FS, async (build) => {
    const server = await startServiceFs(build, { root: await context.fixtures.ledger(build, size) })
    try {
      return { [name]: await measure(server, { mode: 'proof', clients: 1, seconds, warmup }) }
    } finally {
      await server.dispose()
    }
  })
  return { loads: [name], sides }
}

/** 64 clients that append to a ledger of this size. */
function growing(context: Context, size: number): Contest {
  const name = `grow-${sizeName(size)}`
  const { seconds, warmup } = context.options
  const sides = sidesOfBuilds(context, SERVICE_FS, async (build) => {
    const append = async (root: string): Promise<Measurement> => {
      const server = await startServiceFs(build, { root })
      try {
        return await measure(server, { mode: 'single', clients: 64, seconds, warmup })
      } finally {
        await server.dispose()
      }
    }
    const root = await context.fixtures.ledger(build, size)
    return { [name]: await (size <= COPIED ? withCopy(root, context.dir, append) : append(root)) }
  })
  return { loads: [name], sides }
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
