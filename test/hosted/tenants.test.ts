// Tests ten tenants on a host: the documented commands, the files that each user can open, and a process killed under load.
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { copyFileSync, existsSync, lstatSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { serviceFsCommand } from '../support/daemon.ts'
import { hostDirectory, startHost, type Host } from '../support/host.ts'
import { collect, freePort, hasExited, sleep } from '../support/process.ts'
import { repoRoot } from '../support/root.ts'
import { Load } from './load.ts'

const isRoot = process.getuid?.() === 0
const why = isRoot ? '' : ' (skipped: not root)'
const TEN = Array.from({ length: 10 }, (_, i) => `t${i}`)

describe.skipIf(!isRoot)(`docs/host.md${why}`, () => {
  it('documents the commands that set up ten tenants under ten users', async () => {
    const dir = await hostDirectory()
    const port = await freePort()
    const script = documented()
      .replaceAll('/etc/service-fs', `${dir}/etc`)
      .replaceAll('/var/lib/service-fs', `${dir}/lib`)
      .replaceAll('/run/service-fs', `${dir}/run`)
      .replaceAll('8080', String(port))
    // Its own process group, like a job of an interactive shell.
    const shell = spawn('bash', ['-e', '-c', `${script}\necho DONE\nwait\n`], {
      cwd: repoRoot,
      detached: true,
    })
    const stdout = collect(shell.stdout)
    const stderr = collect(shell.stderr)
    const closed = once(shell, 'close')
    try {
      for (const deadline = Date.now() + 60_000; !stdout().includes('DONE'); await sleep(50))
        if (Date.now() > deadline || hasExited(shell)) throw new Error(stderr())
      process.kill(-(shell.pid ?? 0), 'SIGTERM')
      await closed
      const lines = stdout().split('\n')
      const running = lines.filter((line) => / running /.test(line))
      expect(running.map((line) => line.split(' ')[0])).toEqual(TEN)
      expect(new Set(running.map((line) => /uid (\d+)/.exec(line)?.[1])).size).toBe(10)
      expect(stdout().match(/"cursor":1/g)).toHaveLength(10)
      const verified = await serviceFsCommand(['verify', join(dir, 'lib/t7'), '--json'])
      expect(verified.stdout).toContain('"ok":true')
    } finally {
      if (!hasExited(shell)) process.kill(-(shell.pid ?? 0), 'SIGKILL')
      spawnSync('chattr', ['-R', '-i', '-a', join(dir, 'lib')])
      rmSync(dir, { recursive: true })
    }
  })
})

/** The shell lines under *Ten tenants*. */
function documented(): string {
  const page = readFileSync(join(repoRoot, 'docs/host.md'), 'utf8')
  const lines = /^## Ten tenants$.*?^```sh\n(.*?)^```$/ms.exec(page)?.[1]
  if (lines === undefined) throw new Error('docs/host.md: expected shell lines under Ten tenants')
  return lines
}

describe.skipIf(!isRoot)(`ten tenants${why}`, () => {
  let host: Host
  const uids = new Map<string, number>()

  beforeAll(async () => {
    host = await startHost({ tenants: TEN })
    await Promise.all(TEN.map((id) => appended(host, id, 'first')))
    for (const id of TEN) {
      expect((await host.fetch(id, '/v1/records/first')).status).toBe(200)
      uids.set(id, lstatSync(join(host.root, id)).uid)
    }
  })
  afterAll(() => host.dispose())

  it('ten tenants run under ten users, without privileges', async () => {
    expect(new Set(uids.values()).size).toBe(10)
    for (const id of TEN) {
      const status = statusOf(await host.pidOf(id))
      const uid = String(uids.get(id))
      expect(status['Uid']).toBe([uid, uid, uid, uid].join('\t'))
      expect(status['Groups']?.trim()).toBe('')
      expect([status['CapEff'], status['CapBnd'], status['NoNewPrivs']]).toEqual([NO_CAPS, NO_CAPS, '1'])
    }
    const front = statusOf(host.frontPid)
    expect([front['Uid']?.split('\t')[0], front['CapEff'], front['NoNewPrivs']]).toEqual([
      '70099',
      NO_CAPS,
      '1',
    ])
  })

  it('a tenant cannot open the files of another tenant', async () => {
    const all = await everything(host)
    expect(all.length).toBeGreaterThan(10 * 25)
    for (const id of TEN) {
      const opened = probe(
        host,
        uids.get(id) ?? 0,
        all.map((target) => ({ ...target, isOwn: target.tenant === id })),
      )
      expect(opened.filter(({ tenant }) => tenant !== id)).toEqual([])
      // The user can open its own files, so the probe works.
      expect(opened.map(({ how }) => how)).toEqual(
        expect.arrayContaining(['access', 'connect', 'list', 'read', 'signal']),
      )
    }
  })

  it('tenants give other users no access, and let the front connect but not open files', async () => {
    const all = await everything(host)
    expect(probe(host, 65_534, all)).toEqual([])
    const opened = probe(host, 70_099, all).map(({ tenant, how }) => `${tenant} ${how}`)
    expect(opened.toSorted()).toEqual(TEN.map((id) => `${id} connect`))
  })

  it('a tenant recovers within 2 s from SIGKILL under load with every acknowledged record; the others keep working', async () => {
    const loads = new Map(TEN.map((id) => [id, new Load(host, id)]))
    const running = [...loads.values()].map((load) => load.run(2))
    const victim = loads.get('t0')
    const gaps: number[] = []
    await sleep(1500)
    for (let kill = 0; kill < 3; kill++) {
      const pid = await host.pidOf('t0')
      if (pid === undefined) throw new Error('t0 does not run')
      const killed = performance.now()
      process.kill(pid, 'SIGKILL')
      await victim?.acknowledgedAfter(killed)
      gaps.push(performance.now() - killed)
      expect(await host.pidOf('t0')).not.toBe(pid)
      // The host backs off after several exits in a row.
      if (kill < 2) await sleep(5500)
    }
    for (const load of loads.values()) load.stop()
    await Promise.all(running)
    for (const [id, load] of loads) await load.check(id === 't0')
    const counts = [...loads.values()].map((load) => load.count)
    const worst = Math.max(...TEN.slice(1).map((id) => loads.get(id)?.longest ?? 0))
    console.log(
      `back after ${gaps.map((gap) => Math.round(gap)).join(', ')} ms; appends ${counts.join(' ')}; longest of the others ${Math.round(worst)} ms`,
    )
    const median = gaps.toSorted((a, b) => a - b)[1]
    expect(median).toBeLessThan(2000)
    expect(worst).toBeLessThan(5000)
    for (const id of TEN.slice(1)) expect(loads.get(id)?.refused, id).toEqual([])
  })

  it('tenants stop cleanly with the host, and their ledgers verify', async () => {
    const pids = await Promise.all(TEN.map((id) => host.pidOf(id)))
    expect(await host.kill()).toBe(0)
    for (const pid of pids) expect(existsSync(`/proc/${pid}`)).toBe(false)
    for (const id of ['t0', 't5']) {
      const verified = await serviceFsCommand(['verify', join(host.root, id), '--json'])
      expect(verified.stdout + verified.stderr).toContain('"ok":true')
    }
  })
})

const NO_CAPS = '0000000000000000'

async function appended(host: Host, moduleId: string, id: string): Promise<void> {
  const answer = await host.fetch(moduleId, '/v1/append', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ payload_id: id, payload: { tenant: moduleId } }),
  })
  expect(answer.status, await answer.text()).toBe(200)
}

