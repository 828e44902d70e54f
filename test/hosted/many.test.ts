// How many tenants a host holds: a hundred running idle ones, and a thousand that start on demand.
import { readFileSync } from 'node:fs'
import { afterEach, expect, it } from 'vitest'
import { serviceFsCommand } from '../support/daemon.ts'
import { startHost, type Host } from '../support/host.ts'
import { sleep } from '../support/process.ts'

const isLinux = process.platform === 'linux'
const why = isLinux ? '' : ' (skipped: no /proc/PID/smaps_rollup)'
const GIB = 2 ** 30

let host: Host | undefined
afterEach(async () => {
  await host?.dispose()
  host = undefined
})

const named = (count: number): string[] => Array.from({ length: count }, (_, i) => `tenant-${i}`)

async function use(of: Host, moduleId: string): Promise<void> {
  const answer = await of.fetch(moduleId, '/v1/append', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ payload_id: 'one', payload: { tenant: moduleId } }),
  })
  expect(answer.status, await answer.text()).toBe(200)
  const read = await of.fetch(moduleId, '/v1/records/one')
  expect(await read.json()).toMatchObject({ payload: { tenant: moduleId } })
}

/** A process's memory in bytes, including its proportional share of shared pages. */
function pssOf(pid: number): number {
  const kib = /^Pss: +(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'latin1'))?.[1]
  return Number(kib) * 1024
}

it.skipIf(!isLinux)(
  `100 idle running tenants fit into 3 GiB, including the front and the supervisor${why}`,
  async () => {
    const tenants = named(100)
    const running = (host = await startHost({ tenants, config: { idleStopSeconds: 0 } }))
    for (const moduleId of tenants) await use(running, moduleId)
    const pids = await Promise.all(tenants.map((moduleId) => running.pidOf(moduleId)))
    const started = sum(running, pids)
    // Node.js 24 takes more than Node.js 20.
    const limit = Number(process.versions.node.split('.')[0]) >= 23 ? 3 * GIB : 2.5 * GIB
    // V8 returns unused memory within half a minute.
    let idle = sum(running, pids)
    for (const deadline = Date.now() + 30_000; idle >= limit && Date.now() < deadline; await sleep(1000))
      idle = sum(running, pids)
    console.log(`100 tenants: ${mib(started)} MiB as soon as they are used, ${mib(idle)} MiB when idle`)
    expect(started).toBeLessThan(3 * GIB)
    expect(idle).toBeLessThan(limit)
  },
  300_000,
)

function sum(of: Host, pids: readonly (number | undefined)[]): number {
  let bytes = pssOf(of.pid) + pssOf(of.frontPid)
  for (const pid of pids) bytes += pssOf(pid ?? 0)
  return bytes
}

const mib = (bytes: number): number => Math.round(bytes / 2 ** 20)

it('1,000 configured tenants start on demand, and stop when idle', async () => {
  const tenants = named(1000)
  const adding = performance.now()
  host = await startHost({ tenants, config: { idleStopSeconds: 3, uids: { from: 70_100, to: 79_999 } } })
  const added = performance.now() - adding
  const asked = tenants.filter((_, i) => i % 37 === 0)
  const times: number[] = []
  for (const moduleId of asked) {
    const started = performance.now()
    await use(host, moduleId)
    times.push(performance.now() - started)
  }
  // All at once.
  await Promise.all(tenants.filter((_, i) => i % 50 === 1).map((moduleId) => use(host as Host, moduleId)))
  const running = async (): Promise<number> => {
    const { stdout } = await serviceFsCommand(['tenant', 'ls', '--json', '--config', host?.file ?? ''])
    return stdout.match(/"state":"running"/g)?.length ?? 0
  }
  for (const deadline = Date.now() + 30_000; (await running()) > 0; await sleep(500))
    expect(Date.now()).toBeLessThan(deadline)
  expect((await host.fetch('tenant-0', '/v1/records/one')).status).toBe(200)
  expect(await running()).toBe(1)
  expect((await host.fetch('tenant-1000', '/v1/contract')).status).toBe(404)
  const median = times.toSorted((a, b) => a - b)[Math.floor(times.length / 2)] ?? 0
  console.log(
    `1,000 added and the host started in ${Math.round(added)} ms; a tenant started and used in ${Math.round(median)} ms (median)`,
  )
})
