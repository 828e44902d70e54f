// Memory and processor time of a server process and its children, from /proc.

import { readFileSync } from 'node:fs'

export interface Usage {
  /** Peak resident set (VmHWM), MiB, children added. */
  hwm: number
  /** Largest proportional set size seen, MiB, children added. */
  pss: number
  /** Processor seconds, user and system, since the sampler was started. */
  cpu: number
}

const TICKS_PER_SECOND = 100

/** Samples the process until a call of `stop`, which returns the usage. On systems without /proc all numbers are 0. */
export function sampleUsage(pid: number, everyMs = 250): { stop: () => Usage } {
  const before = cpuSeconds(pid)
  let pss = 0
  const sample = (): void => {
    pss = Math.max(
      pss,
      sum(pid, (p) => field(`/proc/${p}/smaps_rollup`, 'Pss')),
    )
  }
  sample()
  const timer = setInterval(sample, everyMs)
  return {
    stop() {
      clearInterval(timer)
      sample()
      const hwm = sum(pid, (p) => field(`/proc/${p}/status`, 'VmHWM'))
      return { hwm: hwm / 1024, pss: pss / 1024, cpu: cpuSeconds(pid) - before }
    },
  }
}

function sum(pid: number, of: (pid: number) => number): number {
  let total = of(pid)
  for (const child of children(pid)) total += sum(child, of)
  return total
}

function children(pid: number): number[] {
  return read(`/proc/${pid}/task/${pid}/children`).split(' ').filter(Boolean).map(Number)
}

/** A `Name:  123 kB` line. */
function field(path: string, name: string): number {
  return Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(read(path))?.[1] ?? 0)
}

function cpuSeconds(pid: number): number {
  return sum(pid, (p) => {
    const fields = read(`/proc/${p}/stat`)
      .replace(/^.*\) /, '')
      .split(' ')
    return (Number(fields[11] ?? 0) + Number(fields[12] ?? 0)) / TICKS_PER_SECOND
  })
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
