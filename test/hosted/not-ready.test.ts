// The host shows a tenant whose process cannot start: in /readyz without its name, and in the metrics by name.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, expect, it } from 'vitest'
import { startHost, type Host } from '../support/host.ts'
import { collect, hasExited, sleep } from '../support/process.ts'

const why =
  process.platform === 'linux' && spawnSync('flock', ['--version']).status === 0
    ? ''
    : ' (skipped: no flock, or no /proc/locks)'

/** A process that locks a directory as soon as no other process has it locked. */
class NextHolder {
  readonly #process: ChildProcess
  readonly #stdout: () => string

  constructor(dir: string) {
    const child = spawn('flock', ['-x', dir, 'sh', '-c', 'echo held; exec sleep 120'], { detached: true })
    this.#process = child
    this.#stdout = collect(child.stdout)
  }

  get holds(): boolean {
    return this.#stdout().includes('held')
  }

  /** Whether the kernel has the process in the queue for the lock. */
  get waits(): boolean {
    const waiting = new RegExp(`-> FLOCK .* ${this.#process.pid} `)
    return waiting.test(readFileSync('/proc/locks', 'latin1'))
  }

  end(): void {
    if (!hasExited(this.#process)) process.kill(-(this.#process.pid ?? 0), 'SIGKILL')
  }
}

let host: Host | undefined
afterEach(() => host?.dispose())

/** Requests /readyz without naming a tenant. */
async function readyz(one: Host): Promise<{ status: number; json: unknown }> {
  const answer = await fetch(`${one.url}readyz`)
  return { status: answer.status, json: await answer.json() }
}

it.skipIf(why !== '')(
  `a tenant whose ledger another process has locked counts as not ready until the lock is released${why}`,
  async () => {
    host = await startHost({ tenants: ['acme', 'beta'] })
    expect((await host.fetch('acme', 'v1/checkpoint')).status).toBe(200)
    const dir = join(host.root, 'acme')
    // The other process waits for the lock before the tenant ends. The restarted tenant may still be faster; then it is killed too.
    const holder = new NextHolder(dir)
    try {
      await expect.poll(() => holder.waits).toBe(true)
      for (let last = 0, kills = 0; !holder.holds; await sleep(20)) {
        const pid = await host.pidOf('acme')
        if (pid === undefined || pid === last) continue
        last = pid
        kills += 1
        expect(kills).toBeLessThan(5)
        process.kill(pid, 'SIGKILL')
      }
      expect((await host.fetch('acme', 'v1/checkpoint')).status).toBe(503)
      await expect
        .poll(async () => (await readyz(host!)).json, { interval: 500 })
        .toEqual({ ready: true, not_ready: { unavailable: 1 } })
      expect(host.stderr()).toMatch(/lock: process \d+ writes to this ledger/)
    } finally {
      holder.end()
    }
    await expect
      .poll(async () => (await host!.fetch('acme', 'v1/checkpoint')).status, {
        interval: 500,
      })
      .toBe(200)
    await expect.poll(async () => (await readyz(host!)).json, { interval: 500 }).toEqual({ ready: true })
  },
)

it('a tenant that cannot start is counted in /readyz and named in the metrics', async () => {
  host = await startHost({ tenants: ['acme', 'beta'] })
  expect((await host.fetch('beta', 'v1/checkpoint')).status).toBe(200)
  expect(await readyz(host)).toEqual({ status: 200, json: { ready: true } })
  await rm(join(host.root, '.secret', 'acme', 'ed25519.key'))
  expect((await host.fetch('acme', 'v1/checkpoint')).status).toBe(503)
  const expected = { ready: true, not_ready: { unavailable: 1 } }
  await expect.poll(async () => (await readyz(host!)).json, { interval: 500 }).toEqual(expected)
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
