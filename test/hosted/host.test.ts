// A running host: tenants added and removed, its own processes killed, and a host without root.
import { existsSync, statSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { serviceFsCommand } from '../support/daemon.ts'
import { startHost, type Host } from '../support/host.ts'
import { freePort, sleep } from '../support/process.ts'

const isRoot = process.getuid?.() === 0

async function append(host: Host, moduleId: string, id: string): Promise<number> {
  const answer = await host.fetch(moduleId, '/v1/append', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ payload_id: id, payload: id }),
  })
  await answer.arrayBuffer()
  return answer.status
}

async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  for (const deadline = Date.now() + 15_000; !(await holds()); await sleep(50))
    if (Date.now() > deadline) throw new Error(`this did not happen in time: ${what}`)
}

const tenant = (host: Host, ...args: string[]) => serviceFsCommand(['tenant', ...args, '--config', host.file])
const isThere = (pid: number | undefined): boolean => existsSync(`/proc/${pid}`)

describe('while it runs', () => {
  let host: Host
  beforeAll(async () => {
    host = await startHost({
      tenants: ['acme'],
      // The restarted front listens on the same port.
      config: { listen: [`127.0.0.1:${await freePort()}`] },
    })
    expect(await append(host, 'acme', 'one')).toBe(200)
  })
  afterAll(() => host.dispose())

  it('adds and removes tenants, and keeps their ledgers', async () => {
    expect(await append(host, 'bolt', 'one')).toBe(404)
    const policy = join(host.dir, 'policy')
    const added = await tenant(host, 'add', 'bolt', '--origin', 'example.org/bolt', '--policy-out', policy)
    expect(added).toMatchObject({ code: 0 })
    const lines = (await readFile(policy, 'utf8')).split('\n')
    expect(lines).toEqual([
      '# bolt',
      expect.stringMatching(/^log example\.org\/bolt\+/),
      expect.stringMatching(/^log example\.org\/bolt\/audit\+/),
      'quorum none',
      '',
    ])
    for (const line of lines.slice(1, 3)) expect(added.stdout).toContain(line.slice('log '.length))
    await until('bolt is there', async () => (await append(host, 'bolt', 'one')) === 200)
    const verified = await serviceFsCommand(['verify', join(host.root, 'bolt'), '--policy', policy])
    expect(verified).toMatchObject({ code: 0, stderr: '' })
    expect(verified.stdout.match(/key pinned by --policy/g)).toHaveLength(2)
    const taken = await tenant(host, 'add', 'other', '--policy-out', policy)
    expect([taken.code, taken.stderr]).toEqual([2, expect.stringContaining('exists already')])
    const contract = (await (await host.fetch('bolt', '/v1/contract')).json()) as { origin: string }
    expect(contract.origin).toBe('example.org/bolt')

    const pid = await host.pidOf('bolt')
    const removed = await tenant(host, 'rm-from-config', 'bolt')
    expect(removed.stdout).toContain(`its ledger stays in ${host.root}/bolt`)
    await until('bolt is gone', async () => (await append(host, 'bolt', 'two')) === 404 && !isThere(pid))
    expect(existsSync(join(host.root, 'bolt/checkpoint'))).toBe(true)

    const again = await tenant(host, 'add', 'bolt')
    expect(again.stdout).toContain('its keys existed')
    await until('bolt is back', async () => (await append(host, 'bolt', 'two')) === 200)
    expect((await host.fetch('bolt', '/v1/records/one')).status).toBe(200)
  })

  it('keeps running when host.json is invalid, and logs the reason', async () => {
    const valid = await readFile(host.file, 'utf8')
    await writeFile(host.file, valid.replace('"tenants"', '"tenantz"'))
    await until('the log says so', () => host.stderr().includes('tenantz: no such field'))
    expect(await append(host, 'acme', 'two')).toBe(200)
    await writeFile(host.file, valid)
    expect((await tenant(host, 'add', 'Acme')).code).toBe(2)
    expect((await tenant(host, 'rm-from-config', 'other')).code).toBe(2)
  })

  it('logs that a change needs a restart', async () => {
    const valid = await readFile(host.file, 'utf8')
    await writeFile(host.file, JSON.stringify({ ...(JSON.parse(valid) as object), idleStopSeconds: 5 }))
    await until('the log says so', () => host.stderr().includes('"field":"idleStopSeconds"'))
    await writeFile(host.file, valid)
  })

  it('refuses a second host on the same root', async () => {
    const second = await serviceFsCommand(['host', '--config', host.file])
    expect([second.code, second.stderr]).toEqual([
      3,
      expect.stringContaining('another host uses this directory'),
    ])
  })

  it('does not start when it cannot listen', async () => {
    const other = join(host.dir, 'other.json')
    const { listen } = JSON.parse(await readFile(host.file, 'utf8')) as { listen: string[] }
    await writeFile(
      other,
      JSON.stringify({ root: 'ledgers', run: 'other', listen: ['127.0.0.1:0', ...listen] }),
    )
    const refused = await serviceFsCommand(['host', '--config', other])
    expect([refused.code, refused.stderr]).toEqual([3, expect.stringContaining('EADDRINUSE')])
  })

  it('restarts its front without disturbing the tenants', async () => {
    const pid = await host.pidOf('acme')
    process.kill(host.frontPid, 'SIGKILL')
    await until('the front is back', () =>
      append(host, 'acme', 'three').then(
        (status) => status === 200,
        () => false,
      ),
    )
    expect(await host.pidOf('acme')).toBe(pid)
  })

  it('leaves no process running when it is killed', async () => {
    const pids = [await host.pidOf('acme'), await host.pidOf('bolt')]
    expect(pids.every(isThere)).toBe(true)
    expect(await host.kill('SIGKILL')).toBe(null)
    // Each host waits until the processes of the previous ones have ended.
    host = await host.restart()
    expect(await append(host, 'acme', 'four')).toBe(200)
    await until('the previous processes are gone', () => !pids.some(isThere))
    const next = await host.pidOf('acme')
    expect(await host.kill('SIGKILL')).toBe(null)
    await until('they are gone', () => !isThere(next))
    const verified = await serviceFsCommand(['verify', join(host.root, 'acme'), '--json'])
    expect(verified.stdout + verified.stderr).toContain('"ok":true')
  })
})

describe.skipIf(!isRoot)(`without root${isRoot ? '' : ' (skipped: not root)'}`, () => {
  it('runs all tenants as one user, and prints that', async () => {
    const host = await startHost({ tenants: ['acme', 'bolt'], uid: 64_999 })
    try {
      expect(host.separateUsers).toBe(false)
      for (const id of ['acme', 'bolt']) {
        expect(await append(host, id, 'one')).toBe(200)
        expect(statSync(`/proc/${await host.pidOf(id)}`).uid).toBe(64_999)
      }
      const modes = ['ledgers', 'ledgers/.secret', 'ledgers/acme', 'run', 'run/acme'].map((name) => {
        const { mode, uid } = statSync(join(host.dir, name))
        return `${(mode & 0o7777).toString(8)} ${uid}`
      })
      expect(new Set(modes)).toEqual(new Set(['700 64999']))
      expect(await host.kill()).toBe(0)
    } finally {
      await host.dispose()
    }
  })
})
