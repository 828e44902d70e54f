import {
  chmod,
  chown,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  realpath,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { parseHostConfig, type HostConfig, type TenantConfig } from './config.ts'
import { prepareRoot, prepareRun, prepareSocket, prepareTenant } from './directories.ts'
import { isEmptyDirectory } from './files.ts'
import { isRoot, Users } from './uids.ts'

const why = isRoot() ? '' : ' (skipped: not root)'

let dir: string
let config: HostConfig
beforeEach(async () => {
  dir = await realpath(await mkdtemp(join(tmpdir(), 'host-dirs-')))
  config = parseHostConfig('{"root": "root", "run": "run"}', join(dir, 'host.json'))
  await prepareRoot(config)
  await prepareRun(config)
})
afterEach(() => rm(dir, { recursive: true }))

const look = async (path: string): Promise<string> => {
  const { mode, uid, gid } = await stat(join(dir, path))
  return `${(mode & 0o7777).toString(8)} ${uid} ${gid}`
}

const refused = (message: string) => ({ code: 'config', message: expect.stringContaining(message) })

describe.skipIf(!isRoot())(`as root${why}`, () => {
  it('rejects host directories that root does not own', async () => {
    for (const path of ['root', 'root/.secret', 'run']) {
      await chown(join(dir, path), 70_100, 70_100)
      const prepared = async (): Promise<void> => {
        await prepareRoot(config)
        await prepareRun(config)
      }
      await expect(prepared()).rejects.toMatchObject(
        refused(`${path}: expected the owner root, found uid 70100`),
      )
      await chown(join(dir, path), 0, 0)
      await prepared()
    }
  })

  it('creates directories and keys that only the tenant can access', async () => {
    const owner = await new Users(config).ownerOf({ moduleId: 'acme' })
    expect(owner).toEqual({ uid: 70_100, gid: 70_100 })
    const { hasNewKeys } = await prepareTenant(
      config,
      { moduleId: 'acme', origin: 'example.org/acme' },
      owner,
    )
    expect(hasNewKeys).toBe(true)
    await prepareSocket(config, 'acme', owner)
    expect(await Promise.all(['root', 'root/.secret', 'root/.host', 'run', 'run/.host'].map(look))).toEqual([
      '711 0 0',
      '711 0 0',
      '700 0 0',
      '711 0 0',
      '700 0 0',
    ])
    const theirs = ['root/acme', 'root/.secret/acme', 'root/.secret/acme/ed25519.key', 'run/acme']
    expect(await Promise.all(theirs.map(look))).toEqual([
      '700 70100 70100',
      '700 70100 70100',
      '600 70100 70100',
      '2710 70100 70099',
    ])
    expect((await readdir(join(dir, 'root/.secret'))).toSorted()).toEqual(['acme'])
    // A second call changes nothing.
    const key = await readFile(join(dir, 'root/.secret/acme/ed25519.key'))
    expect(await new Users(config).ownerOf({ moduleId: 'acme' })).toEqual(owner)
    expect(await prepareTenant(config, { moduleId: 'acme' }, owner)).toEqual({ hasNewKeys: false })
    expect(await readFile(join(dir, 'root/.secret/acme/ed25519.key'))).toEqual(key)
  })

  it('gives no user to two tenants, even after one was removed from the configuration', async () => {
    for (const [moduleId, uid] of [
      ['a', 70_100],
      ['b', 70_101],
    ] as const) {
      const owner = await new Users(config).ownerOf({ moduleId })
      expect(owner.uid).toBe(uid)
      await prepareTenant(config, { moduleId }, owner)
    }
    const listed: TenantConfig[] = [{ moduleId: 'c', uid: 70_102 }]
    expect((await new Users({ ...config, tenants: listed }).ownerOf({ moduleId: 'd' })).uid).toBe(70_103)
    await rm(join(dir, 'root/a'), { recursive: true })
    expect((await new Users(config).ownerOf({ moduleId: 'd' })).uid).toBe(70_102)
    expect((await new Users(config).ownerOf({ moduleId: 'a' })).uid).toBe(70_100)
    const full = { ...config, uids: { from: 70_100, to: 70_101 } }
    await expect(new Users(full).ownerOf({ moduleId: 'd' })).rejects.toMatchObject({ code: 'config' })
    await expect(new Users(config).ownerOf({ moduleId: 'd', uid: 70_099 })).rejects.toMatchObject({
      code: 'config',
    })
  })

  it('uses an empty mount point as the directory of a tenant', async () => {
    await mkdir(join(dir, 'root/acme/lost+found'), { recursive: true })
    const owner = await new Users(config).ownerOf({ moduleId: 'acme' })
    await prepareTenant(config, { moduleId: 'acme' }, owner)
    expect(await look('root/acme')).toBe('700 70100 70100')
    expect(await readdir(join(dir, 'root/acme'))).toEqual(['lost+found'])
  })

  it('rejects foreign, accessible or linked directories, and a ledger without its keys', async () => {
    const owner = { uid: 70_100, gid: 70_100 }
    const acme = { moduleId: 'acme' }
    await mkdir(join(dir, 'root/acme'))
    await writeFile(join(dir, 'root/acme/origin'), 'x\n')
    await expect(new Users(config).ownerOf(acme)).rejects.toMatchObject(refused('chown -hR UID:GID'))
    await chown(join(dir, 'root/acme'), 64_200, 64_200)
    expect(await new Users(config).ownerOf(acme)).toEqual({ uid: 64_200, gid: 64_200 })
    await expect(prepareTenant(config, acme, owner)).rejects.toMatchObject(
      refused('expected the owner uid 70100'),
    )
    await chown(join(dir, 'root/acme'), 70_100, 70_100)
    await chmod(join(dir, 'root/acme'), 0o755)
    await expect(prepareTenant(config, acme, owner)).rejects.toMatchObject(
      refused('expected mode 0700, found 0755'),
    )
    await chmod(join(dir, 'root/acme'), 0o700)
    await expect(prepareTenant(config, acme, owner)).rejects.toMatchObject({ code: 'key' })
    expect(await readdir(join(dir, 'root/.secret'))).toEqual([])
    await symlink('/etc', join(dir, 'root/bolt'))
    await expect(new Users(config).ownerOf({ moduleId: 'bolt' })).rejects.toMatchObject(
      refused('expected a directory'),
    )
    await symlink('/etc', join(dir, 'run/bolt'))
    await expect(prepareSocket(config, 'bolt', owner)).rejects.toMatchObject(refused('expected a directory'))
  })
})

it('the host creates directories that only the owner can access when not root', async () => {
  await prepareTenant(config, { moduleId: 'acme' })
  await prepareSocket(config, 'acme')
  const modes = await Promise.all(['root/acme', 'root/.secret/acme', 'run/acme'].map(look))
  expect(modes.map((found) => found.split(' ')[0])).toEqual(['700', '700', '700'])
})

it('the host ignores lost+found when it checks whether a directory is empty', async () => {
  const full = await mkdtemp(join(tmpdir(), 'service-fs-'))
  try {
    expect(await isEmptyDirectory(full)).toBe(true)
    await mkdir(join(full, 'lost+found'))
    expect(await isEmptyDirectory(full)).toBe(true)
    for (let i = 0; i < 100; i++) await writeFile(join(full, `f${i}`), '')
    expect(await isEmptyDirectory(full)).toBe(false)
  } finally {
    await rm(full, { recursive: true })
  }
})
