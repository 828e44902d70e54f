// File attributes on a host's ledgers, on ext4 in an image: nothing can change sealed files, kills lose nothing, and the reported protections are in force.
import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { bundlePath } from '@service-fs/storage/object-name'
import { mountTest } from '@service-fs/storage-posix/testing-image'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { serviceFsCommand, startDaemon, type Daemon } from '../support/daemon.ts'
import { startHost, type Host } from '../support/host.ts'
import { sleep } from '../support/process.ts'
import { Load } from './load.ts'

interface Report {
  ok: boolean
  tenants: {
    module_id: string
    findings: { check: string; in_force: string; found: string; wrong?: true }[]
  }[]
  machine: { check: string; in_force: string }[]
}

interface Protections {
  sealed_immutable: boolean
  tail_append_only: boolean
  set_by: string
  reason?: string
  checked?: { at: string; all: boolean }
  uid: number
  no_new_privileges: boolean
  daemon_may_clear: boolean
}

async function doctor(...args: string[]): Promise<{ code: number | null; report: Report }> {
  const done = await serviceFsCommand(['doctor', '--json', ...args])
  return { code: done.code, report: JSON.parse(done.stdout) as Report }
}

function inForce(report: Report, moduleId: string): Record<string, string> {
  const tenant = report.tenants.find((one) => one.module_id === moduleId)
  return Object.fromEntries((tenant?.findings ?? []).map(({ check, in_force }) => [check, in_force]))
}

/** Runs a shell command that must fail, and returns its output. */
function refused(command: string, args: readonly string[]): string {
  const done = spawnSync(command, args, { encoding: 'utf8' })
  expect(done.status, [command, ...args].join(' ')).not.toBe(0)
  return done.stderr
}

const mapsOf = (pid: number | undefined): string => readFileSync(`/proc/${pid}/maps`, 'latin1')

interface Target {
  fetch(path: string, init: RequestInit): Promise<Response>
}

/** A tenant of the host. */
const of = (host: Host, moduleId: string): Target => ({ fetch: (at, init) => host.fetch(moduleId, at, init) })

/** Appends the given number of records in one request. */
async function fill(target: Target, records: number, name: string): Promise<void> {
  const lines = Array.from({ length: records }, (_, i) =>
    JSON.stringify({ payload_id: `${name}-${i}`, payload: { text: 'x'.repeat(300) } }),
  )
  const headers = { 'content-type': 'application/x-ndjson' }
  const answer = await target.fetch('/v1/append', { method: 'POST', headers, body: lines.join('\n') })
  expect(answer.status).toBe(200)
  await answer.text()
}

interface Tree {
  state: string
  size: number
  log_size: number
  signed_size: number
}

/** Gives a ledger a second tree, or waits for the one that it has, until the tree's checkpoint covers the log. */
async function keepTree(target: Target): Promise<void> {
  const body = '{"hash":"sha3-256"}'
  const headers = { 'content-type': 'application/json' }
  const begun = await target.fetch('/v1/rehash', { method: 'POST', headers, body })
  expect(begun.status, await begun.text()).toBe(200)
  await expect
    .poll(async () => {
      const { trees } = (await (await target.fetch('/v1/trees', {})).json()) as { trees: Tree[] }
      return trees.map((tree) => [tree.state, tree.signed_size === tree.log_size])
    })
    .toEqual([['kept', true]])
}

/** A host backs off before it restarts a process that keeps exiting. */
const KILLS_OF_A_TENANT = 4
const KILLS_OF_A_DAEMON = 15

const mount = mountTest('ext4', 256)
const why = typeof mount === 'string' ? mount : ''
const path = typeof mount === 'string' ? '' : mount.path
afterAll(() => (typeof mount === 'string' ? undefined : mount.unmount()))

