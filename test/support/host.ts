// Starts and stops `service-fs host` for tests that span packages.

import { type ChildProcess, spawn } from 'node:child_process'
import { chmod, chown, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { daemonBuilt, serviceFs } from './daemon.ts'
import { collect, end, hasExited, run, sleep } from './process.ts'

export interface HostOptions {
  /** Added by `service-fs tenant add`. */
  tenants: readonly string[]
  /** More fields of host.json; by default the host listens on a free port of 127.0.0.1, and `immutable` is off. */
  config?: Record<string, unknown>
  /** The script to run; default: the one of this checkout. */
  command?: string
  /** Runs everything as this user; default: the user running the test. */
  uid?: number
  /** Called before the start with the directory of host.json, `ledgers/` and `run/`. */
  prepare?(dir: string): Promise<void>
}

export interface Host {
  /** Holds host.json, `ledgers/` and `run/`; every user may enter it. */
  readonly dir: string
  readonly file: string
  readonly root: string
  readonly run: string
  /** `http://127.0.0.1:PORT/` */
  readonly url: string
  readonly pid: number
  readonly frontPid: number
  /** Whether each tenant runs as its own user. */
  readonly separateUsers: boolean
  /** The output so far. */
  stderr(): string
  /** `fetch` of `url + path` with the tenant's header; 300 s limit unless `init.signal` is given. */
  fetch(moduleId: string, path: string, init?: RequestInit): Promise<Response>
  /** The process of a running tenant; undefined if it does not run. */
  pidOf(moduleId: string): Promise<number | undefined>
  /** Sends the signal (default SIGTERM) and waits for the process to end; returns its exit status, or null after a signal. */
  kill(signal?: NodeJS.Signals): Promise<number | null>
  /** Restarts it on the same files after `kill`. */
  restart(): Promise<Host>
  /** Stops it if it runs, and removes everything. */
  dispose(): Promise<void>
}

const running = new Set<ChildProcess>()
process.once('exit', () => {
  // When the supervisor ends, its channels close and its processes end.
  for (const child of running) child.kill('SIGKILL')
})

/** Makes a directory that other users may enter, for a host. The path is short, since it holds sockets. */
export async function hostDirectory(): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'sfs-'))
  await chmod(dir, 0o755)
  return dir
}

/** Adds the tenants, starts the host, and resolves when it listens. Rejects with its stderr if it does not start. */
export async function startHost(options: HostOptions): Promise<Host> {
  if (options.command === undefined && !daemonBuilt)
    throw new Error('service-fs is not built: run `npm run build` first')
  const dir = await hostDirectory()
  const file = join(dir, 'host.json')
  const as = commandAs(options.uid, options.command ?? serviceFs)
  try {
    // Only the tests of `immutable` make files that resist removal.
    const own = { root: 'ledgers', run: 'run', listen: ['127.0.0.1:0'], immutable: 'off' }
    const settings = { ...own, ...options.config }
    await writeFile(file, JSON.stringify(settings), { mode: 0o600 })
    if (options.uid !== undefined) for (const path of [dir, file]) await chown(path, options.uid, options.uid)
    if (options.tenants.length > 0) {
      const [command, ...args] = [...as, 'tenant', 'add', ...options.tenants, '--config', file]
      const added = await run(command, args)
      if (added.code !== 0) throw new Error(added.stderr)
    }
    await options.prepare?.(dir)
    return await launch(dir, file, as)
  } catch (error) {
    await rm(dir, { recursive: true, force: true })
    throw error
  }
}

interface Greeting {
  urls: string[]
  pid: number
  front_pid: number
  separate_users: boolean
}

/** The command line that runs `service-fs` as that user. */
function commandAs(uid: number | undefined, script: string): [string, ...string[]] {
  if (uid === undefined) return [process.execPath, script]
  return ['setpriv', `--reuid=${uid}`, `--regid=${uid}`, '--clear-groups', process.execPath, script]
}

async function launch(dir: string, file: string, as: readonly [string, ...string[]]): Promise<Host> {
  const [command, ...args] = [...as, 'host', '--json', '--config', file]
  const child = spawn(command, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  running.add(child)
  child.once('exit', () => running.delete(child))
  // The process may exit before this one has read all of its output.
  const closed = new Promise((resolve) => child.once('close', resolve))
  const stdout = collect(child.stdout)
  const stderr = collect(child.stderr)
  for (let waited = 0; !stdout().includes('\n'); waited += 20) {
    if (waited > 300_000 || hasExited(child)) {
      await end(child, 'SIGKILL')
      await closed
      throw new Error(`service-fs host did not start\n${stderr()}`)
    }
    await sleep(20)
  }
  const greeting = JSON.parse(stdout()) as Greeting
  const url = greeting.urls[0] ?? ''
  const sockets = join(dir, 'run')
  return {
    dir,
    file,
    root: join(dir, 'ledgers'),
    run: sockets,
    url,
    pid: greeting.pid,
    frontPid: greeting.front_pid,
    separateUsers: greeting.separate_users,
    stderr,
    fetch(moduleId, path, init = {}) {
      const headers = new Headers(init.headers)
      if (!headers.has('x-foundry-module-id')) headers.set('x-foundry-module-id', moduleId)
      return fetch(url + path.replace(/^\//, ''), { signal: AbortSignal.timeout(300_000), ...init, headers })
    },
    pidOf: (moduleId) => holderOf(join(dir, 'ledgers', moduleId, 'lock')),
    async kill(signal = 'SIGTERM') {
      await end(child, signal)
      return child.exitCode
    },
    restart: () => launch(dir, file, as),
    async dispose() {
      await end(child, 'SIGTERM')
      await rm(dir, { recursive: true, force: true })
    },
  }
}

/** The process named in a lock file, if it exists. */
async function holderOf(lock: string): Promise<number | undefined> {
  const pid = Number(await readFile(lock, 'utf8').catch(() => ''))
  if (pid === 0 || Number.isNaN(pid)) return undefined
  try {
    process.kill(pid, 0)
    return pid
  } catch {
    return undefined
  }
}
