// Mirrors of ledgers in directories and over HTTP. test/copies follows a daemon.
import { cp, mkdir, readFile, rename, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { filesBelow, serveDirectory, testRecords, testSigner } from '@service-fs/client/testing'
import { lockLedger } from '@service-fs/storage-posix/posix'
import { describe, expect, it } from 'vitest'
import { cli } from '../testing.ts'
import { at, dir, done, exported, grownTo, makeAcme, useDirectory } from '../testing-copies.ts'

useDirectory()

const VKEY = testSigner().vkey
const once = ['--once', '--vkey', VKEY]

/** Returns the sealed files of a ledger: all but its tails and checkpoints, and the working files. */
async function sealed(place: string): Promise<Record<string, string>> {
  const all = Object.entries(await filesBelow(place))
  return Object.fromEntries(all.filter(([path]) => !/(?:^|\/)(?:tail\/.*|checkpoint|lock)$/.test(path)))
}

describe('a mirror', () => {
  it('a mirror has the sealed files of its source at each size, and the same export', async () => {
    for (const size of [0, 1, 256, 300, 512]) {
      const source = await grownTo(size, size)
      const io = await done('mirror', source, at('copy'), ...once, '--json')
      expect(JSON.parse(io.text())).toMatchObject({ size, pinned: true, audit: { size } })
      expect(await sealed(at('copy'))).toEqual(await sealed(source))
      expect(await exported(at('copy'), `copy-${size}`)).toEqual(await exported(source, `source-${size}`))
      await done('verify', at('copy'), '--vkey', VKEY)
    }
    expect((await stat(at('copy'))).mode & 0o777).toBe(0o700)
    expect((await stat(at('copy/tile/entries/001.b64'))).mode & 0o777).toBe(0o444)
  })

  it('a mirror over HTTP requests only the files that it lacks', async () => {
    await done('mirror', await grownTo(1100), at('copy'), ...once)
    const server = await serveDirectory(await grownTo(1500))
    try {
      await done('mirror', server.url, at('copy'), ...once)
      expect(server.asked.filter((path) => path.startsWith('/tile/entries'))).toEqual([
        '/tile/entries/004',
        '/tile/entries/005.p/220',
      ])
      server.asked.length = 0
      const io = await done('mirror', server.url, at('copy'), ...once)
      expect(server.asked).toEqual(['/checkpoint', '/audit/checkpoint'])
      expect(io.text()).toContain('added 0 bundles, 0 hash tiles, 0 bytes; key pinned by --vkey')
    } finally {
      await server.close()
    }
    expect(await exported(at('copy'), 'a')).toEqual(await exported(at('acme-1500-30'), 'b'))
  })

  it('mirror copies a tar archive, and leaves out the audit sub-ledger on request or if there is no audit sub-ledger', async () => {
    await done('export', await grownTo(300), '--out', at('all.tar'))
    await done('mirror', at('all.tar'), at('copy'), '--no-audit', ...once)
    await done('export', at('all.tar'), '--no-audit', '--out', at('main.tar'))
    const io = await done('mirror', at('main.tar'), at('second'), ...once)
    expect(io.text()).toContain('note: the audit sub-ledger was not copied: ')
    expect(await sealed(at('second'))).toEqual(await sealed(at('copy')))
    await done('mirror', at('all.tar'), at('second'), ...once)
    expect(await exported(at('second'), 'a')).toEqual(await exported(at('all.tar'), 'b'))
  })

  it('a mirror keeps the keys of the audit sub-ledger that it saw first', async () => {
    await done('mirror', await grownTo(300), at('copy'), ...once)
    const forged = await grownTo(400, 40)
    const other = testSigner('example.org/ledger/test/audit', 9)
    const note = await readFile(join(forged, 'audit/checkpoint'), 'utf8')
    const [text = ''] = note.split('\n\n')
    await writeFile(join(forged, 'audit/checkpoint'), `${text}\n\n${await other.sign(`${text}\n`)}`)
    await writeFile(join(forged, 'audit/keys/ed25519.vkey'), `${other.vkey}\n`)
    const tail = 'audit/tail/000000000000'
    const lines = (await readFile(join(forged, tail), 'utf8')).split('\n\n')
    await writeFile(join(forged, tail), lines.slice(0, 1).join('\n\n'))
    const before = await filesBelow(at('copy/audit'))
    const io = await cli('mirror', forged, at('copy'), ...once)
    expect([io.code, io.errors.join()]).toEqual([1, expect.stringContaining('checkpoint: ')])
    expect(await filesBelow(at('copy/audit'))).toEqual(before)
  })
})

describe('a mirror that cannot be updated', () => {
  it('a mirror keeps its audit sub-ledger, and reports a source that hides the sub-ledger', async () => {
    const source = await grownTo(300)
    await done('mirror', source, at('copy'), ...once)
    const before = await filesBelow(at('copy/audit'))
    await rm(join(source, 'audit'), { recursive: true })
    const server = await serveDirectory(source)
    try {
      for (const place of [source, server.url]) {
        const io = await cli('mirror', place, at('copy'), ...once)
        expect([io.code, io.errors.join()]).toEqual([
          1,
          expect.stringContaining(`${at('copy/audit')}: holds a copy, but the source has none: `),
        ])
        expect(await filesBelow(at('copy/audit'))).toEqual(before)
      }
    } finally {
      await server.close()
    }
    await done('mirror', source, at('copy'), '--no-audit', ...once)
  })

  it('a mirror must not be inside its source, or the source inside the mirror', async () => {
    const source = await grownTo(9)
    await symlink(source, at('link'))
    const before = await filesBelow(source)
    for (const target of [source, at('link'), join(source, 'copy'), at('link', 'copy'), dir]) {
      const io = await cli('mirror', source, target, ...once)
      expect([io.code, io.errors.join()]).toEqual([
        2,
        expect.stringContaining('expected a directory apart from the source'),
      ])
    }
    expect(await filesBelow(source)).toEqual(before)
  })

  it('a mirror does not change when the source rolled back or forked', async () => {
    await done('mirror', await grownTo(600), at('copy'), ...once)
    const before = await filesBelow(at('copy'))
    const other = testRecords(900).map((content, i) => (i < 590 ? content : { ...content, id: `other/${i}` }))
    await makeAcme({ records: other })
    await rename(at('acme'), at('fork'))
    for (const [source, message] of [
      [await grownTo(400), 'the source rolled back to size 400'],
      [at('fork'), 'the source forked: its tree of size 900 does not contain that tree'],
    ] as const) {
      const io = await cli('mirror', source, at('copy'), ...once, '--json')
      expect(io.code).toBe(1)
      const { error } = JSON.parse(io.errors.join()) as { error: { code: string; message: string } }
      expect(error.code).toBe('false')
      expect(error.message).toContain(`${at('copy')}: holds "example.org/ledger/test" with size 600`)
      expect(error.message).toContain(message)
      expect(await filesBelow(at('copy'))).toEqual(before)
    }
  })

  it('a mirror keeps its checkpoint when a tile after the checkpoint differs from the tree', async () => {
    await done('mirror', await grownTo(600), at('copy'), ...once)
    const source = await grownTo(1100)
    const other = await readFile(join(source, 'tile/0/000.b64'))
    const bundle = await readFile(join(source, 'tile/entries/000.b64'))
    for (const [path, bytes, message] of [
      ['tile/0/003.b64', other, 'tile/0/003.b64: other bytes are sealed'],
      ['tile/0/002.b64', other, `${at('copy')}: tree of size 600: expected root hash`],
      ['tile/entries/003.b64', bundle, 'tile/entries/003.b64: entry 768: expected leaf hash'],
    ] as const) {
      await writeFile(at('copy', path), bytes)
      const note = await readFile(at('copy/checkpoint'), 'utf8')
      const io = await cli('mirror', source, at('copy'), ...once)
      expect([io.code, io.errors.join()]).toEqual([1, expect.stringContaining(message)])
      expect(await readFile(at('copy', path))).toEqual(bytes)
      expect(await readFile(at('copy/checkpoint'), 'utf8')).toBe(note)
      await rm(at('copy', path))
    }
    await done('mirror', source, at('copy'), ...once)
    await done('verify', at('copy'), '--vkey', VKEY)
  })

  it.each([
    [['s3://Bucket/acme', 'copy'], 's3: bucket: expected 3 to 63 of a-z, 0-9, - and ., found Bucket'],
    [['acme-9', 's3://bucket/acme'], 'expected --retain, or --no-retain to store objects without a lock'],
    [['acme-9', 's3://bucket/acme', '--retain', '0'], '--retain: expected an integer of at least 1, found 0'],
    [['acme-9', 'copy', '--no-retain'], '--retain: expected with a mirror in an S3 store'],
    [['s3://bucket/a', 's3://bucket/a/b', '--no-retain'], 'expected a directory apart from the source'],
  ])('refuses the arguments %j', async (args, message) => {
    await grownTo(9)
    const io = await cli(
      'mirror',
      ...args.map((one) => (/^(?:acme-9|copy)$/.test(one) ? at(one) : one)),
      ...once,
    )
    expect([io.code, io.errors.join()]).toEqual([2, expect.stringContaining(message)])
  })

  it('a mirror needs a pinned key, and makes no directory for a source that does not verify', async () => {
    const source = await grownTo(9)
    const unpinned = await cli('mirror', source, at('copy'), '--once')
    expect([unpinned.code, unpinned.errors]).toEqual([2, ['service-fs: expected --vkey or --policy']])
    const { vkey } = testSigner('example.org/ledger/test', 8)
    const io = await cli('mirror', source, at('copy'), '--once', '--vkey', vkey)
    expect([io.code, io.errors.join()]).toEqual([1, expect.stringContaining('checkpoint: ')])
    await expect(stat(at('copy'))).rejects.toMatchObject({ code: 'ENOENT' })
  })

  it('mirror refuses a directory that is an export, has other files, or is in use', async () => {
    const source = await grownTo(300)
    await done('export', source, '--out', at('export'))
    const before = await filesBelow(at('export'))
    const io = await cli('mirror', source, at('export'), ...once)
    expect([io.code, io.errors]).toEqual([
      3,
      [`service-fs: ${at('export')}: expected a mirror, with a tail, found an export, without a tail`],
    ])
    expect(await filesBelow(at('export'))).toEqual(before)
    await mkdir(at('foreign'))
    await writeFile(at('foreign/notes'), 'text')
    const files = await cli('mirror', source, at('foreign'), ...once)
    expect([files.code, files.errors.join()]).toEqual([3, expect.stringContaining('found other files')])
    await cp(source, at('used'), { recursive: true })
    const lock = await lockLedger(at('used'), { write: true })
    const used = await cli('mirror', source, at('used'), ...once)
    expect([used.code, used.errors.join()]).toEqual([3, expect.stringContaining(`process ${process.pid}`)])
    await lock.release()
  })
})