describe.skipIf(why !== '')(`a host that sets attributes on its tenants' files${why}`, () => {
  let host: Host
  let root: string
  /** Undefined while the tenant's process starts. */
  const protections = async (): Promise<Partial<Protections>> => {
    const answer = (await (await host.fetch('a', '/t/a/readyz')).json()) as { protections?: Protections }
    return answer.protections ?? {}
  }
  /** Waits until the host reports all protections in force. */
  const sealed = async (): Promise<Partial<Protections>> => {
    const both = { sealed_immutable: true, tail_append_only: true }
    await expect.poll(protections).toMatchObject(both)
    return protections()
  }
  const pidOf = (moduleId: string): number | undefined => {
    const pid = Number(readFileSync(join(root, moduleId, 'lock'), 'latin1'))
    const command = `/proc/${pid}/cmdline`
    return existsSync(command) && readFileSync(command, 'latin1').includes(root) ? pid : undefined
  }
  /** Kills the tenant's process, if it is running. */
  const killed = (): boolean => {
    const pid = pidOf('a')
    if (pid !== undefined) process.kill(pid, 'SIGKILL')
    return pid !== undefined
  }

  beforeAll(async () => {
    root = join(path, 'ledgers')
    host = await startHost({ tenants: ['a', 'b'], config: { root, immutable: 'required' } })
    for (const id of ['a', 'b']) await fill(of(host, id), 1000, 'first')
    await (await host.fetch('a', '/v1/records/first-7')).text()
    // There are enough records to seal a tile.
    for (const id of ['a', 'b'])
      await vi.waitFor(() => statSync(join(root, id, bundlePath(2))), { timeout: 300_000 })
  })
  afterAll(() => host.dispose())

  it('reports the protections in force in /readyz and in doctor', async () => {
    const { uid } = statSync(join(root, 'a'))
    expect(await sealed()).toMatchObject({
      sealed_immutable: true,
      tail_append_only: true,
      set_by: 'supervisor',
      uid,
      no_new_privileges: true,
      daemon_may_clear: false,
    })
    const { code, report } = await doctor('--config', host.file)
    expect(report).toMatchObject({ ok: true })
    expect(code).toBe(0)
    for (const id of ['a', 'b'])
      expect(inForce(report, id)).toMatchObject({
        'directory-private': 'yes',
        'sealed-mode': 'yes',
        'sealed-immutable': 'yes',
        'sealed-names': 'yes',
        'tail-append-only': 'yes',
        medium: 'yes',
        'key-directory': 'yes',
        key: 'yes',
        'audit-key': 'yes',
        lock: 'yes',
        'not-root': 'yes',
        'no-new-privileges': 'yes',
        'attributes-out-of-reach': 'yes',
      })
    expect(report.machine).toContainEqual(
      expect.objectContaining({ check: 'separate-users', in_force: 'yes' }),
    )
  })

  it('does not load koffi into the process of a tenant', async () => {
    expect(mapsOf(host.pid)).toContain('koffi')
    expect(mapsOf(pidOf('a'))).toContain('node')
    expect(mapsOf(pidOf('a'))).not.toContain('koffi')
  })

  it("protects sealed files from root, and both files and attributes from the tenant's user", () => {
    const { uid } = statSync(join(root, 'a'))
    const as = ['--reuid', String(uid), '--regid', String(uid), '--clear-groups']
    const tail = join(root, 'a/tail', readdirSync(join(root, 'a/tail'))[0] ?? '')
    for (const file of [
      join(root, 'a', bundlePath(0)),
      join(root, 'a/tile/0/000.b64'),
      join(root, 'a/origin'),
      tail,
    ]) {
      for (const command of [
        ['rm', '-f', file],
        ['truncate', '-s', '0', file],
        ['dd', 'if=/dev/zero', `of=${file}`, 'bs=1', 'count=1', 'conv=notrunc'],
        ['mv', file, `${file}.old`],
        ['chmod', '600', file],
        ['chown', '0', file],
      ]) {
        const [name = '', ...args] = command
        expect(refused(name, args)).toMatch(/not permitted|cannot|failed/)
        refused('setpriv', [...as, ...command])
      }
      refused('setpriv', [...as, 'chattr', '-i', '-a', file])
    }
    refused('mv', [join(root, 'a/tile'), join(root, 'a/elsewhere')])
    refused('rm', ['-rf', join(root, 'a/tile')])
  })

  it('protects the sealed files of a second tree from root', async () => {
    await keepTree(of(host, 'a'))
    expect(await sealed()).toMatchObject({ sealed_immutable: true, set_by: 'supervisor' })
    const folder = join(root, 'a/sha3-256')
    for (const name of ['origin', 'keys/ed25519.vkey', 'tile/0/000.b64']) {
      refused('rm', ['-f', join(folder, name)])
      refused('truncate', ['-s', '0', join(folder, name)])
    }
    refused('mv', [join(folder, 'tile'), join(folder, 'elsewhere')])
    const { code, report } = await doctor('--config', host.file)
    expect([code, inForce(report, 'a')]).toMatchObject([
      0,
      { 'sealed-immutable': 'yes', 'sealed-names': 'yes', 'sealed-mode': 'yes' },
    ])
    expect(spawnSync('chattr', ['-i', join(folder, 'origin')]).status).toBe(0)
    await expect.poll(async () => (await protections()).sealed_immutable).toBe(false)
    const after = await doctor('--config', host.file, '--module-id', 'a')
    expect([after.code, inForce(after.report, 'a')['sealed-immutable']]).toEqual([1, 'partly'])
    expect(spawnSync('chattr', ['+i', join(folder, 'origin')]).status).toBe(0)
    await sealed()
  })

  it('keeps every acknowledged record and its attributes when a tenant is killed repeatedly', async () => {
    const load = new Load(host, 'a')
    const running = load.run(8)
    let kills = 0
    for (let i = 0; i < KILLS_OF_A_TENANT; i++) {
      await sleep(400 + ((i * 97) % 300))
      if (killed()) kills += 1
      await load.acknowledgedAfter(performance.now())
    }
    // A slow machine appends few records between the kills.
    await expect.poll(() => load.count).toBeGreaterThan(100)
    load.stop()
    await running
    await load.check(true)
    // A tile of the second tree that is being sealed has no attribute yet.
    await keepTree(of(host, 'a'))
    expect(kills).toBe(KILLS_OF_A_TENANT)
    expect(await sealed()).toMatchObject({ sealed_immutable: true, tail_append_only: true })
    expect((await doctor('--config', host.file)).report.ok).toBe(true)
    console.log(`${load.count} acknowledged, ${kills} kills`)
  })

  it('reports a removed attribute, and sets it again at the next start', async () => {
    const take = (flag: string, file: string): number | null =>
      spawnSync('chattr', [flag, join(root, file)]).status
    expect(take('-i', 'a/origin')).toBe(0)
    expect(take('-i', `a/${bundlePath(1)}`)).toBe(0)
    await expect.poll(async () => (await protections()).sealed_immutable).toBe(false)
    const { code, report } = await doctor('--config', host.file, '--module-id', 'a')
    expect([code, report.ok]).toEqual([1, false])
    expect(inForce(report, 'a')).toMatchObject({ 'sealed-immutable': 'partly', 'tail-append-only': 'yes' })
    const found = report.tenants[0]?.findings.find(({ check }) => check === 'sealed-immutable')
    expect(found).toMatchObject({
      wrong: true,
      found: expect.stringContaining(`not origin, ${bundlePath(1)}`),
    })

    const tail = `a/tail/${readdirSync(join(root, 'a/tail')).sort().at(-1)}`
    expect(take('-a', tail)).toBe(0)
    await expect.poll(async () => (await protections()).tail_append_only).toBe(false)
    expect(inForce((await doctor('--config', host.file)).report, 'a')['tail-append-only']).not.toBe('yes')

    expect(killed()).toBe(true)
    expect(await sealed()).toMatchObject({ sealed_immutable: true, tail_append_only: true })
    await fill(of(host, 'a'), 1, 'again')
    expect((await doctor('--config', host.file)).code).toBe(0)
  })

  it('exports, restores and verifies a ledger that has attributes', async () => {
    const out = join(host.dir, 'export')
    const exported = await serviceFsCommand(['export', join(root, 'a'), '--out', out])
    expect(exported.code, exported.stderr).toBe(0)
    mkdirSync(join(path, 'restored'))
    const restored = await serviceFsCommand([
      'restore',
      out,
      '--out',
      join(path, 'restored/a'),
      '--module-id',
      'a',
    ])
    expect(restored.code, restored.stderr).toBe(0)
    for (const dir of [join(root, 'a'), join(path, 'restored/a')]) {
      const verified = await serviceFsCommand(['verify', dir, '--json'])
      expect(verified.stdout).toContain('"ok":true')
    }
  })

  it('lets root remove a ledger only after chattr -R -i -a', async () => {
    await host.kill()
    refused('rm', ['-rf', join(root, 'b')])
    expect(readdirSync(join(root, 'b/tile/entries'))).toContain('000.b64')
    expect(spawnSync('chattr', ['-R', '-i', '-a', join(root, 'b')]).status).toBe(0)
    expect(spawnSync('rm', ['-rf', join(root, 'b')]).status).toBe(0)
  })
})

