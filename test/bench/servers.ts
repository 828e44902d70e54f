// The two servers of the benchmark, started fresh on an empty directory for each measurement.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { startDaemon, serviceFsCommand } from '../support/daemon.ts'
import { collect, end, run, sleep } from '../support/process.ts'
import { repoRoot } from '../support/root.ts'
import type { Await, TesseraSettings } from './settings.ts'

export const benchDir: string = join(repoRoot, 'test/bench')
export const binDir: string = join(benchDir, 'bin')
export const fsckBin: string = join(repoRoot, 'test/interop/bin')

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
  /** Checks the whole log on disk with the side's own tool, after `stop`; throws on a fault. */
  verify(): Promise<void>
  /** Kills the server and removes its files. */
  dispose(): Promise<void>
}

const MODULE = 'bench'

export async function startServiceFs(work: string): Promise<Server> {
  const root = await emptyDir(work, 'service-fs')
  const daemon = await startDaemon({ moduleId: MODULE, root })
  return {
    target: 'service-fs',
    url: daemon.url,
    pid: daemon.pid,
    size: () => checkpointSize(`${daemon.url}checkpoint`, { 'x-foundry-module-id': MODULE }),
    recorded: () => recordedReads(daemon.url, MODULE),
    async stop() {
      const code = await daemon.kill()
      if (code !== 0) throw new Error(`service-fs stopped with ${code ?? 'a signal'}: ${daemon.stderr()}`)
    },
    async verify() {
      const done = await serviceFsCommand(['verify', daemon.dir], { timeoutMs: 1_200_000 })
      if (done.code !== 0)
        throw new Error(`service-fs verify: exit ${done.code}: ${done.stderr}${done.stdout}`)
    },
    async dispose() {
      await daemon.kill('SIGKILL')
      await rm(root, { recursive: true, force: true })
    },
  }
}

export async function startTessera(work: string, until: Await, settings: TesseraSettings): Promise<Server> {
  const root = await emptyDir(work, 'tessera')
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
  const stderr = collect(child.stderr)
  const url = await firstLine(child.stdout)
  if (!url.startsWith('http://127.0.0.1:')) throw new Error(`the Tessera server did not start: ${stderr()}`)
  return {
    target: 'tessera',
    url,
    pid: child.pid ?? 0,
    size: () => checkpointSize(`${url}checkpoint`, {}),
    stop: () => end(child, 'SIGTERM', 60_000),
    async verify() {
      const args = [`--storage_url=file://${log}/`, `--public_key=${vkey}`, '--ui=false', '--N=2']
      const done = await run(join(fsckBin, 'fsck'), args, { timeoutMs: 1_200_000 })
      if (!done.stderr.includes("Successfully fsck'd log")) throw new Error(`fsck: ${done.stderr}`)
    },
    async dispose() {
      await end(child, 'SIGKILL')
      await rm(root, { recursive: true, force: true })
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

async function emptyDir(work: string, name: string): Promise<string> {
  const root = join(work, `${name}-data`)
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
