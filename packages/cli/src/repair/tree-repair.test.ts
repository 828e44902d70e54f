// Repairs of the second trees of damaged ledgers in directories. The tests in test/copies repair the ledger of a daemon.
import { chmod, cp, mkdir, readFile, rename, rm, stat, unlink, writeFile } from 'node:fs/promises'
import { filesBelow, makeLedger, testRecords } from '@service-fs/client/testing'
import { bindingRecord, makeBoundLedger, writeSecondTree } from '@service-fs/client/testing-second-tree'
import { verifyDirectory } from '@service-fs/client/verify-directory'
import { entriesOf } from '@service-fs/format/entry'
import { sha256Hex } from '@service-fs/native/native'
import { describe, expect, it } from 'vitest'
import { cli } from '../testing.ts'
import { at, useDirectory } from '../testing-copies.ts'
import type { RepairReport } from './finding.ts'

useDirectory()

async function repair(...more: string[]): Promise<RepairReport> {
  const io = await cli('repair', at('acme'), '--from', at('mirror'), '--json', ...more)
  const report = JSON.parse(io.text()) as RepairReport
  expect(io.code, io.text()).toBe(report.ok ? 0 : 1)
  return report
}

type Bound = Omit<Parameters<typeof makeBoundLedger>[1], 'algorithm'>

/** Makes a ledger with a second tree, and a copy of it without the tree. */
async function bound(
  ledger: Bound,
  algorithm: 'sha3-256' | 'sha2-512' | 'blake3' = 'sha3-256',
): Promise<void> {
  await makeBoundLedger(at('acme'), { ...ledger, algorithm })
  await cp(at('acme'), at('mirror'), { recursive: true })
  await rm(at('mirror', algorithm), { recursive: true })
}

async function edited(path: string, edit: (text: Buffer) => Buffer): Promise<void> {
  const text = edit(await readFile(at('acme', path)))
  await chmod(at('acme', path), 0o600)
  await writeFile(at('acme', path), text)
}

/** Swaps two lines: the text keeps its form but has other contents. */
function swapLines(path: string): Promise<void> {
  return edited(path, (text) => {
    const [first = '', second = '', ...others] = text.toString('latin1').split('\n')
    return Buffer.from([second, first, ...others].join('\n'), 'latin1')
  })
}

function cut(path: string): Promise<void> {
  return edited(path, (text) => text.subarray(0, 100))
}

function outcomes({ files }: RepairReport): string[] {
  return files.map(({ path, outcome, from }) => [path, outcome, from].join(' ').trim())
}

async function tree(): Promise<Record<string, string>> {
  const files = await filesBelow(at('acme'))
  return Object.fromEntries(Object.entries(files).filter(([path]) => path.startsWith('sha3-256/')))
}