async function reported(daemon: Daemon): Promise<Protections> {
  return ((await (await daemon.fetch('/readyz')).json()) as { protections: Protections }).protections
}

/** Waits until the daemon, which examines its files at most once a second, has sealed all records and reports these protections. */
async function reports(daemon: Daemon, expected: Partial<Protections>): Promise<void> {
  await expect.poll(() => reported(daemon)).toMatchObject(expected)
}

describe.skipIf(why !== '')(`one daemon run by root${why}`, () => {
  it('sets attributes by itself, also on existing files', async () => {
    let daemon = await startDaemon({ moduleId: 'own', root: path })
    try {
      await fill(daemon, 600, 'first')
      await sleep(1100)
      expect(await reported(daemon)).toMatchObject({
        sealed_immutable: false,
        tail_append_only: false,
        set_by: 'nobody',
      })
      expect((await doctor('--root', path, '--module-id', 'own')).report.ok).toBe(true)
      daemon = await daemon.restart({ args: ['--immutable', 'required'] })
      await reports(daemon, { sealed_immutable: true, set_by: 'daemon', daemon_may_clear: true })
      expect((await reported(daemon)).checked?.all).toBe(true)
      await fill(daemon, 300, 'second')
      await sleep(1100)
      await reports(daemon, { sealed_immutable: true, tail_append_only: true })
      const { code, report } = await doctor('--root', path, '--module-id', 'own')
      expect([code, inForce(report, 'own')['sealed-immutable']]).toEqual([0, 'yes'])
      // Without the capability, the host accepts existing attributes, and reports that new files lack them.
      daemon = await daemon.restart({ args: [] })
      await fill(daemon, 300, 'third')
      await daemon.kill('SIGKILL')
      daemon = await daemon.restart({ args: [] })
      expect((await (await daemon.fetch('/v1/records/third-299')).json()) as object).toMatchObject({
        cursor: 1200,
      })
      await daemon.kill()
      expect((await doctor('--root', path, '--module-id', 'own')).code).toBe(1)
      const verified = await serviceFsCommand(['verify', daemon.dir, '--json'])
      expect(verified.stdout).toContain('"ok":true')
    } finally {
      await daemon.dispose()
    }
  })

  it('sets attributes on the files of an existing second tree, and continues the tree with and without them', async () => {
    let daemon = await startDaemon({ moduleId: 'tree', root: path })
    const tile = (index: number): string => join(daemon.dir, `sha3-256/tile/0/00${index}.b64`)
    try {
      await fill(daemon, 600, 'first')
      await keepTree(daemon)
      expect(spawnSync('touch', [tile(0)]).status).toBe(0)
      daemon = await daemon.restart({ args: ['--immutable', 'required'] })
      await reports(daemon, { sealed_immutable: true, set_by: 'daemon' })
      refused('rm', ['-f', tile(0)])
      await fill(daemon, 300, 'second')
      await keepTree(daemon)
      refused('rm', ['-f', tile(2)])
      await reports(daemon, { sealed_immutable: true })
      await daemon.kill('SIGKILL')
      daemon = await daemon.restart({ args: [] })
      await fill(daemon, 300, 'third')
      await keepTree(daemon)
      await daemon.kill()
      const { report } = await doctor('--root', path, '--module-id', 'tree')
      expect(inForce(report, 'tree')['sealed-immutable']).toBe('partly')
      const verified = await serviceFsCommand(['verify', daemon.dir, '--json'])
      expect(verified.stdout).toContain('"ok":true')
    } finally {
      await daemon.dispose()
    }
  })

  it(`keeps every acknowledged record when it is killed ${KILLS_OF_A_DAEMON} times`, async () => {
    let daemon = await startDaemon({ moduleId: 'killed', root: path, args: ['--immutable', 'required'] })
    try {
      const load = new Load({ fetch: (_, at, init) => daemon.fetch(at, init) }, 'killed')
      const running = load.run(16)
      for (let kill = 1; kill <= KILLS_OF_A_DAEMON; kill++) {
        await sleep(150 + ((kill * 97) % 500))
        await daemon.kill('SIGKILL')
        daemon = await daemon.restart()
      }
      await load.acknowledgedAfter(performance.now())
      load.stop()
      await running
      await load.check(true)
      await daemon.kill()
      const { code, report } = await doctor('--root', path, '--module-id', 'killed')
      expect([code, inForce(report, 'killed')['sealed-immutable']]).toEqual([0, 'yes'])
      const verified = await serviceFsCommand(['verify', daemon.dir, '--json'])
      expect(verified.stdout).toContain('"ok":true')
      console.log(`${load.count} acknowledged, ${KILLS_OF_A_DAEMON} kills of a daemon`)
    } finally {
      await daemon.dispose()
    }
  })

  it('sets attributes on a copied ledger', async () => {
    let daemon = await startDaemon({ moduleId: 'copied', root: path })
    await fill(daemon, 600, 'first')
    await daemon.kill()
    cpSync(daemon.dir, `${daemon.dir}-copy`, { recursive: true })
    renameSync(daemon.dir, `${daemon.dir}-original`)
    renameSync(`${daemon.dir}-copy`, daemon.dir)
    daemon = await daemon.restart({ args: ['--immutable', 'auto'] })
    await reports(daemon, { sealed_immutable: true, set_by: 'daemon' })
    await daemon.dispose()
  })
})

