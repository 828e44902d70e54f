// A process's memory, and its waits for a processor, from /proc.
import { readFileSync, writeFileSync } from 'node:fs'

/** Whether this system reports it. */
export const canMeasure: boolean = process.platform === 'linux'

/** MiB now. */
export const resident = (pid: number): number => status(pid, 'VmRSS')

/** The peak in MiB since `forgetPeak`. */
export const peak = (pid: number): number => status(pid, 'VmHWM')

/** proc(5), clear_refs: resets the peak to the current size. */
export function forgetPeak(pid: number): void {
  writeFileSync(`/proc/${pid}/clear_refs`, '5')
}

/** Milliseconds for which the main thread was ready to run while all processors were busy. 0 where the kernel does not count them. */
export function queued(pid: number): number {
  try {
    return Number(readFileSync(`/proc/${pid}/schedstat`, 'latin1').split(' ')[1]) / 1e6
  } catch {
    return 0
  }
}

function status(pid: number, field: string): number {
  const text = readFileSync(`/proc/${pid}/status`, 'utf8')
  return Math.round(Number(new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(text)?.[1]) / 1024)
}
