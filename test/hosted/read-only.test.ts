// Tests a tenant whose disk refuses writes: its process keeps running, answers reads if it can record them, and accepts appends
// again without a restart.
import { spawnSync } from 'node:child_process'
import { chownSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startHost, type Host } from '../support/host.ts'
import { sleep } from '../support/process.ts'

const mount = (...args: string[]): boolean => spawnSync('mount', args).status === 0

/** Reports whether this process can mount file systems. */
const canMount = ((): boolean => {
  if (process.getuid?.() !== 0) return false
  const at = mkdtempSync(join(tmpdir(), 'service-fs-mount-'))
  const done = mount('-t', 'tmpfs', 'tmpfs', at)
  if (done) spawnSync('umount', [at])
  rmSync(at, { recursive: true })
  return done
})()

const ID = 'small'
const LARGE = 'x'.repeat(20_000)
let host: Host
let dir: string

/** A separate file system with the directory's owner. */
function mountAt(at: string, size: string): void {
  const { uid, gid } = statSync(at)
  expect(mount('-t', 'tmpfs', '-o', `size=${size},mode=700,uid=${uid},gid=${gid}`, 'tmpfs', at)).toBe(true)
}

function append(moduleId: string, id: string, text = id): Promise<Response> {
  return host.fetch(moduleId, '/v1/append', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ payload_id: id, payload: { text } }),
  })
}

async function statusOf(answer: Promise<Response>): Promise<[number, unknown]> {
  const { status, ...rest } = await answer.then(async (one) => ({
    status: one.status,
    body: (await one.json()) as { code?: unknown },
  }))
  return [status, rest.body.code]
}

/** The number of entries that the file `checkpoint` covers. */
const published = (): string | undefined => readFileSync(join(dir, 'checkpoint'), 'utf8').split('\n')[1]

/** The number of times that the tenant's process has started. */
function starts(): number {
  return host
    .stderr()
    .split('\n')
    .filter((line) => line.includes('"tenant started"') && line.includes(`"tenant":"${ID}"`)).length
}

async function until(what: () => Promise<boolean>): Promise<void> {
  for (let i = 0; i < 300; i++) {
    if (await what()) return
    await sleep(100)
  }
  throw new Error(`the host did not reach the expected state in 300 tries:\n${host.stderr()}`)
}

describe.skipIf(!canMount)(
  `a tenant whose disk refuses writes${canMount ? '' : ' (skipped: not root, or no tmpfs can be mounted)'}`,
  () => {
    beforeAll(async () => {
      host = await startHost({
        tenants: [ID, 'other'],
        async prepare(files) {
          dir = join(files, 'ledgers', ID)
          mountAt(dir, '8m')
          const { uid, gid } = statSync(dir)
          mkdirSync(join(dir, 'audit'), { mode: 0o700 })
          chownSync(join(dir, 'audit'), uid, gid)
          mountAt(join(dir, 'audit'), '16m')
        },
      })
      for (let i = 0; i < 20; i++) expect((await append(ID, `r${i}`, LARGE)).status).toBe(200)
      await until(async () => published() === '20')
    })
    afterAll(async () => {
      await host.kill()
      spawnSync('umount', [join(dir, 'audit')])
      spawnSync('umount', [dir])
      await host.dispose()
    })

    it('starts once, answers reads, and accepts appends when there is room', async () => {
      const before = (await host.pidOf(ID)) ?? 0
      spawnSync('dd', ['if=/dev/zero', `of=${dir}/ballast`, 'bs=4k'])
      process.kill(before, 'SIGKILL')
      await until(async () => (await append(ID, 'new')).status === 507)
      const begun = starts()
      for (let i = 0; i < 20; i++) {
        expect(await statusOf(append(ID, 'new'))).toEqual([507, 'full'])
        expect((await host.fetch(ID, '/v1/records/r0')).status).toBe(200)
        await sleep(100)
      }
      expect((await append('other', 'r')).status).toBe(200)
      // /readyz reports to every client that one tenant is full; the metrics name it.
      const ready = async (): Promise<unknown> => (await fetch(`${host.url}readyz`)).json()
      await expect.poll(ready).toEqual({ ready: true, not_ready: { full: 1 } })
      const metrics = await (await fetch(`${host.url}metrics`)).text()
      expect(metrics).toMatch(/^service_fs_ready\{(?=[^}]*tenant="small")(?=[^}]*reason="full")[^}]*\} 0$/m)
      rmSync(join(dir, 'ballast'))
      await until(async () => (await append(ID, 'new')).status === 200)
      expect((await host.fetch(ID, '/v1/records/r19')).status).toBe(200)
      expect(starts()).toBe(begun)
      await expect.poll(ready).toEqual({ ready: true })
      expect(host.stderr()).toMatch(/"message":"the ledger takes appends again"/)
    })

    it('is read-only when host.json requires it', async () => {
      await host.kill()
      const settings = JSON.parse(readFileSync(host.file, 'utf8')) as { tenants: Record<string, unknown>[] }
      for (const tenant of settings.tenants) if (tenant['moduleId'] === ID) tenant['readOnly'] = true
      writeFileSync(host.file, JSON.stringify(settings))
      host = await host.restart()
      expect(await statusOf(append(ID, 'more'))).toEqual([503, 'read-only'])
      expect((await host.fetch(ID, '/v1/records/new')).status).toBe(200)
      expect((await append('other', 'more')).status).toBe(200)
    })
  },
)
