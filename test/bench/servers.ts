// The servers of the benchmark.

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { startDaemon } from '../support/daemon.ts'
import { collect, end, run, sleep } from '../support/process.ts'
import { repoRoot } from '../support/root.ts'
import type { Build } from './builds.ts'
import { Unsupported } from './contest.ts'
import type { Await, TesseraSettings } from './settings.ts'

export const benchDir: string = join(repoRoot, 'test/bench')
export const binDir: string = join(benchDir, 'bin')
export const fsckBin: string = join(repoRoot, 'test/interop/bin')

const running = new Set<ChildProcess>()
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})

export type Target = 'service-fs' | 'tessera'

export interface Server {
  readonly target: Target
  readonly url: string
  readonly pid: number
  /** The size of the server's newest checkpoint. */
  size(): Promise<number>
  /** The recorded reads and their commits; absent where reads are not recorded. */
  recorded?(): Promise<{ reads: number; commits: number }>
  /** The tenant under load; default: the only one. */
  moduleId?: string
  /** Stops the server cleanly. */
  stop(): Promise<void>
  /** Ends the server, and removes its files unless they existed before. */
  dispose(): Promise<void>
}

/** The tenant of every ledger that the benchmark makes. */
export const MODULE: string = 'bench'

/** The place of a server's log: a new directory below `work`, or an existing one, which stays. */
export type Place = { work: string } | { root: string }

export async function startServiceFs(build: Build, place: Place): Promise<Server> {
  const server = await serve(build, await rootAt(place, 'service-fs'), [], 'work' in place)
  return { ...server, recorded: () => recordedReads(server.url, MODULE) }
}

/** Serves a ledger whose reads are public, so that none is recorded. @throws Unsupported: the revision has no such flag */
export async function startPublic(build: Build, root: string): Promise<Server> {
  const { stdout } = await run(process.execPath, [build.command, 'serve', '--help'])
  if (!stdout.includes(PUBLIC_READS)) throw new Unsupported(`this revision has no ${PUBLIC_READS}`)
  return serve(build, root, [PUBLIC_READS], false)
}

const PUBLIC_READS = '--public-reads'

/** `isOwn`: whether the root is removed with the server. */
async function serve(build: Build, root: string, args: string[], isOwn: boolean): Promise<Server> {
  const daemon = await startDaemon({ moduleId: MODULE, root, command: build.command, args })
  return {
    target: 'service-fs',
    url: daemon.url,
    pid: daemon.pid,
    size: () => checkpointSize(`${daemon.url}checkpoint`, { 'x-foundry-module-id': MODULE }),
    async stop() {
      const code = await daemon.kill()
      if (code !== 0) throw new Error(`service-fs stopped with ${code ?? 'a signal'}: ${daemon.stderr()}`)
    },
    async dispose() {
      await daemon.kill(isOwn ? 'SIGKILL' : 'SIGTERM')
      if (isOwn) await rm(root, { recursive: true, force: true })
    },
  }
}

export async function startTessera(until: Await, settings: TesseraSettings, place: Place): Promise<Server> {
  const root = await rootAt(place, 'tessera')
  const log = join(root, 'log')
  const vkey = join(root, 'vkey')
  const child = spawn(
    join(binDir, 'tessera'),
    [
      ['-dir', log, '-vkey', vkey, '-listen', '127.0.0.1:0', '-await', until],
      ['-batch-size', String(settings.batchSize), '-batch-age', settings.batchAge],
      ['-checkpoint-interval', settings.checkpointInterval],
    ].flat(),
    { stdio: ['ignore', 'pipe', 'pipe'] },
  )
  running.add(child)
  child.once('exit', () => running.delete(child))
  const stderr = collect(child.stderr)
  const url = await firstLine(child.stdout)
  if (!url.startsWith('http://127.0.0.1:')) throw new Error(`the Tessera server did not start: ${stderr()}`)
  return {
    target: 'tessera',
    url,
    pid: child.pid ?? 0,
    size: () => checkpointSize(`${url}checkpoint`, {}),
    stop: () => end(child, 'SIGTERM', 60_000),
    async dispose() {
      await end(child, 'root' in place ? 'SIGTERM' : 'SIGKILL', 60_000)
      if ('work' in place) await rm(root, { recursive: true, force: true })
    },
  }
}

/** Waits until the server's checkpoint covers that many entries. */
export async function waitForSize(server: Server, size: number, limitMs = 10_000): Promise<void> {
  const deadline = Date.now() + limitMs
  let seen = await server.size()
  while (seen < size) {
    if (Date.now() > deadline)
      throw new Error(`${server.target}: expected a checkpoint of at least ${size} entries, found ${seen}`)
    await sleep(20)
    seen = await server.size()
  }
}

async function rootAt(place: Place, name: string): Promise<string> {
  if ('root' in place) return place.root
  const root = join(place.work, `${name}-data`)
  await rm(root, { recursive: true, force: true })
  await mkdir(root, { recursive: true })
  return root
}

async function firstLine(stream: NodeJS.ReadableStream): Promise<string> {
  const lines = createInterface({ input: stream })
  const [line]: unknown[] = await Promise.race([once(lines, 'line'), once(lines, 'close')])
  return typeof line === 'string' ? line : ''
}

/** The metrics of a tenant's audit sub-ledger. */
export async function recordedReads(
  url: string,
  moduleId: string,
): Promise<{ reads: number; commits: number }> {
  const text = await (await fetch(`${url}metrics`, { signal: AbortSignal.timeout(10_000) })).text()
  const value = (name: string): number => {
    const series = [...text.matchAll(new RegExp(`^${name}\\{(.*)\\} (\\d+)$`, 'gm'))]
    const wanted = ['ledger="audit"', `tenant="${moduleId}"`]
    const found = series.find(([, labels = '']) => wanted.every((label) => labels.includes(label)))
    return Number(found?.[2] ?? 0)
  }
  return { reads: value('service_fs_tree_size'), commits: value('service_fs_commit_seconds_count') }
}

export async function checkpointSize(url: string, headers: Record<string, string>): Promise<number> {
  const response = await fetch(url, { headers, signal: AbortSignal.timeout(10_000) })
  const text = await response.text()
  if (response.status !== 200) throw new Error(`${url}: ${response.status} ${text}`)
  return Number(text.split('\n')[1])
}
