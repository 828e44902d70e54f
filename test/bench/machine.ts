// The machine, how busy it is with other work, and how fast its disk is.

import { mkdir, open, rm } from 'node:fs/promises'
import { availableParallelism, cpus, loadavg, totalmem } from 'node:os'
import { join } from 'node:path'
import { goVersion } from '../support/go.ts'
import { sleep } from '../support/process.ts'
import { median } from './statistics.ts'
import { cpuSeconds, machineSeconds } from './usage.ts'

export interface Machine {
  cpus: number
  model: string
  memoryGiB: number
  node: string
  go: string
  /** Median milliseconds until an appended 4 KiB is durable. */
  syncMs: number
}

/** Describes the machine; `dir` is on the disk that the loads use. */
export async function describeMachine(dir: string): Promise<Machine> {
  return {
    cpus: availableParallelism(),
    model: cpus()[0]?.model ?? '',
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    node: process.version,
    go: /go\d\S*/.exec(goVersion ?? '')?.[0] ?? '',
    syncMs: await syncMs(dir),
  }
}

/** Appends 4 KiB and syncs them 100 times, and returns the median time in milliseconds. */
async function syncMs(dir: string): Promise<number> {
  await mkdir(dir, { recursive: true })
  const path = join(dir, 'sync-probe')
  const file = await open(path, 'w')
  const times: number[] = []
  try {
    for (let i = 0; i < 100; i++) {
      const start = performance.now()
      await file.write(Buffer.alloc(4096, 'x'))
      await file.datasync()
      times.push(performance.now() - start)
    }
  } finally {
    await file.close()
    await rm(path)
  }
  return median(times)
}

/** Above this share of all processors, other work makes the figures coarse. */
export const NOISE: number = 0.05

/**
 * Measures the share of all processors that other processes use, from the call until the returned function is called. This process
 * and its descendants do not count.
 */
export function watchOthers(): () => number {
  const [before, own] = [machineSeconds(), cpuSeconds(process.pid)]
  return () => {
    const after = machineSeconds()
    const all = after.all - before.all
    const others = after.busy - before.busy - (cpuSeconds(process.pid) - own)
    return all <= 0 ? 0 : Math.min(1, Math.max(0, others / all))
  }
}

/** The load average over one minute, and the share of the processors that other processes used during two seconds. */
export interface Quiet {
  load: number
  others: number
}

export async function quietness(): Promise<Quiet> {
  const others = watchOthers()
  await sleep(2000)
  return { load: loadavg()[0] ?? 0, others: others() }
}

/** Returns why the machine is not quiet, or undefined. `others`: the largest share during a measurement, once there is one. */
export function noiseIn(before: Quiet, others = 0): string | undefined {
  const share = Math.max(before.others, others)
  if (share > NOISE) return `other processes use ${(share * 100).toFixed(0)} % of the processors`
  if (before.load > 1) return `the load average is ${before.load.toFixed(1)}`
  return undefined
}
