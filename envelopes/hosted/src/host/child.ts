/** A child process that says in one line of JSON on its standard output that it is ready. */
import { spawn, type ChildProcess } from 'node:child_process'
import { type Duplex, PassThrough } from 'node:stream'
import { HostedError } from '@service-fs/http/errors'
import { ChildChannel } from './channel.ts'
import { confined, confinedEnvironment, type Confinement } from './confine.ts'

const LONGEST_GREETING = 64 * 1024

export interface Ended {
  code: number | null
  signal: NodeJS.Signals | null
}

export interface Child {
  readonly process: ChildProcess
  readonly pid: number
  /** To `process.send` and `process.on('message')` in it. */
  readonly channel: ChildChannel
  /** Resolves with what it says when it is ready. @throws HostedError `start`: it ended, or said something else */
  readonly ready: Promise<unknown>
  /** Resolves when it is gone. */
  readonly ended: Promise<Ended>
  /** SIGTERM; SIGKILL when it is not gone after so many milliseconds. */
  stop(ms: number): Promise<Ended>
}

const CHANNEL = 3
/** The first of the descriptors that a child is given: before it are its standard ones and its channel. */
export const FIRST_GIVEN: number = CHANNEL + 1

/**
 * Starts it, in a session of its own; its log goes where this process's goes. It is given these descriptors of this process, from
 * FIRST_GIVEN on.
 */
export function startChild(
  command: readonly string[],
  bounds: Confinement,
  descriptors: readonly number[] = [],
): Child {
  const started = confined(command, bounds)
  const child = spawn(started.command, started.args, {
    ...started.options,
    cwd: '/',
    env: { ...confinedEnvironment(), NODE_CHANNEL_FD: String(CHANNEL) },
    stdio: ['ignore', 'pipe', 'inherit', 'pipe', ...descriptors],
    detached: true,
  })
  const ended = endOf(child)
  const channel = new ChildChannel(endAt(child))
  // What it has left behind may hold its end.
  void ended.then(() => channel.close())
  const ready = Promise.race([
    greetingOf(child),
    ended.then((end) =>
      Promise.reject(new HostedError('start', `ended before it was ready: ${wordsOf(end)}`)),
    ),
  ])
  ready.catch(() => undefined)
  return {
    process: child,
    pid: child.pid ?? 0,
    channel,
    ready,
    ended,
    stop: (ms) => stop(child, ended, ms),
  }
}

/** `status 3`, `SIGKILL`, or why it did not start. */
export function wordsOf({ code, signal }: Ended): string {
  return signal ?? (code === null ? 'it could not be started' : `status ${code}`)
}

/** This end of its channel; where it could not be started, there is none. */
function endAt({ stdio }: { stdio?: ChildProcess['stdio'] }): Duplex {
  return (stdio?.[CHANNEL] as Duplex | null | undefined) ?? new PassThrough().destroy()
}

function endOf(child: ChildProcess): Promise<Ended> {
  return new Promise((resolve) => {
    child.once('exit', (code, signal) => resolve({ code, signal }))
    child.once('error', () => {
      if (child.pid === undefined) resolve({ code: null, signal: null })
    })
  })
}

async function greetingOf(child: ChildProcess): Promise<unknown> {
  const line = await firstLine(child)
  try {
    return JSON.parse(line)
  } catch {
    throw new HostedError('start', `expected a line of JSON when it is ready, found ${line.slice(0, 100)}`)
  }
}

function firstLine(child: ChildProcess): Promise<string> {
  return new Promise((resolve) => {
    let text = ''
    const take = (chunk: Buffer): void => {
      text += chunk.toString('latin1')
      const end = text.indexOf('\n')
      if (end < 0 && text.length < LONGEST_GREETING) return
      child.stdout?.off('data', take)
      // What else it says is not for anybody.
      child.stdout?.resume()
      resolve(Buffer.from(text.slice(0, end), 'latin1').toString())
    }
    child.stdout?.on('data', take)
  })
}

async function stop(child: ChildProcess, ended: Promise<Ended>, ms: number): Promise<Ended> {
  child.kill('SIGTERM')
  const timer = setTimeout(() => child.kill('SIGKILL'), ms)
  try {
    return await ended
  } finally {
    clearTimeout(timer)
  }
}
