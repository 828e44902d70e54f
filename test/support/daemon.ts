// Starts and stops the built daemon for tests that span packages.

import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { collect, end, freePort, hasExited, run, sleep, type Finished, type RunOptions } from './process.ts'
import { repoRoot } from './root.ts'

/** The command of the hosted envelope. */
export const serviceFs: string = join(repoRoot, 'app/bin/service-fs.js')

/** Whether `npm run build` has made the daemon. */
export const daemonBuilt: boolean = existsSync(join(repoRoot, 'app/dist/main.js'))

export interface DaemonOptions {
  /** Default 'test'. */
  moduleId?: string
  /** Directory that holds `<moduleId>/`; default: a new temporary one, removed by `dispose`. */
  root?: string
  /** Default: a free one of 127.0.0.1. */
  port?: number
  /** More arguments for `serve`. */
  args?: readonly string[]
  env?: Record<string, string>
  /** The script to run; default: the one of this checkout. */
  command?: string
  /** Milliseconds until /healthz must answer 200; default 300,000. */
  readyMs?: number
}

export interface Daemon {
  readonly moduleId: string
  readonly root: string
  /** The ledger: `<root>/<moduleId>`. */
  readonly dir: string
  readonly port: number
  readonly pid: number
  /** `http://127.0.0.1:PORT/` */
  readonly url: string
  /** `http://127.0.0.1:PORT/t/<moduleId>/`, for clients that take only a prefix. */
  readonly prefix: string
  /** The output so far. */
  stdout(): string
  stderr(): string
  /** The text of `keys/ed25519.vkey`, without the line's end. */
  vkey(): Promise<string>
  /** `fetch` of `url + path` with the tenant's header; 300 s limit unless `init.signal` is given. */
  fetch(path: string, init?: RequestInit): Promise<Response>
  /** Sends the signal (default SIGTERM) and waits for the process to end; returns its exit status, or null after a signal. */
  kill(signal?: NodeJS.Signals): Promise<number | null>
  /** Restarts it on the same root after `kill`; returns a new Daemon on a new port. */
  restart(options?: Pick<DaemonOptions, 'args' | 'env' | 'readyMs'>): Promise<Daemon>
  /** Stops it with SIGTERM if it runs, and removes the root if this helper made it. */
  dispose(): Promise<void>
}

const running = new Set<ChildProcess>()
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})

/** Starts `service-fs serve` and resolves when it answers. Rejects with its stderr if it does not start. */
export async function startDaemon(options: DaemonOptions = {}): Promise<Daemon> {
  if (options.command === undefined && !daemonBuilt)
    throw new Error('service-fs is not built: run `npm run build` first')
  if (options.root !== undefined) return open(options.root, false, options)
  const root = await mkdtemp(join(tmpdir(), 'service-fs-test-'))
  try {
    return await open(root, true, options)
  } catch (error) {
    await rm(root, { recursive: true, force: true })
    throw error
  }
}

/**
 * Starts the daemon on a root; `own`: `dispose` removes that root. Tries another port if the free one has been taken.
 */
async function open(root: string, own: boolean, options: DaemonOptions): Promise<Daemon> {
  const moduleId = options.moduleId ?? 'test'
  for (let attempt = 1; ; attempt++) {
    const started = await launch(moduleId, root, options)
    if (typeof started !== 'string') return daemonOf(started, moduleId, root, own, options)
    if (attempt === 3 || options.port !== undefined || !started.includes('EADDRINUSE'))
      throw new Error(started)
  }
}

/** Runs a `service-fs` subcommand to its end. */
export function serviceFsCommand(args: readonly string[], options?: RunOptions): Promise<Finished> {
  return run(process.execPath, [serviceFs, ...args], options)
}

interface Started {
  child: ChildProcess
  port: number
  stdout: () => string
  stderr: () => string
}

/** One attempt to start; returns the process, or the reason for the failure. */
async function launch(moduleId: string, root: string, options: DaemonOptions): Promise<Started | string> {
  const port = options.port ?? (await freePort())
  const args = ['serve', '--module-id', moduleId, '--root', root, '--listen', `127.0.0.1:${port}`]
  const child = spawn(process.execPath, [options.command ?? serviceFs, ...args, ...(options.args ?? [])], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...options.env },
  })
  running.add(child)
  child.once('exit', () => running.delete(child))
  // The process may exit before this one has read all of its output.
  const closed = new Promise((resolve) => child.once('close', resolve))
  const started = { child, port, stdout: collect(child.stdout), stderr: collect(child.stderr) }
  const limit = options.readyMs ?? 300_000
  const deadline = Date.now() + limit
  while (Date.now() < deadline && !hasExited(child)) {
    if (await healthy(port)) return started
    await sleep(25)
  }
  const how = hasExited(child)
    ? `exited with ${child.exitCode ?? child.signalCode}`
    : `did not answer GET /healthz with 200 within ${limit} ms`
  await end(child, 'SIGKILL')
  await closed
  return `service-fs serve ${how}\n${started.stderr()}${started.stdout()}`
}

async function healthy(port: number): Promise<boolean> {
  try {
    const response = await fetch(`http://127.0.0.1:${port}/healthz`, { signal: AbortSignal.timeout(1000) })
    await response.arrayBuffer()
    return response.status === 200
  } catch {
    return false
  }
}

function daemonOf(
  { child, port, stdout, stderr }: Started,
  moduleId: string,
  root: string,
  own: boolean,
  options: DaemonOptions,
): Daemon {
  const dir = join(root, moduleId)
  const url = `http://127.0.0.1:${port}/`
  return {
    moduleId,
    root,
    dir,
    port,
    pid: child.pid ?? 0,
    url,
    prefix: `${url}t/${moduleId}/`,
    stdout,
    stderr,
    vkey: async () => (await readFile(join(dir, 'keys/ed25519.vkey'), 'utf8')).trim(),
    fetch(path, init = {}) {
      const headers = new Headers(init.headers)
      if (!headers.has('x-foundry-module-id')) headers.set('x-foundry-module-id', moduleId)
      return fetch(url + path.replace(/^\//, ''), { signal: AbortSignal.timeout(300_000), ...init, headers })
    },
    async kill(signal = 'SIGTERM') {
      await end(child, signal)
      return child.exitCode
    },
    async restart(changes = {}) {
      await end(child, 'SIGTERM')
      const { port: _, ...rest } = options
      return open(root, own, { ...rest, ...changes })
    },
    async dispose() {
      await end(child, 'SIGTERM')
      if (own) await rm(root, { recursive: true, force: true })
    },
  }
}
