// Mirrors of ledgers in an S3 store.
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { at, done, exported, grownTo, makeAcme, useDirectory } from '@service-fs/cli/testing-copies'
import { cli, type TestIo } from '@service-fs/cli/testing'
import { storePlace } from '@service-fs/cli/mirror/store-place'
import { directorySource } from '@service-fs/cli/mirror/copy-source'
import { VerifiedCopy } from '@service-fs/cli/mirror/verified-copy'
import { directoryFiles } from '@service-fs/client/ledger-files'
import { filesBelow, testRecords, testSigner } from '@service-fs/client/testing'
import { Trust } from '@service-fs/client/trust'
import { expect, it, vi } from 'vitest'
import { serviceFsCommand } from '../support/daemon.ts'
import { StoredCopy, isSealed } from './objects.ts'
import { OneAtATime } from './proxy.ts'
import { describeStore, useStore } from './store.ts'

const VKEY = testSigner().vkey
const once = ['--once', '--vkey', VKEY]
const locked = [...once, '--retain', '3']
const unlocked = [...once, '--no-retain']
const DAY = 86_400_000

/** Returns the sealed files. */
function sealed(files: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(files).filter(([name]) => isSealed(name) && name !== 'lock'))
}

const refused = async (...args: string[]): Promise<[number | undefined, string]> => {
  const io: TestIo = await cli('mirror', ...args)
  return [io.code, io.errors.join()]
}

