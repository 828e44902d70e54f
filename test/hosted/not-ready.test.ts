// The host shows a tenant whose process cannot start: in /readyz without its name, and in the metrics by name.
import { spawn, spawnSync } from 'node:child_process'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, expect, it } from 'vitest'
import { startHost, type Host } from '../support/host.ts'

const hasFlock = spawnSync('flock', ['--version']).status === 0

/** Reports whether another process holds the lock of a ledger's directory. */
function isLocked(dir: string): boolean {
  return spawnSync('flock', ['-n', '-x', dir, 'true']).status === 1
}

let host: Host | undefined
afterEach(() => host?.dispose())

/** Without naming a tenant. */
async function readyz(one: Host): Promise<{ status: number; json: unknown }> {
  const answer = await fetch(`${one.url}readyz`)
  return { status: answer.status, json: await answer.json() }
}

it.skipIf(!hasFlock)(
  'a tenant whose ledger another process has locked counts as not ready until the lock is released',
  async () => {
    host = await startHost({ tenants: ['acme', 'beta'] })
    expect((await host.fetch('acme', 'v1/checkpoint')).status).toBe(200)
    const dir = join(host.root, 'acme')
    process.kill((await host.pidOf('acme')) ?? 0, 'SIGKILL')
    const holder = spawn('flock', ['-x', dir, 'sleep', '60'], { detached: true })
    try {
      await expect.poll(() => isLocked(dir), { timeout: 10_000 }).toBe(true)
      expect((await host.fetch('acme', 'v1/checkpoint')).status).toBe(503)
      await expect
        .poll(async () => (await readyz(host!)).json, { timeout: 15_000, interval: 500 })
        .toEqual({ ready: true, not_ready: { unavailable: 1 } })
      expect(host.stderr()).toMatch(/lock: process \d+ writes to this ledger/)
    } finally {
      process.kill(-(holder.pid ?? 0), 'SIGKILL')
    }
    await expect
      .poll(async () => (await host!.fetch('acme', 'v1/checkpoint')).status, {
        timeout: 30_000,
        interval: 500,
      })
      .toBe(200)
    await expect
      .poll(async () => (await readyz(host!)).json, { timeout: 15_000, interval: 500 })
      .toEqual({ ready: true })
  },
)

it('a tenant that cannot start is counted in /readyz and named in the metrics', async () => {
  host = await startHost({ tenants: ['acme', 'beta'] })
  expect((await host.fetch('beta', 'v1/checkpoint')).status).toBe(200)
  expect(await readyz(host)).toEqual({ status: 200, json: { ready: true } })
  await rm(join(host.root, '.secret', 'acme', 'ed25519.key'))
  expect((await host.fetch('acme', 'v1/checkpoint')).status).toBe(503)
  const expected = { ready: true, not_ready: { unavailable: 1 } }
  await expect
    .poll(async () => (await readyz(host!)).json, { timeout: 15_000, interval: 500 })
    .toEqual(expected)
  const metrics = await (await fetch(`${host.url}metrics`)).text()
  const series = metrics.split('\n').filter((line) => line.startsWith('service_fs_ready{'))
  const values = series.map((line) => [
    /tenant="(\w+)"/.exec(line)?.[1],
    /reason="([\w-]+)"/.exec(line)?.[1],
    line.at(-1),
  ])
  expect(values).toContainEqual(['acme', 'unavailable', '0'])
  expect(values.filter(([tenant]) => tenant === 'beta')).toEqual([
    ['beta', 'none', '1'],
    ['beta', 'none', '1'],
  ])
})
