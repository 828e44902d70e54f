// How one tenant affects the others when it keeps a processor busy, fills its disk, or keeps crashing.
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startHost, type Host } from '../support/host.ts'
import { sleep } from '../support/process.ts'
import { runIn } from './inspect.ts'
import { Load } from './load.ts'

const isRoot = process.getuid?.() === 0
const canMount = isRoot && spawnSync('unshare', ['--mount', 'mount', '-t', 'tmpfs', 'x', '/mnt']).status === 0
const why = isRoot && canMount ? '' : ` (skipped: ${isRoot ? 'no tmpfs can be mounted' : 'not root'})`

const QUIET = ['quiet-1', 'quiet-2', 'quiet-3']
const TENANTS = [...QUIET, 'busy', 'full', 'ending', 'greedy']

describe.skipIf(why !== '')(`the others work as before${why}`, () => {
  let host: Host
  let disk = ''

  beforeAll(async () => {
    host = await startHost({
      tenants: TENANTS,
      prepare: async (dir) => {
        disk = join(dir, 'ledgers/full')
        mount('-t', 'tmpfs', '-o', 'size=6m,mode=0700,uid=70104,gid=70104', 'none', disk)
        await limitMemory(join(dir, 'host.json'), 'greedy', 256)
      },
    })
    for (const id of TENANTS) expect(await append(host, id, 'first', 'x')).toBe(200)
  })
  afterAll(async () => {
    await host.kill()
    spawnSync('umount', [disk])
    await host.dispose()
  })

  it('while one keeps a processor busy', async () => {
    const before = await latency(host)
    const pid = (await host.pidOf('busy')) ?? 0
    await runIn(pid, 'for (;;);')
    const ticks = ticksOf(pid)
    const during = await latency(host)
    const used = ticksOf(pid) - ticks
    process.kill(pid, 'SIGKILL')
    // The busy tenant got the remaining CPU.
    expect(used).toBeGreaterThan(50)
    told('100% of a processor', before, during)
    await untilAppended(host, 'busy', 'second', 'x')
  })

  it('while one has a full disk', async () => {
    const before = await latency(host)
    const text = 'x'.repeat(100_000)
    let status = 200
    for (let i = 0; status === 200 && i < 200; i++) status = await append(host, 'full', `fill-${i}`, text)
    expect(status).toBe(507)
    const during = await latency(host, () => append(host, 'full', 'more', text))
    told('a full disk', before, during)
    // Frees space and restarts the tenant.
    mount('-o', 'remount,size=32m', disk)
    process.kill((await host.pidOf('full')) ?? 0, 'SIGTERM')
    await untilAppended(host, 'full', 'more', text)
    expect((await host.fetch('full', '/v1/records/fill-0')).status).toBe(200)
  })

  it('while one exceeds its memory limit', async () => {
    const before = await latency(host)
    await runIn((await host.pidOf('greedy')) ?? 0, 'for (let all = []; ; ) all.push(Array(1000).fill(0.5))')
    const during = await latency(host)
    expect(host.stderr()).toMatch(/"tenant":"greedy","ended":"SIG\w+","message":"tenant ended by itself"/)
    told('no memory left', before, during)
    await untilAppended(host, 'greedy', 'again', 'x')
    expect((await host.fetch('greedy', '/v1/records/first')).status).toBe(200)
  })

  it('while one keeps crashing', async () => {
    const before = await latency(host)
    const over = new AbortController()
    const killing = keepKilling(host, 'ending', over.signal)
    const during = await latency(host)
    over.abort()
    const kills = await killing
    told(`${kills} ends in a row`, before, during)
    // The host backs off and logs that; then the tenant runs again.
    expect(kills).toBeLessThan(12)
    await untilAppended(host, 'ending', 'again', 'x')
    expect((await host.fetch('ending', '/v1/records/first')).status).toBe(200)
  })
})

async function limitMemory(file: string, moduleId: string, memoryMiB: number): Promise<void> {
  const config = JSON.parse(await readFile(file, 'utf8')) as { tenants: { moduleId: string }[] }
  for (const tenant of config.tenants) if (tenant.moduleId === moduleId) Object.assign(tenant, { memoryMiB })
  await writeFile(file, JSON.stringify(config))
}

function mount(...args: string[]): void {
  const { status, stderr } = spawnSync('mount', args, { encoding: 'utf8' })
  expect(status, stderr).toBe(0)
}

/** Kills every process that the tenant starts; resolves with the number of kills. */
async function keepKilling(host: Host, moduleId: string, over: AbortSignal): Promise<number> {
  let kills = 0
  for (let last = 0; !over.aborted; await sleep(20)) {
    const pid = await host.pidOf(moduleId)
    if (pid === undefined || pid === last) continue
    last = pid
    // The process lives long enough to answer.
    await sleep(500)
    process.kill(pid, 'SIGKILL')
    kills += 1
  }
  return kills
}

/** Appends once the tenant's process is running again. */
async function untilAppended(host: Host, moduleId: string, id: string, payload: string): Promise<void> {
  const deadline = Date.now() + 60_000
  while ((await append(host, moduleId, id, payload)) !== 200) {
    expect(Date.now()).toBeLessThan(deadline)
    await sleep(100)
  }
}

/** The status of the answer. */
async function append(host: Host, moduleId: string, id: string, payload: string): Promise<number> {
  const answer = await host.fetch(moduleId, '/v1/append', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ payload_id: id, payload }),
  })
  await answer.arrayBuffer()
  return answer.status
}

/** Appends to the quiet tenants, checks that all are acknowledged, and returns the 99th percentile in milliseconds. */
async function latency(host: Host, meanwhile?: () => Promise<unknown>): Promise<number> {
  const loads = QUIET.map((id) => new Load(host, id))
  const running = loads.map((load) => load.run(2, 5))
  for (const end = performance.now() + 4000; performance.now() < end; await sleep(20)) await meanwhile?.()
  for (const load of loads) load.stop()
  await Promise.all(running)
  for (const load of loads) expect(load.refused).toEqual([])
  return Math.max(...loads.map((load) => load.p99))
}

function told(what: string, before: number, during: number): void {
  console.log(
    `${what}: 99% of the others' appends within ${during.toFixed(1)} ms, ${before.toFixed(1)} ms before`,
  )
  expect(during).toBeLessThan(Math.max(5 * before, 250))
}

/** CPU time used, in hundredths of a second. */
function ticksOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1]?.split(' ') ?? []
  return Number(fields[11]) + Number(fields[12])
}