describeStore('a mirror in versitygw', () => {
  useDirectory()
  const store = useStore({ plain: { lock: false }, locked: { lock: true } })

  const copyAt = (path: string): StoredCopy => new StoredCopy(store(), path)
  it('the mirror has the files of a mirror in a directory at each size, and can be read back', async () => {
    const copy = copyAt('locked/sizes/acme')
    for (const size of [0, 1, 256, 300, 512, 1100]) {
      const source = await grownTo(size, Math.min(size, 300))
      const io = await done('mirror', source, copy.place, ...locked, '--json')
      expect(JSON.parse(io.text())).toMatchObject({
        size,
        pinned: true,
        audit: { size: Math.min(size, 300) },
      })
      await done('mirror', source, at('directory'), ...once)
      const { lock: _, ...files } = await filesBelow(at('directory'))
      expect(await copy.files()).toEqual(files)
      await done('verify', copy.place, '--vkey', VKEY)
      expect(await exported(copy.place, `copy-${size}`)).toEqual(await exported(source, `source-${size}`))
    }
    const io = await done('mirror', at('acme-1100-300'), copy.place, ...locked)
    expect(io.text()).toContain('added 0 bundles, 0 hash tiles, 0 bytes; key pinned by --vkey')
    await done('mirror', copy.place, at('back'), ...once)
    expect(await filesBelow(at('back'))).toMatchObject(sealed(await copy.files()))
    await done('restore', copy.place, '--out', at('restored'))
    await done('verify', at('restored'), '--vkey', VKEY)
    await done('export', copy.place, '--out', at('all.tar'))
  })

  it('the mirror locks each sealed object, and no other one', async () => {
    const copy = copyAt('locked/locks')
    await done('mirror', await grownTo(600), copy.place, ...locked)
    const names = await copy.names()
    expect(names).toContain('tile/entries/001.b64')
    expect(names).toContain('audit/tail/000000000000')
    for (const one of names) {
      const lock = await copy.lockOf(one)
      expect([one, lock?.mode]).toEqual([one, isSealed(one) ? 'COMPLIANCE' : undefined])
      if (lock !== undefined) expect(lock.until).toBeGreaterThan(Date.now() + 2 * DAY)
    }
    const versions = await store().send('GET', 'locked?versions&prefix=locks/tile/entries/001.b64')
    const [, version = ''] = /<VersionId>([^<]+)</.exec(versions) ?? []
    expect(version).not.toBe('')
    await expect(
      store().send('DELETE', `locked/locks/tile/entries/001.b64?versionId=${version}`),
    ).rejects.toThrow('403')
    const other = copyAt('locked/governance')
    await done('mirror', await grownTo(9), other.place, ...locked, '--retain-mode', 'GOVERNANCE')
    expect((await other.lockOf('origin'))?.mode).toBe('GOVERNANCE')
  })

  it('mirror asks how to lock the objects, and for a bucket that can', async () => {
    const source = await grownTo(9)
    const { place } = copyAt('plain/asks')
    expect(await refused(source, place, ...once)).toEqual([
      2,
      expect.stringContaining('expected --retain, or --no'),
    ])
    expect(await refused(source, place, ...locked)).toEqual([
      3,
      'service-fs: plain: expected a bucket with Object Lock, found one without',
    ])
    expect(await refused(source, at('copy'), ...locked)).toEqual([2, expect.stringContaining('--retain: ')])
    expect(await refused(source, place, ...once, '--retain', '40000')).toEqual([
      2,
      'service-fs: --retain: expected at most 36525 days, found 40000',
    ])
    expect(await copyAt('plain/asks').names()).toEqual([])
    await done('mirror', source, place, ...unlocked)
    const begun = copyAt('locked/begun')
    await done('mirror', source, begun.place, ...unlocked)
    const files = await begun.files()
    expect(await refused(source, begun.place, ...locked)).toEqual([
      3,
      'service-fs: begun/origin: expected an object with a lock, found one without',
    ])
    expect(await begun.files()).toEqual(files)
  })

  it('the mirror never mixes with another ledger, other objects, or its source', async () => {
    const copy = copyAt('plain/mixed')
    const source = await grownTo(300)
    await done('mirror', source, copy.place, ...unlocked)
    const files = await copy.files()
    const other = testSigner('example.org/ledger/other')
    await makeAcme({ records: testRecords(9), origin: 'example.org/ledger/other' })
    expect(await refused(at('acme'), copy.place, '--once', '--no-retain', '--vkey', other.vkey)).toEqual([
      1,
      'service-fs: s3://plain/mixed: expected a copy of "example.org/ledger/other", found "example.org/ledger/test"',
    ])
    await copyAt('plain/foreign').overwrite('notes', 'text')
    expect(await refused(source, copyAt('plain/foreign').place, ...unlocked)).toEqual([
      3,
      expect.stringContaining('s3://plain/foreign: expected a copy of a ledger or an empty directory'),
    ])
    for (const one of [copy.place, `s3://plain/mixed/below?endpoint=${store().url}`])
      expect(await refused(copy.place, one, ...unlocked)).toEqual([
        2,
        expect.stringContaining('expected a directory apart from the source'),
      ])
    expect(await copy.files()).toEqual(files)
  })

  it('the mirror does not change when the source rolled back or forked', async () => {
    const copy = copyAt('locked/forks')
    await done('mirror', await grownTo(600), copy.place, ...locked)
    const files = await copy.files()
    const rolledBack = await grownTo(400)
    await makeAcme({
      records: testRecords(900).map((content, i) => (i < 590 ? content : { ...content, id: `other/${i}` })),
    })
    for (const [source, message] of [
      [rolledBack, 's3://locked/forks: holds "example.org/ledger/test" with size 600'],
      [at('acme'), 'the source forked: its tree of size 900 does not contain that tree'],
    ] as const)
      expect(await refused(source, copy.place, ...locked)).toEqual([1, expect.stringContaining(message)])
    expect(await copy.files()).toEqual(files)
  })

  it('the mirror fails when another process changes the same copy', async () => {
    const copy = copyAt('locked/two')
    const first = new VerifiedCopy({
      place: storePlace(copy.objects),
      trust: Trust.pinned({ vkeys: [VKEY] }),
      withoutAudit: false,
    })
    const update = async (source: string): Promise<unknown> =>
      first.update(directorySource(directoryFiles(source)))
    await update(await grownTo(300))
    await done('mirror', await grownTo(600), copy.place, ...unlocked)
    const files = await copy.files()
    await expect(update(await grownTo(700))).rejects.toMatchObject({
      code: 'changed',
      message: expect.stringContaining('another process changed it'),
    })
    expect(await copy.files()).toEqual(files)
    // A run reads the copy anew after a failure.
    await update(at('acme-700-30'))
    await done('verify', copy.place, '--vkey', VKEY)
  })

  it('the mirror is whole after two processes begin it at the same time', async () => {
    const copy = copyAt('locked/race')
    const source = await grownTo(600)
    const proxy = new OneAtATime(store().url)
    await proxy.listen()
    const { place } = new StoredCopy(store(), 'locked/race', proxy.url)
    const both = await Promise.all([1, 2].map(() => cli('mirror', source, place, ...locked)))
    proxy.close()
    expect(both.map(({ code }) => code)).toContain(0)
    for (const { code, errors } of both)
      if (code !== 0) expect([code, errors.join()]).toEqual([3, expect.stringContaining('changed it')])
    await done('mirror', source, copy.place, ...locked)
    await done('verify', copy.place, '--vkey', VKEY)
  })

  it('the mirror shows each damage to verify', async () => {
    const copy = copyAt('locked/damage')
    await done('mirror', await grownTo(600), copy.place, ...locked)
    const found = async (): Promise<string> => {
      const io = await cli('verify', copy.place, '--vkey', VKEY)
      expect(io.code).toBe(1)
      return io.errors.join()
    }
    const names = [
      'tile/entries/001.b64',
      'tile/0/000.b64',
      'tail/000000000512',
      'origin',
      'keys/ed25519.vkey',
    ]
    for (const one of [...names, 'audit/checkpoint']) {
      const text = await copy.text(one)
      const middle = text.length >> 1
      const changed = text[middle] === 'A' ? 'B' : 'A'
      await copy.overwrite(one, text.slice(0, middle) + changed + text.slice(middle + 1))
      expect(await found()).toContain(one.replace('audit/', ''))
      await copy.overwrite(one, text)
    }
    await done('verify', copy.place, '--vkey', VKEY)
    await copy.overwrite('tile/notes', 'text')
    expect(await found()).toContain('tile/notes')
    await copy.hide('tile/notes')
    const text = await copy.text('tile/entries/000.b64')
    await copy.hide('tile/entries/000.b64')
    expect(await found()).toContain('tile/entries/000.b64')
    await copy.overwrite('tile/entries/000.b64', text)
    await done('verify', copy.place, '--vkey', VKEY)
  })

  it('repair takes the files of a damaged ledger from the mirror', async () => {
    const { place } = copyAt('locked/repair')
    const source = await grownTo(600)
    await done('mirror', source, place, ...locked)
    const intact = await filesBelow(source)
    await writeFile(join(source, 'tile/0/001.b64'), 'damaged')
    await done('repair', source, '--from', place, '--vkey', VKEY)
    expect(sealed(await filesBelow(source))).toEqual(sealed(intact))
  })

  it('mirror shows no secret, in the arguments, in errors or in reports', async () => {
    const source = await grownTo(9)
    const { place } = copyAt('plain/secret')
    const secrets = { AWS_ACCESS_KEY_ID: 'test', AWS_SECRET_ACCESS_KEY: 'hunter2-other' }
    const { code, stdout, stderr } = await serviceFsCommand(['mirror', source, place, ...unlocked], {
      env: secrets,
    })
    expect([code, stdout]).toEqual([3, ''])
    expect(stderr).toContain('the store refused it: status 403')
    expect(stderr).not.toMatch(/hunter2|[Ss]ignature=/)
    for (const variable of Object.keys(store().env)) vi.stubEnv(variable, undefined)
    expect(await refused(source, place, ...unlocked)).toEqual([2, expect.stringContaining('expected AWS_')])
    const { accessKeyId, secretAccessKey } = store().credentials
    const profile = `[default]\naws_access_key_id=${accessKeyId}\naws_secret_access_key=${secretAccessKey}\n`
    await writeFile(at('credentials'), profile, { mode: 0o600 })
    vi.stubEnv('AWS_SHARED_CREDENTIALS_FILE', at('credentials'))
    await done('mirror', source, place, ...unlocked)
    vi.stubEnv('AWS_SHARED_CREDENTIALS_FILE', undefined)
  })
})