/** Fields of /proc/PID/status. */
function statusOf(pid: number | undefined): Record<string, string> {
  const lines = readFileSync(`/proc/${pid}/status`, 'latin1').trim().split('\n')
  return Object.fromEntries(lines.map((line) => line.split(/:\t?/, 2) as [string, string]))
}

interface Target {
  tenant: string
  kind: 'file' | 'directory' | 'socket' | 'process'
  path?: string
  pid?: number | undefined
  /** The probe leaves the file unchanged. */
  isOwn?: boolean
}

/** All files, directories, sockets and processes of all tenants, and those of the host. */
async function everything(host: Host): Promise<Target[]> {
  const all: Target[] = [
    { tenant: 'host', kind: 'file', path: host.file },
    { tenant: 'host', kind: 'process', pid: host.pid },
  ]
  for (const dir of [
    host.root,
    join(host.root, '.secret'),
    host.run,
    join(host.root, '.host'),
    join(host.run, '.host'),
  ])
    all.push({ tenant: 'host', kind: 'directory', path: dir })
  for (const tenant of TEN) {
    for (const top of [join(host.root, tenant), join(host.root, '.secret', tenant), join(host.run, tenant)]) {
      const names = readdirSync(top, { recursive: true, encoding: 'utf8' })
      for (const path of [top, ...names.map((name) => join(top, name))]) {
        const kind = kindOf(path)
        if (kind !== undefined) all.push({ tenant, kind, path })
      }
    }
    all.push({ tenant, kind: 'process', pid: await host.pidOf(tenant) })
  }
  return all
}

/** Undefined if the tenant has removed or renamed the file since the directory was listed. */
function kindOf(path: string): 'file' | 'directory' | 'socket' | undefined {
  const stats = lstatSync(path, { throwIfNoEntry: false })
  if (stats === undefined) return undefined
  if (stats.isSocket()) return 'socket'
  return stats.isDirectory() ? 'directory' : 'file'
}

/** Returns the paths that the given user can open. */
function probe(
  host: Host,
  uid: number,
  targets: readonly Target[],
): { tenant: string; how: string; what: string }[] {
  const script = join(host.dir, 'probe.mjs')
  copyFileSync(join(repoRoot, 'test/hosted/probe.mjs'), script)
  const user = [`--reuid=${uid}`, `--regid=${uid}`, '--clear-groups']
  const { stdout, stderr } = spawnSync('setpriv', [...user, process.execPath, script], {
    input: JSON.stringify(targets),
    encoding: 'utf8',
    cwd: '/',
  })
  expect(stderr).toBe('')
  return JSON.parse(stdout) as { tenant: string; how: string; what: string }[]
}
