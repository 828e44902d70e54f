import cliProgress from 'cli-progress'
import type { Io } from './io.ts'

export interface Progress {
  /** Shows how much of the work is done. `total` replaces the previous total. */
  at(done: number, total?: number): void
  stop(): void
}

const SILENT: Progress = { at: () => undefined, stop: () => undefined }

/** Returns a progress bar on the terminal. Without a terminal, returns a progress bar that does nothing. */
export function progressBar(io: Io, label: string, unit: string): Progress {
  const { terminal } = io
  if (terminal === undefined) return SILENT
  const format = `${label} [{bar}] {percentage}% {value}/{total} ${unit} {duration_formatted}`
  const options = { stream: terminal, format, hideCursor: true, clearOnComplete: true, fps: 5 }
  const bar = new cliProgress.SingleBar(options, cliProgress.Presets.shades_classic)
  let started = false
  return {
    at(done, total) {
      if (!started) bar.start(total ?? done, done)
      started = true
      if (total !== undefined) bar.setTotal(total)
      bar.update(done)
    },
    stop: () => bar.stop(),
  }
}