describe('repair of a second tree', () => {
  it.each(['sha3-256', 'sha2-512', 'blake3'] as const)(
    'repair computes the damaged files of a tree with %s from the entries',
    async (algorithm) => {
      await bound({ before: 1500, after: 60 }, algorithm)
      const right = await filesBelow(at('acme'))
      const path = (name: string): string => `${algorithm}/${name}`
      await swapLines(path('tile/0/000.b64'))
      await cut(path('tile/0/001.b64'))
      await unlink(at('acme', path('tile/0/002.b64')))
      await unlink(at('acme', path('tile/0/003.b64')))
      await mkdir(at('acme', path('tile/0/003.b64')))
      await edited(path('tile/0/004.b64'), (text) => Buffer.concat([text, text.subarray(0, 45)]))
      await edited(path('origin'), () => Buffer.from('example.org/other\n'))
      await rm(at('acme', path('keys')), { recursive: true })
      const damaged = await filesBelow(at('acme'))
      const paths = ['origin', 'keys/ed25519.vkey', ...[0, 1, 2, 3, 4].map((i) => `tile/0/00${i}.b64`)]
      expect(outcomes(await repair('--dry-run'))).toEqual(
        paths.map((name) => `${path(name)} repairable ledger`),
      )
      expect(await filesBelow(at('acme'))).toEqual(damaged)

      const report = await repair()
      expect(report).toMatchObject({
        ok: true,
        repaired: paths.length,
        unrepaired: 0,
        verified: { ok: true },
      })
      expect(outcomes(report)).toEqual(paths.map((name) => `${path(name)} repaired ledger`))
      expect(await filesBelow(at('acme'))).toEqual(right)
      for (const name of paths) expect((await stat(at('acme', path(name)))).mode & 0o777).toBe(0o444)
      expect(report.files.flatMap(({ kept = [] }) => kept).length).toBe(paths.length - 2)
      expect((await repair()).files).toEqual([])
    },
  )

  it('repair computes tiles of level 1, also over bundles that it takes from the source', async () => {
    await bound({ before: 65_536 + 300, after: 10 })
    const right = await filesBelow(at('acme'))
    await swapLines('sha3-256/tile/1/000.b64')
    await unlink(at('acme/sha3-256/tile/0/007.b64'))
    await swapLines('tile/entries/007.b64')
    await swapLines('sha3-256/tile/0/255.b64')
    expect(outcomes(await repair())).toEqual([
      'tile/entries/007.b64 repaired source',
      'sha3-256/tile/0/007.b64 repaired ledger',
      'sha3-256/tile/0/255.b64 repaired ledger',
      'sha3-256/tile/1/000.b64 repaired ledger',
    ])
    expect(await filesBelow(at('acme'))).toEqual(right)
  })

  it('repair --dry-run computes the bound root hash from entries that only the source has', async () => {
    // The binding and the checkpoint have 600 entries, the first 88 of the bundle 2 among them. The tree has no tile over that bundle yet.
    await bound({ before: 600, after: 300, size: 600 })
    const right = await filesBelow(at('acme'))
    await swapLines('tile/entries/002.b64')
    await swapLines('sha3-256/tile/0/000.b64')
    expect(outcomes(await repair('--dry-run'))).toEqual([
      'tile/entries/002.b64 repairable source',
      'sha3-256/tile/0/000.b64 repairable ledger',
    ])
    expect(await repair()).toMatchObject({ ok: true, repaired: 2 })
    expect(await filesBelow(at('acme'))).toEqual(right)
  })

  it('repair proves tiles after the newest binding by the checkpoint of the tree, and repairs none without it', async () => {
    await bound({ before: 1000, after: 100, bound: 300 })
    const right = await tree()
    await swapLines('sha3-256/tile/0/002.b64')
    expect(outcomes(await repair())).toEqual(['sha3-256/tile/0/002.b64 repaired ledger'])
    expect(await tree()).toEqual(right)

    await edited('sha3-256/checkpoint', (text) => Buffer.from(text.toString().replace('1101', '1100')))
    await swapLines('sha3-256/tile/0/000.b64')
    await swapLines('sha3-256/tile/0/002.b64')
    await unlink(at('acme/sha3-256/tile/0/003.b64'))
    const report = await repair()
    expect(outcomes(report)).toEqual([
      'sha3-256/tile/0/000.b64 repaired ledger',
      'sha3-256/tile/0/002.b64 unrepaired',
    ])
    expect(report.files[1]?.reason).toBe('no root hash that the log binds or the tree has signed proves it')
  })

  it('repair leaves out a tree that the copy states to leave out, and finds nothing in an intact tree', async () => {
    await bound({ before: 600, after: 10 })
    expect(await repair()).toMatchObject({ ok: true, files: [] })
    await rm(at('acme/sha3-256'), { recursive: true })
    await mkdir(at('acme/sha3-256'))
    await writeFile(at('acme/sha3-256/left-out.txt'), 'x\n')
    expect((await repair('--dry-run')).files).toEqual([])
  })

  it('repair fills an empty folder up to the newest binding, apart from the checkpoint', async () => {
    await bound({ before: 600, after: 300 })
    const right = await tree()
    await rm(at('acme/sha3-256'), { recursive: true })
    await mkdir(at('acme/sha3-256'))
    const report = await repair()
    expect(outcomes(report)).toEqual(
      ['origin', 'keys/ed25519.vkey', 'tile/0/000.b64', 'tile/0/001.b64'].map(
        (path) => `sha3-256/${path} repaired ledger`,
      ),
    )
    expect(report.verified?.ok).toBe(false)
    const { 'sha3-256/checkpoint': _, 'sha3-256/tile/0/002.b64': __, ...proven } = right
    expect(await tree()).toEqual(proven)
  })

  it('repair continues after it was killed between moving a damaged tile away and putting the right one in place', async () => {
    await bound({ before: 1500, after: 60 })
    const right = await filesBelow(at('acme'))
    for (let i = 0; i < 5; i++) await swapLines(`sha3-256/tile/0/00${i}.b64`)
    await mkdir(at('acme.damaged/sha3-256/tile/0'), { recursive: true })
    await rename(at('acme/sha3-256/tile/0/001.b64'), at('acme.damaged/sha3-256/tile/0/001.b64'))
    await mkdir(at('acme/tmp'))
    await writeFile(at('acme/tmp/repair'), 'a part of a tile')
    expect(await repair()).toMatchObject({ ok: true, repaired: 5 })
    expect(await filesBelow(at('acme'))).toEqual(right)
  })
})

