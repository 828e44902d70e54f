// Progress on standard error, one line that is rewritten on a terminal and nothing in a pipe; and errors.

import { performance } from 'node:perf_hooks'

export interface Progress {
  /** Shows what runs now, and how far the whole is (0 to 1). */
  show(title: string, done: number): void
  /** Writes a line that stays, also in a pipe. */
  note(line: string): void
  /** Writes a line that stays, only on a terminal. */
  detail(line: string): void
  end(): void
}

export function progressOn(stream: NodeJS.WriteStream): Progress {
  const begin = performance.now()
  const { isTTY } = stream
  const clear = (): void => void (isTTY && stream.write('\r\u001B[K'))
  const line = (text: string): void => {
    clear()
    stream.write(`${text}\n`)
  }
  return {
    show(title, done) {
      if (!isTTY) return
      const left = done === 0 ? '' : `, ${minutes(((performance.now() - begin) / done) * (1 - done))} left`
      const text = `${String(Math.round(done * 100)).padStart(3)} %${left}  ${title}`
      clear()
      stream.write(text.slice(0, (stream.columns || 80) - 1))
    },
    note: line,
    detail: (text) => isTTY && line(text),
    end: clear,
  }
}

function minutes(ms: number): string {
  const seconds = Math.round(ms / 1000)
  return seconds < 60 ? `${seconds} s` : `${Math.round(seconds / 60)} min`
}

/** Runs a command's `main`. After an error it prints the message and sets exit status 1, or 2 for a wrong command line. */
export async function runMain(name: string, main: () => Promise<void>): Promise<void> {
  try {
    await main()
  } catch (error) {
    process.stderr.write(`${name}: ${error instanceof Error ? error.message : String(error)}\n`)
    process.exitCode = error instanceof TypeError || error instanceof RangeError ? 2 : 1
  }
}
