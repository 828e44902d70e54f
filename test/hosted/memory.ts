// A process's memory, from /proc.
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

function status(pid: number, field: string): number {
  const text = readFileSync(`/proc/${pid}/status`, 'utf8')
  return Math.round(Number(new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(text)?.[1]) / 1024)
}
