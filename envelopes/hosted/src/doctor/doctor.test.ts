import { chmod, mkdir, mkdtemp, readdir, rename, rm, symlink, utimes } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { emptyProgram } from '@service-fs/cli/empty-program'
import type { Io } from '@service-fs/cli/io'
import { textRecord } from '@service-fs/ledger/testing'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openTenant, type Tenant } from '../tenant/tenant.ts'
import { addDoctor } from './command.ts'
import { examine, tenantsIn } from './examine.ts'
import type { Finding } from './finding.ts'

let root: string
let tenant: Tenant
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'doctor-'))
  tenant = await openTenant({ moduleId: 'acme', root })
  await tenant.ledger.append(Array.from({ length: 300 }, (_, i) => textRecord(`r${i}`, 'text')))
})
afterEach(async () => {
  await tenant.close()
  await rm(root, { recursive: true, force: true })
})

async function findings(): Promise<Record<string, Finding>> {
  const { tenants, machine } = await examine(await tenantsIn(root), false)
  const all = [...tenants.flatMap((one) => one.findings), ...machine]
  return Object.fromEntries(all.map((one) => [one.check, one]))
}

describe('examine', () => {
  it('reports that protections are not in force when they are not set', async () => {
    await tenant.close()
    const report = await examine(await tenantsIn(root), false)
    expect(report.ok).toBe(true)
    const found = await findings()
    expect(found['sealed-mode']).toMatchObject({
      in_force: 'yes',
      found: expect.stringMatching(/^10 sealed files/),
    })
    expect(found['sealed-immutable']).toEqual({
      check: 'sealed-immutable',
      in_force: 'no',
      found: '0 of 10 sealed files',
    })
    expect(found['tail-append-only']).toMatchObject({ in_force: 'no', found: '0 of 1 tail files' })
    expect(found['directory-private']?.in_force).toBe('yes')
    expect(found['key']).toMatchObject({ in_force: 'yes', found: expect.stringContaining('mode 0600') })
  })

  it.skipIf(process.platform !== 'linux')('reports the writing process and its privileges', async () => {
    const open = await findings()
    expect(open['lock']).toMatchObject({
      in_force: 'yes',
      found: `held by process ${process.pid}, which excludes other writers`,
    })
    expect(open['not-root']?.found).toContain(`uid ${process.getuid?.()}`)
    await tenant.close()
    const closed = await findings()
    expect(closed['lock']).toMatchObject({ in_force: 'no', found: 'no process has the ledger open' })
    expect(closed['not-root']).toBe(undefined)
  })

  it('finds keys that others can read, and missing keys', async () => {
    const secret = join(root, '.secret/acme')
    await chmod(join(secret, 'ed25519.key'), 0o640)
    await rename(join(secret, 'audit-ed25519.key'), join(root, 'elsewhere'))
    await chmod(secret, 0o755)
    const found = await findings()
    expect(found['key']).toMatchObject({
      in_force: 'no',
      wrong: true,
      found: expect.stringContaining('0640'),
    })
    expect(found['audit-key']).toMatchObject({ in_force: 'no', wrong: true, found: 'is not there' })
    expect(found['key-directory']).toMatchObject({ in_force: 'no', wrong: true })
  })

  it('finds writable files, entries that are not files, and a directory open to others', async () => {
    await tenant.close()
    const tile = join(root, 'acme/tile/entries/000.b64')
    await chmod(join(root, 'acme/origin'), 0o644)
    await rename(tile, join(root, 'moved'))
    await symlink('../../../moved', tile)
    await chmod(join(root, 'acme'), 0o750)
    const found = await findings()
    expect(found['sealed-mode']).toMatchObject({
      in_force: 'partly',
      wrong: true,
      found: 'writable or not regular files: origin, tile/entries/000.b64',
    })
    expect(found['directory-private']).toMatchObject({ in_force: 'no', wrong: true })
    expect(found['separate-users']?.in_force).toBe('no')
    await rm(tile)
    await rename(join(root, 'moved'), tile)
  })

  it('finds a clock that was set back', async () => {
    await tenant.close()
    const ahead = Date.now() / 1000 + 3600
    await utimes(join(root, 'acme/checkpoint'), ahead, ahead)
    expect((await findings())['clock']).toMatchObject({ in_force: 'no', wrong: true })
  })

  it('examines only ledgers, and changes nothing', async () => {
    await tenant.close()
    await mkdir(join(root, 'lost+found'))
    await mkdir(join(root, 'empty'))
    const before = await readdir(root, { recursive: true })
    expect((await tenantsIn(root)).map(({ moduleId }) => moduleId)).toEqual(['acme'])
    const { tenants } = await examine([{ moduleId: 'empty', root }], true)
    expect(tenants[0]?.findings).toEqual([
      { check: 'ledger', in_force: 'no', found: 'no ledger is here yet' },
    ])
    await findings()
    expect(await readdir(root, { recursive: true })).toEqual(before)
  })
})

async function run(...args: string[]): Promise<{ out: string; err: string; status: number }> {
  const said = { out: '', err: '', status: -1 }
  const io: Io = {
    out: async (text) => void (said.out += String(text)),
    err: (line) => void (said.err += line),
    stdin: async function* () {},
    terminal: undefined,
    status: (code) => void (said.status = code),
    exit: () => {
      throw new Error('exit')
    },
  }
  const program = emptyProgram()
  addDoctor(program, io)
  await program.parseAsync(['doctor', ...args], { from: 'user' })
  return said
}

describe('service-fs doctor', () => {
  it('prints one line per finding, or JSON, and exits with status 1 when something is wrong', async () => {
    await tenant.close()
    const good = await run('--root', root)
    expect(good).toMatchObject({ status: 0, err: '' })
    expect(good.out).toContain('  no       sealed-immutable         0 of 10 sealed files\n')
    expect(good.out).toMatch(/Nothing is wrong\.\n$/)
    await chmod(join(root, '.secret/acme/ed25519.key'), 0o644)
    const bad = await run('--root', root, '--module-id', 'acme', '--json')
    expect(bad.status).toBe(1)
    expect(JSON.parse(bad.out)).toMatchObject({ ok: false, tenants: [{ module_id: 'acme' }] })
    expect((await run('--root', root)).out).toContain('! no       key ')
  })

  it.each([
    [[], 'expected --config FILE or --root DIR'],
    [['--root', '/nowhere/at/all'], 'no such file or directory'],
    [['--root', tmpdir(), '--module-id', 'A'], 'expected lower-case letters'],
    [['--config', '/nowhere/host.json'], 'host.json'],
  ])('reports what is missing: %j', async (args, message) => {
    const said = await run(...args)
    expect(said.err).toContain(message)
    expect(said.status).toBeGreaterThanOrEqual(2)
  })
})
