// Measures a command that runs to its end.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { collect } from '../support/process.ts'
import { ownSeconds, type Usage, watchUsage } from './usage.ts'

export interface Ran {
  seconds: number
  usage: Usage
  stdout: string
  stderr: string
}

export interface CommandOptions {
  env?: Record<string, string>
  /** A file descriptor to read standard input from. */
  stdin?: number
  timeoutMs?: number
}

/**
 * Runs the command alone, because it measures the processor time of all children of this process. Throws unless the command exits with
 * status 0.
 */
export async function runMeasured(
  command: string,
  args: readonly string[],
  options: CommandOptions = {},
): Promise<Ran> {
  const before = childSeconds()
  const start = performance.now()
  const child = spawn(command, args, {
    stdio: [options.stdin ?? 'ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...options.env },
    timeout: options.timeoutMs ?? 1_200_000,
    killSignal: 'SIGKILL',
  })
  if (child.stdout === null || child.stderr === null) throw new Error('expected pipes')
  const [stdout, stderr] = [collect(child.stdout), collect(child.stderr)]
  const watch = watchUsage(child.pid ?? 0, 50)
  await once(child, 'close')
  const seconds = (performance.now() - start) / 1000
  const { rss } = watch.stop()
  if (child.exitCode !== 0)
    throw new Error(
      `${command} ${args.join(' ')}: ${child.exitCode ?? child.signalCode}: ${stderr()}${stdout()}`.slice(
        0,
        2000,
      ),
    )
  const usage = { rss, cpu: childSeconds() - before }
  return { seconds, usage, stdout: stdout(), stderr: stderr() }
}

/** The processor seconds of the children that have exited. */
function childSeconds(): number {
  const { user, system } = process.cpuUsage()
  return ownSeconds() - (user + system) / 1e6
}
