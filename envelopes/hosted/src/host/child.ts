/** A child process that prints one line of JSON to its standard output when it is ready. */
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
  /** The peer of `process.send` and `process.on('message')` in the child. */
  readonly channel: ChildChannel
  /** Resolves with the child's ready message. @throws HostedError `start` when it ends first or prints anything else */
  readonly ready: Promise<unknown>
  /** Resolves when the child has ended. */
  readonly ended: Promise<Ended>
  /** Sends SIGTERM, and SIGKILL if the child has not ended after `ms` milliseconds. */
  stop(ms: number): Promise<Ended>
}

const CHANNEL = 3
/** The first inherited descriptor in a child, after the standard ones and the channel. */
export const FIRST_GIVEN: number = CHANNEL + 1

/**
 * Starts a child in a new session. It logs to this process's standard error, and inherits `descriptors` as
 * FIRST_GIVEN and following.
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
  // A descendant of the child may still hold the pipe open.
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

/** Describes how a child ended: `status 3`, `SIGKILL`, or `could not be started`. */
export function wordsOf({ code, signal }: Ended): string {
  return signal ?? (code === null ? 'could not be started' : `status ${code}`)
}

/** Returns this end of the channel; a closed stream when the child could not be started. */
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
    throw new HostedError(
      'start',
      `expected one line of JSON as the ready message, found ${line.slice(0, 100)}`,
    )
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
      // Discard the rest of its output.
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
