// Runs and ends child processes of the spanning tests, and finds free ports.

import { type ChildProcess, spawn } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { createServer, type Server } from 'node:net'
import { once } from 'node:events'

export interface Finished {
  /** Exit status; null when a signal ended it. */
  code: number | null
  signal: NodeJS.Signals | null
  stdout: string
  stderr: string
  /** The process was killed after `timeoutMs`. */
  timedOut: boolean
}

export interface RunOptions {
  cwd?: string
  env?: Record<string, string>
  /** Milliseconds until the process is killed; default 300,000. */
  timeoutMs?: number
  stdin?: string | Uint8Array
}

/** Runs a command to its end and collects its output. Rejects only if the command cannot start. */
export async function run(
  command: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<Finished> {
  const child = spawn(command, args, {
    cwd: options.cwd,
    env: { ...process.env, ...options.env },
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  let timedOut = false
  const timer = setTimeout(() => {
    timedOut = true
    child.kill('SIGKILL')
  }, options.timeoutMs ?? 300_000)
  const stdout = collect(child.stdout)
  const stderr = collect(child.stderr)
  child.stdin.on('error', () => {})
  child.stdin.end(options.stdin)
  try {
    await once(child, 'close')
    return { code: child.exitCode, signal: child.signalCode, stdout: stdout(), stderr: stderr(), timedOut }
  } finally {
    clearTimeout(timer)
  }
}

/** Collects a stream's text; the returned function gives the text so far. */
export function collect(stream: NodeJS.ReadableStream): () => string {
  const chunks: Buffer[] = []
  stream.on('data', (chunk: Buffer) => chunks.push(chunk))
  return () => Buffer.concat(chunks).toString('utf8')
}

/** Whether the child has exited, with a status or by a signal. */
export function hasExited(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null
}

/** Sends the signal and waits for the process to end; SIGKILL follows after `graceMs`. */
export async function end(child: ChildProcess, signal: NodeJS.Signals, graceMs = 120_000): Promise<void> {
  if (hasExited(child)) return
  const exited = once(child, 'exit')
  child.kill(signal)
  const timer = setTimeout(() => child.kill('SIGKILL'), graceMs)
  await exited
  clearTimeout(timer)
}

/** Listens on a free port of 127.0.0.1 and returns the port. */
export async function listen(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('not listening on a port')
  return address.port
}

/** The ports from which `freePort` chooses: below those that Linux assigns to outgoing connections and to listeners on port 0. */
const PORTS = { first: 20_000, count: 12_000 }

/**
 * Returns a TCP port of 127.0.0.1 that has no listener. The kernel assigns no port of this range by itself, so no outgoing connection can
 * take the port before the caller listens on it, nor while the caller's server restarts.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = PORTS.first + randomInt(PORTS.count)
    const server = createServer().listen(port, '127.0.0.1')
    try {
      await once(server, 'listening')
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error
      continue
    }
    server.close()
    await once(server, 'close')
    return port
  }
}

export const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))