describe('a file system without attributes', () => {
  const ramfs = mountTest('ramfs')
  const without = typeof ramfs === 'string' ? ramfs : ''
  const dir = typeof ramfs === 'string' ? '' : ramfs.path
  afterAll(() => (typeof ramfs === 'string' ? undefined : ramfs.unmount()))

  it.skipIf(without !== '')(
    `is reported by the daemon, which does not start with --immutable required${without}`,
    async () => {
      await expect(startDaemon({ root: dir, args: ['--immutable', 'required'] })).rejects.toThrow(
        '--immutable required: the file system has no file attributes',
      )
      const daemon = await startDaemon({ root: dir, args: ['--immutable', 'auto'] })
      try {
        await fill(daemon, 300, 'first')
        const { protections } = (await (await daemon.fetch('/readyz')).json()) as { protections: Protections }
        expect(protections).toMatchObject({
          sealed_immutable: false,
          tail_append_only: false,
          set_by: 'nobody',
          reason: 'the file system has no file attributes',
          file_system: 'ramfs',
        })
        const { code, report } = await doctor('--root', dir)
        expect(code).toBe(0)
        expect(inForce(report, 'test')).toMatchObject({
          'sealed-mode': 'yes',
          'sealed-immutable': 'no',
          'sealed-names': 'no',
          'tail-append-only': 'no',
          medium: 'no',
          'not-root': 'no',
          'attributes-out-of-reach': 'no',
        })
      } finally {
        await daemon.dispose()
      }
    },
  )
})