/** Damages the bundle 1 of the log, which the source does not have either. */
async function lost(): Promise<void> {
  await bound({ before: 1000, after: 100 })
  await swapLines('tile/entries/001.b64')
  await rm(at('mirror/tile/entries/001.b64'))
}

describe('repair of a second tree of a log that has lost entries', () => {
  const LOST = 'tile/entries/001.b64 unrepaired'

  it('repair uses the intact tile over the lost entries', async () => {
    await lost()
    const right = await tree()
    await swapLines('sha3-256/tile/0/000.b64')
    await unlink(at('acme/sha3-256/tile/0/003.b64'))
    expect(outcomes(await repair())).toEqual([
      LOST,
      'sha3-256/tile/0/000.b64 repaired ledger',
      'sha3-256/tile/0/003.b64 repaired ledger',
    ])
    expect(await tree()).toEqual(right)
  })

  it('repair changes nothing when the tile over the lost entries is damaged, too', async () => {
    await lost()
    await swapLines('sha3-256/tile/0/000.b64')
    await swapLines('sha3-256/tile/0/001.b64')
    const before = await tree()
    const report = await repair()
    expect(outcomes(report)).toEqual([LOST, 'sha3-256/tile unrepaired'])
    expect(report.files[1]).toMatchObject({
      expected: expect.stringMatching(
        /^the root hash \S{44} of 1000 entries, which entry 1000 of the log states$/,
      ),
      reason: expect.stringContaining('the log has lost entries'),
    })
    expect(await tree()).toEqual(before)

    await cut('sha3-256/tile/0/001.b64')
    const after = await tree()
    expect(outcomes(await repair())).toEqual([
      LOST,
      'sha3-256/tile/0/000.b64 unrepaired',
      'sha3-256/tile/0/001.b64 unrepaired',
    ])
    expect(await tree()).toEqual(after)
  })
})

it('repair writes no tile of a second tree when the entries contradict a binding', async () => {
  const records = testRecords(700)
  const entries = (from: number, to: number): Uint8Array[] =>
    records.slice(from, to).flatMap((record) => entriesOf(record, sha256Hex))
  const other = [Buffer.from('another entry'), ...entries(1, 600)]
  const binding = bindingRecord(other, { algorithm: 'sha3-256', time: records[600]?.time ?? '' })
  const all = [...entries(0, 600), ...entriesOf(binding, sha256Hex), ...entries(600, 700)]
  await makeLedger(at('acme'), { entries: all, records: [] })
  await writeSecondTree(at('acme'), all, { algorithm: 'sha3-256' })
  await cp(at('acme'), at('mirror'), { recursive: true })
  await swapLines('sha3-256/tile/0/001.b64')
  const before = await tree()
  const report = await repair()
  expect(report.files).toEqual([
    {
      path: 'sha3-256/tile',
      expected: expect.stringContaining('of 600 entries, which entry 600 of the log states') as string,
      found: expect.stringMatching(/^the root hash \S{44}$/) as string,
      outcome: 'unrepaired',
      reason:
        'the entries, which the tree of the log proves, do not give it; no file of the tree was changed',
    },
  ])
  expect(await tree()).toEqual(before)
  expect((await verifyDirectory(at('acme'))).ok).toBe(false)
})
