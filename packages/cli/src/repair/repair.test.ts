// Repairs of damaged ledgers in directories. The tests in test/copies repair the ledger of a daemon, and kill the command.
import { chmod, cp, mkdir, readFile, rm, stat, symlink, unlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { filesBelow, makeLedger, serveDirectory, testRecords, testSigner } from '@service-fs/client/testing'
import { lockLedger } from '@service-fs/storage-posix/posix'
import { Random } from '@service-fs/storage/random'
import { describe, expect, it } from 'vitest'
import { cli, type TestIo } from '../testing.ts'
import { at, done, grownTo, useDirectory } from '../testing-copies.ts'
import type { Finding, RepairReport } from './finding.ts'

useDirectory()

const VKEY = testSigner().vkey
/** The number of full bundles: one for each kind of damage, and a few more. */
const BUNDLES = 10
const SIZE = 256 * BUNDLES + 40
/** A number of entries that fills a tile of level 1. */
const LARGE = 65_536 + 700

async function repair(dir: string, from: string, ...more: string[]): Promise<RepairReport> {
  const io = await cli('repair', dir, '--from', from, '--json', ...more)
  const report = JSON.parse(io.text()) as RepairReport
  expect(io.code, io.text()).toBe(report.ok ? 0 : 1)
  return report
}

/** Makes a ledger of this size, with an audit sub-ledger, and a copy of it. */
async function ledgerAndMirror(size: number, auditSize: number): Promise<{ dir: string; mirror: string }> {
  const dir = await grownTo(size, auditSize)
  await cp(dir, at('mirror'), { recursive: true })
  return { dir, mirror: at('mirror') }
}

type Damage = (path: string, random: Random) => Promise<void>

async function edited(path: string, edit: (text: Buffer) => Buffer): Promise<void> {
  const text = edit(await readFile(path))
  await chmod(path, 0o600)
  await writeFile(path, text)
}

/** Swaps lines: the text keeps its form but has other contents. */
const swapLines = (text: Buffer): Buffer => {
  const lines = text.toString('latin1').split('\n')
  const [first = '', second = ''] = lines
  return Buffer.from([second, first, ...lines.slice(2)].join('\n'), 'latin1')
}

const DAMAGES: Readonly<Record<string, Damage>> = {
  missing: (path) => unlink(path),
  empty: (path) => edited(path, () => Buffer.alloc(0)),
  cut: (path, random) => edited(path, (text) => text.subarray(0, random.below(text.length))),
  longer: (path) => edited(path, (text) => Buffer.concat([text, Buffer.from('AAAA\n')])),
  'one bit': (path, random) =>
    edited(path, (text) => {
      const place = random.below(text.length)
      text[place] = (text[place] as number) ^ (1 << random.below(8))
      return text
    }),
  'other lines': (path) => edited(path, swapLines),
  'a directory': async (path) => {
    await unlink(path)
    await mkdir(path)
  },
  'a symbolic link': async (path) => {
    await unlink(path)
    await symlink('elsewhere', path)
  },
}

const sources = (files: readonly Finding[]): string[] => files.map(({ path, from }) => `${path} ${from}`)

function expectRefused(io: TestIo): void {
  expect(io.code).toBe(1)
  expect(io.errors.join('\n')).toContain('; not repaired: the source has other content, with the hash ')
}

describe('repair', () => {
  it('repair replaces bundles and tiles with any kind of damage, including in the audit sub-ledger', async () => {
    const { dir, mirror } = await ledgerAndMirror(SIZE, SIZE)
    const right = await filesBelow(dir)
    const random = new Random(20_261_130)
    const paths: string[] = []
    for (const folder of ['tile/entries', 'tile/0', 'audit/tile/entries', 'audit/tile/0']) {
      const first = random.below(BUNDLES)
      for (const [i, damage] of Object.values(DAMAGES).entries()) {
        const path = `${folder}/00${(first + i) % BUNDLES}.b64`
        await damage(join(dir, path), random)
        paths.push(path)
      }
    }
    const damaged = await filesBelow(dir)
    const planned = await repair(dir, mirror, '--dry-run')
    expect(planned).toMatchObject({ ok: false, repairable: paths.length, repaired: 0, unrepaired: 0 })
    expect(await filesBelow(dir)).toEqual(damaged)

    const report = await repair(dir, mirror, '--vkey', VKEY)
    expect(report).toMatchObject({ ok: true, repaired: paths.length, unrepaired: 0, verified: { ok: true } })
    expect(report.files.map(({ path }) => path).sort()).toEqual([...paths].sort())
    expect(await filesBelow(dir)).toEqual(right)
    for (const path of paths) expect((await stat(join(dir, path))).mode & 0o777).toBe(0o444)
    const kept = report.files.flatMap((finding) => finding.kept ?? [])
    // The missing files leave nothing to keep.
    expect(kept.length).toBe(paths.length - 4)
    const keptFiles = await filesBelow(`${dir}.damaged`)
    for (const [path, hash] of Object.entries(keptFiles)) expect(damaged[path]).toBe(hash)
  })

  it('repair replaces tiles of level 1 and the files below them, and uses intact files of the ledger itself', async () => {
    const { dir, mirror } = await ledgerAndMirror(LARGE, 30)
    const right = await filesBelow(dir)
    const damage = async (...paths: string[]): Promise<void> => {
      for (const path of paths) await edited(join(dir, path), swapLines)
    }

    // If the tiles of level 0 and their bundles are damaged, only the source has their hashes.
    await damage('tile/1/000.b64', 'tile/entries/007.b64', 'tile/0/007.b64', 'tile/0/256.b64')
    expect(sources((await repair(dir, mirror)).files)).toEqual([
      'tile/1/000.b64 source',
      'tile/entries/007.b64 source',
      'tile/0/007.b64 ledger',
      'tile/0/256.b64 ledger',
    ])
    expect(await filesBelow(dir)).toMatchObject(right)

    // This source has no hash tiles, so only its bundles can be used.
    await damage('tile/1/000.b64', 'tile/0/009.b64', 'tile/entries/256.b64')
    await rm(join(mirror, 'tile/1'), { recursive: true })
    await rm(join(mirror, 'tile/0'), { recursive: true })
    await unlink(join(mirror, 'tile/entries/009.b64'))
    expect(sources((await repair(dir, mirror)).files)).toEqual([
      'tile/1/000.b64 ledger',
      'tile/0/009.b64 ledger',
      'tile/entries/256.b64 source',
    ])
    expect(await filesBelow(dir)).toMatchObject(right)
  })

  it('repair replaces the files that a source has, whether the source is behind or ahead', async () => {
    for (const size of [700, 1500]) {
      const dir = await grownTo(1100, 30)
      const source = await grownTo(size, 31)
      await edited(join(dir, 'tile/entries/001.b64'), swapLines)
      await edited(join(dir, 'tile/0/001.b64'), swapLines)
      await edited(join(dir, 'tile/entries/003.b64'), swapLines)
      const report = await repair(dir, source)
      expect(report.files.map(({ path, outcome }) => [path, outcome])).toEqual([
        ['tile/entries/001.b64', 'repaired'],
        ['tile/0/001.b64', 'repaired'],
        ['tile/entries/003.b64', size === 700 ? 'unrepaired' : 'repaired'],
      ])
      if (size === 700) expect(report.files[2]?.reason).toContain('the source has none: ')
      await rm(dir, { recursive: true })
      await rm(source, { recursive: true })
      await rm(`${dir}.damaged`, { recursive: true })
    }
  })

  it('repair reads the right bytes from an archive, an export or a URL', async () => {
    const { dir, mirror } = await ledgerAndMirror(700, 300)
    const right = await filesBelow(dir)
    await done('export', mirror, '--out', at('export.tar'))
    await done('export', mirror, '--out', at('export'))
    const server = await serveDirectory(mirror)
    try {
      for (const place of [at('export.tar'), at('export'), server.url]) {
        await edited(join(dir, 'tile/entries/001.b64'), swapLines)
        await unlink(join(dir, 'audit/tile/entries/000.b64'))
        expect(await repair(dir, place)).toMatchObject({ ok: true, repaired: 2 })
        expect(await filesBelow(dir)).toEqual(right)
      }
      server.asked.length = 0
      expect(await repair(dir, server.url)).toMatchObject({ ok: true, repaired: 0, files: [] })
      expect(server.asked).toEqual([])
    } finally {
      await server.close()
    }
    expect(Object.keys(await filesBelow(`${dir}.damaged`))).toEqual([
      'tile/entries/001.b64',
      'tile/entries/001.b64.2',
      'tile/entries/001.b64.3',
    ])
  })

  it('repairs a ledger with a tail file for each commit', async () => {
    await makeLedger(at('each'), { records: testRecords(700), tail: 'each', commit: 60 })
    const right = await filesBelow(at('each'))
    await cp(at('each'), at('mirror'), { recursive: true })
    await edited(at('each/tile/entries/001.b64'), swapLines)
    await edited(at('each/tile/0/000.b64'), swapLines)
    expect(await repair(at('each'), at('mirror'))).toMatchObject({ ok: true, repaired: 2 })
    expect(await filesBelow(at('each'))).toEqual(right)
  })
})

describe('a source that lies', () => {
  it('repair refuses a source that forked, though the same key signed it', async () => {
    const dir = await grownTo(1100)
    const records = testRecords(1100).map((record, i) => (i < 300 ? record : { ...record, id: `other/${i}` }))
    await makeLedger(at('fork'), { records })
    await edited(join(dir, 'tile/entries/002.b64'), swapLines)
    await unlink(join(dir, 'tile/entries/000.b64'))
    const before = await filesBelow(dir)
    const io = await cli('repair', dir, '--from', at('fork'))
    expectRefused(io)
    expect(io.text()).toContain('tile/entries/000.b64: expected ')
    const after = await filesBelow(dir)
    delete after['tile/entries/000.b64']
    expect(after).toEqual(before)
    expect(await filesBelow(`${dir}.damaged`).catch(() => ({}))).toEqual({})
  })

  it('repair refuses a source with a different bundle of the right length', async () => {
    const { dir, mirror } = await ledgerAndMirror(600, 30)
    await edited(join(mirror, 'tile/entries/000.b64'), swapLines)
    await edited(join(mirror, 'tile/0/000.b64'), swapLines)
    await edited(join(dir, 'tile/entries/000.b64'), (text) => text.subarray(9))
    const before = await filesBelow(dir)
    expectRefused(await cli('repair', dir, '--from', mirror))
    expect(await filesBelow(dir)).toEqual(before)
  })

  it('repair does not read the tail of a source: a damaged tail proves nothing', async () => {
    const { dir, mirror } = await ledgerAndMirror(600, 300)
    await edited(join(dir, 'tail/000000000512'), (text) => text.subarray(0, 90))
    await edited(join(dir, 'tile/entries/000.b64'), swapLines)
    await unlink(join(dir, 'audit/tile/0/000.b64'))
    const report = await repair(dir, mirror)
    expect(report).toMatchObject({ ok: false, repaired: 1, unrepaired: 1 })
    expect(report.files[0]).toMatchObject({ path: 'tail', outcome: 'unrepaired' })
    expect(report.files[0]?.reason).toContain('only an intact tail proves the sealed files')
    expect(report.files[1]).toMatchObject({
      path: 'audit/tile/0/000.b64',
      outcome: 'repaired',
      from: 'ledger',
    })
  })
})

describe('repair refuses', () => {
  it('a ledger that a process uses', async () => {
    const { dir, mirror } = await ledgerAndMirror(300, 30)
    await unlink(join(dir, 'tile/0/000.b64'))
    const lock = await lockLedger(dir, { write: true })
    try {
      const io = await cli('repair', dir, '--from', mirror)
      expect([io.code, io.errors]).toEqual([
        3,
        [`service-fs: ${dir}: lock: process ${process.pid} writes to this ledger: stop the daemon first`],
      ])
    } finally {
      await lock.release()
    }
    expect(await repair(dir, mirror)).toMatchObject({ ok: true, repaired: 1 })
  })

  it('an export, the source itself, and unusable directories', async () => {
    const { dir, mirror } = await ledgerAndMirror(300, 30)
    await done('export', dir, '--out', at('export'))
    const cases: [args: string[], code: number, error: string][] = [
      [[dir], 2, 'expected --from'],
      [[dir, '--from', dir], 2, 'expected a directory apart from the source'],
      [[dir, '--from', mirror, '--damaged', join(dir, 'tmp')], 2, '--damaged: expected a directory outside'],
      [[at('none'), '--from', mirror], 3, 'expected a ledger, found no file origin'],
      [[dir, '--from', at('none')], 3, 'ENOENT'],
      [[at('export'), '--from', mirror], 1, 'expected a ledger or a mirror, with a tail, found none'],
      [[dir, '--from', mirror, '--vkey', testSigner('example.org/other').vkey], 1, 'not repaired: '],
    ]
    for (const [args, code, error] of cases) {
      const io = await cli('repair', ...args)
      expect([io.code, io.errors.join('\n')], args.join(' ')).toEqual([code, expect.stringContaining(error)])
    }
  })
})
