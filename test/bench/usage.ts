// Memory and processor time of a process and its descendants, from /proc (Linux; elsewhere all figures are 0).

import { readFileSync, readdirSync } from 'node:fs'

export interface Usage {
  /** The peak resident set (VmHWM), MiB, added up over the processes. */
  rss: number
  /** Processor seconds, user and system, including descendants that have exited. */
  cpu: number
}

const TICKS_PER_SECOND = 100

/** The fields of /proc/PID/stat that are used: proc(5). */
interface Stat {
  pid: number
  parent: number
  /** Ticks of the process and of its children that have exited and been waited for. */
  ticks: number
}

/** Parses the text of /proc/PID/stat. The name in parentheses may contain spaces and parentheses. */
export function parseStat(text: string): Stat | undefined {
  const found = /^(\d+) \(.*\) (.*)$/s.exec(text)
  if (found === null) return undefined
  const [, pid = '', rest = ''] = found
  const fields = rest.split(' ')
  // Fields 14 to 17: utime, stime, cutime, cstime. `fields` begins with field 3.
  const ticks = [11, 12, 13, 14].reduce((sum, i) => sum + Number(fields[i] ?? 0), 0)
  return { pid: Number(pid), parent: Number(fields[1] ?? 0), ticks }
}

/** Returns the process and its descendants. Not every kernel has /proc/PID/task/TID/children, so this reads all processes. */
function treeOf(pid: number): Stat[] {
  const all = processes()
  const found = all.filter((one) => one.pid === pid)
  for (const one of found) found.push(...all.filter(({ parent }) => parent === one.pid))
  return found
}

function processes(): Stat[] {
  try {
    return readdirSync('/proc').flatMap((name) =>
      /^\d+$/.test(name) ? (parseStat(read(`/proc/${name}/stat`)) ?? []) : [],
    )
  } catch {
    return []
  }
}

/** Returns the processor seconds of the process and its descendants so far. */
export function cpuSeconds(pid: number): number {
  return treeOf(pid).reduce((sum, { ticks }) => sum + ticks, 0) / TICKS_PER_SECOND
}

/**
 * Measures the process until a call of `stop`, which returns the usage since. The peak of memory is that of the process's life.
 * It looks at the processes every `everyMs` ms, to see descendants that exit before the end. A look takes milliseconds of this process's
 * time.
 */
export function watchUsage(pid: number, everyMs = 1000): { stop: () => Usage } {
  const before = cpuSeconds(pid)
  const peaks = new Map<number, number>()
  const sample = (): number => {
    const tree = treeOf(pid)
    for (const one of tree) {
      const peak = Number(/^VmHWM:\s+(\d+) kB$/m.exec(read(`/proc/${one.pid}/status`))?.[1] ?? 0)
      peaks.set(one.pid, Math.max(peak, peaks.get(one.pid) ?? 0))
    }
    return tree.reduce((sum, { ticks }) => sum + ticks, 0) / TICKS_PER_SECOND
  }
  let last = sample()
  const timer = setInterval(() => (last = Math.max(last, sample())), everyMs)
  timer.unref()
  return {
    stop() {
      clearInterval(timer)
      last = Math.max(last, sample())
      const rss = [...peaks.values()].reduce((sum, kib) => sum + kib, 0) / 1024
      return { rss, cpu: last - before }
    },
  }
}

/** Returns the processor seconds of this process's children that have exited and been waited for, and its own. */
export function ownSeconds(): number {
  return (parseStat(read('/proc/self/stat'))?.ticks ?? 0) / TICKS_PER_SECOND
}

/** Returns the processor seconds that the machine spent on programs (user, nice, system, steal), and in all, idle time included. */
export function machineSeconds(): { busy: number; all: number } {
  const ticks = (/^cpu +(.*)$/m.exec(read('/proc/stat'))?.[1] ?? '').split(' ').map(Number)
  const busy = [0, 1, 2, 7].reduce((sum, i) => sum + (ticks[i] ?? 0), 0)
  // Guest time (fields 9 and 10) is part of user and nice.
  const all = ticks.slice(0, 8).reduce((sum, n) => sum + n, 0)
  return { busy: busy / TICKS_PER_SECOND, all: all / TICKS_PER_SECOND }
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
