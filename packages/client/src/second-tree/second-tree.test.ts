import { appendFile, cp, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { entriesOf } from '@service-fs/format/entry'
import type { TreeAlgorithm } from '@service-fs/format/tree-binding'
import { sha256Hex } from '@service-fs/native/native'
import { signNote } from '@service-fs/tlog/note'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  makeLedger,
  remove,
  serveDirectory,
  temporary,
  testRecords,
  testSigner,
  TEST_ORIGIN,
} from '../testing.ts'
import {
  bindingRecord,
  DIGESTS,
  makeBoundLedger,
  merkleRoot,
  removeSecondTree,
  writeSecondTree,
} from '../testing-second-tree.ts'
import { Connection } from '../http.ts'
import { problemText } from '../problems.ts'
import { verifyDirectory } from '../verify-directory.ts'
import { verifyUrl } from '../verify-url.ts'
import { BundleRoots, rootAt, upperTiles } from './bundle-roots.ts'
import { treeHasher } from '@service-fs/native/tree-hasher'

const ALGORITHMS: readonly TreeAlgorithm[] = ['sha3-256', 'sha2-512', 'blake3']

let work = ''
let base = ''
let entries: Uint8Array[] = []

beforeAll(async () => {
  work = await temporary()
  base = join(work, 'base')
  entries = await makeBoundLedger(base, { algorithm: 'sha3-256', before: 400, after: 300, tail: 'grow' })
})

afterAll(() => remove(work))

async function problems(dir: string, options = {}): Promise<string[]> {
  return (await verifyDirectory(dir, options)).problems.map(problemText)
}

/** Copies the ledger, changes the copy, and returns the problems that `verify` finds. */
async function afterChange(change: (dir: string) => Promise<unknown>): Promise<string[]> {
  const dir = join(work, 'changed')
  await rm(dir, { recursive: true, force: true })
  await cp(base, dir, { recursive: true })
  await change(dir)
  const inThread = await problems(dir, { threads: 0 })
  expect(await problems(dir)).toEqual(inThread)
  return inThread
}

async function edit(path: string, change: (text: string) => string): Promise<void> {
  await writeFile(path, change(await readFile(path, 'latin1')), 'latin1')
}

const other = (text: string): string => (text.startsWith('A') ? 'B' : 'A') + text.slice(1)

describe('a second tree', () => {
  it.each(ALGORITHMS)('a second tree verifies with %s, in ledgers and exports', async (algorithm) => {
    for (const tail of ['grow', 'each', 'export'] as const)
      for (const [before, after, bound, size] of [
        [0, 3, 0, 0],
        [3, 0, 2, 3],
        [256, 255, 256, 512],
        [700, 100, 300, 600],
      ] as const) {
        const dir = join(work, `${algorithm}-${tail}-${before}`)
        const all = await makeBoundLedger(dir, { algorithm, before, after, bound, size, tail, commit: 100 })
        const report = await verifyDirectory(dir)
        expect(report.problems.map(problemText)).toEqual([])
        expect(report.trees).toEqual([
          {
            algorithm,
            origin: `${TEST_ORIGIN}/${algorithm}`,
            size,
            root: merkleRoot(all.slice(0, size), DIGESTS[algorithm]).toString('base64'),
            tiles: Math.floor(size / 256),
            boundAt: [before],
            boundSize: bound,
          },
        ])
      }
  })

  it('a second tree verifies in worker threads', async () => {
    const dir = join(work, 'threads')
    await makeBoundLedger(dir, { algorithm: 'sha2-512', before: 2000, after: 600, tail: 'export' })
    const report = await verifyDirectory(dir, { threads: 2 })
    expect(report.problems.map(problemText)).toEqual([])
    expect(report.trees?.[0]?.tiles).toBe(10)
  })

  it('a second tree may lag behind the log, and may have tiles after its checkpoint', async () => {
    expect(
      await afterChange(async (dir) => {
        const root = merkleRoot(entries.slice(0, 500), DIGESTS['sha3-256']).toString('base64')
        const text = `${TEST_ORIGIN}/sha3-256\n500\n${root}\n`
        await writeFile(
          join(dir, 'sha3-256/checkpoint'),
          await signNote(text, [testSigner(`${TEST_ORIGIN}/sha3-256`)]),
        )
      }),
    ).toEqual([])
  })

  it('a second tree may be incomplete before an entry binds it', async () => {
    const dir = join(work, 'unbound')
    const all = testRecords(600).flatMap((content) => entriesOf(content, sha256Hex))
    await makeLedger(dir, { entries: all })
    await writeSecondTree(dir, all, { algorithm: 'blake3', size: 300 })
    await rm(join(dir, 'blake3/checkpoint'))
    const report = await verifyDirectory(dir)
    expect(report.problems).toEqual([])
    expect(report.notes).toContainEqual(expect.stringContaining('no entry of the log binds'))
  })

  it.each<[string, (dir: string) => Promise<unknown>, RegExp]>([
    [
      'a changed line of a tile',
      (dir) => edit(join(dir, 'sha3-256/tile/0/001.b64'), other),
      /^sha3-256\/tile\/0\/001\.b64 line 1 \(entry 256\): expected the sha3-256 hash of the entry, /,
    ],
    [
      'a malformed tile',
      (dir) => appendFile(join(dir, 'sha3-256/tile/0/001.b64'), 'x'),
      /^sha3-256\/tile\/0\/001\.b64: expected 256 lines/,
    ],
    [
      'a missing tile',
      (dir) => rm(join(dir, 'sha3-256/tile/0/000.b64')),
      /^sha3-256\/tile\/0\/000\.b64: expected the file, found nothing/,
    ],
    [
      'a tile of another tree',
      (dir) => rename(join(dir, 'sha3-256/tile/0/000.b64'), join(dir, 'sha3-256/tile/0/009.b64')),
      /^sha3-256\/tile\/0\/009\.b64: expected no tile beyond/,
    ],
    [
      'an unknown file',
      (dir) => writeFile(join(dir, 'sha3-256/README.txt'), 'x'),
      /^sha3-256\/README\.txt: expected only files of a second tree/,
    ],
    [
      'a changed signature',
      (dir) => edit(join(dir, 'sha3-256/checkpoint'), (text) => text.replace(/\n701\n/, '\n700\n')),
      /^sha3-256\/checkpoint: expected a valid signature/,
    ],
    [
      'a missing checkpoint',
      (dir) => rm(join(dir, 'sha3-256/checkpoint')),
      /^sha3-256\/checkpoint: expected the file, found nothing/,
    ],
    [
      'another origin',
      (dir) => writeFile(join(dir, 'sha3-256/origin'), 'example.org/other/sha3-256\n'),
      /^sha3-256\/origin: expected example\.org\/ledger\/test\/sha3-256/,
    ],
    [
      'another key',
      (dir) =>
        writeFile(
          join(dir, 'sha3-256/keys/ed25519.vkey'),
          `${testSigner(`${TEST_ORIGIN}/sha3-256`, 9).vkey}\n`,
        ),
      /^sha3-256\/(?:checkpoint: expected a signature of a known key|keys: expected the key .* of entry 400)/,
    ],
    [
      'a missing folder',
      (dir) => removeSecondTree(dir, 'sha3-256'),
      /^sha3-256: expected the second tree that entry 400 binds, found nothing/,
    ],
    [
      'a size above that of the log',
      (dir) => writeSecondTree(dir, [...entries, ...entries.slice(0, 5)], { algorithm: 'sha3-256' }),
      /^sha3-256\/checkpoint: expected a size of at most 701, that of the log, found 706/,
    ],
    [
      'a root over other entries',
      (dir) =>
        writeSecondTree(dir, entries.with(700, entries[0] ?? new Uint8Array()), { algorithm: 'sha3-256' }),
      /^sha3-256\/checkpoint: expected root hash .* of the 701 entries/,
    ],
  ])('reports %s', async (_, change, expected) => {
    const found = await afterChange(change)
    expect(found).not.toEqual([])
    for (const problem of found) expect(problem).toMatch(expected.source === '' ? /./ : /sha3-256/)
    expect(
      found.some((problem) => expected.test(problem)),
      found.join('\n'),
    ).toBe(true)
  })

  it.each<[string, (payload: Record<string, unknown>) => Record<string, unknown>, RegExp]>([
    [
      'a bound root over other entries',
      (it_) => ({ ...it_, root: other(String(it_['root'])) }),
      /: expected root: /,
    ],
    [
      'a root of the log over other entries',
      (it_) => ({ ...it_, sha256Root: other(String(it_['sha256Root'])) }),
      /: expected sha256Root: /,
    ],
    ['a size beyond the entry', (it_) => ({ ...it_, size: 41 }), /: expected size: at most 40/],
    [
      'the origin of another ledger',
      (it_) => ({ ...it_, origin: 'x/sha3-256' }),
      /: expected (origin|vkey): /,
    ],
    ['a malformed binding', (it_) => ({ ...it_, more: 1 }), /: expected payload: /],
  ])('reports %s', async (_, change, expected) => {
    for (const withTree of [true, false]) {
      const dir = join(work, 'binding')
      await rm(dir, { recursive: true, force: true })
      const first = testRecords(40).flatMap((content) => entriesOf(content, sha256Hex))
      const binding = bindingRecord(first, { algorithm: 'sha3-256', time: '2026-11-22T00:01:00.000Z' })
      const payload = change(JSON.parse(Buffer.from(binding.payload).toString()) as Record<string, unknown>)
      const all = [
        ...first,
        ...entriesOf({ ...binding, payload: Buffer.from(JSON.stringify(payload)) }, sha256Hex),
      ]
      await makeLedger(dir, { entries: all })
      if (withTree) await writeSecondTree(dir, all, { algorithm: 'sha3-256' })
      const found = await problems(dir)
      expect(
        found.some((problem) => expected.test(problem) && /\(entry 40\)/.test(problem)),
        found.join('\n'),
      ).toBe(true)
    }
  })

  it('a copy may leave out a second tree if it states so', async () => {
    const dir = join(work, 'left-out')
    await makeBoundLedger(dir, { algorithm: 'sha3-256', before: 300, after: 5, tail: 'export' })
    await removeSecondTree(dir, 'sha3-256')
    expect(await problems(dir)).toEqual([
      'sha3-256: expected the second tree that entry 300 binds, found nothing',
    ])
    await writeSecondTree(dir, [], { algorithm: 'sha3-256' })
    for (const file of ['origin', 'keys', 'checkpoint'])
      await rm(join(dir, 'sha3-256', file), { recursive: true })
    await writeFile(join(dir, 'sha3-256/left-out.txt'), 'x\n')
    const report = await verifyDirectory(dir)
    expect(report.problems).toEqual([])
    expect(report.notes).toContainEqual('sha3-256: this copy leaves out the second tree')
  })

  it('verify over HTTP checks the bound roots of a second tree', async () => {
    const server = await serveDirectory(base)
    const connection = new Connection(server.url)
    try {
      const report = await verifyUrl(connection)
      expect(report.problems).toEqual([])
      expect(report.trees).toMatchObject([{ algorithm: 'sha3-256', boundAt: [400], boundSize: 400 }])
    } finally {
      await connection.close()
      await server.close()
    }
  })
})

describe('BundleRoots', () => {
  it('bundle roots yield the root of every size, and the upper tiles', () => {
    const hasher = treeHasher('sha3-256')
    const some = Array.from({ length: 1100 }, (_, i) => Buffer.from(`entry ${i}`))
    const roots = new BundleRoots()
    for (let i = 0; i + 256 <= some.length; i += 256)
      roots.add(merkleRoot(some.slice(i, i + 256), DIGESTS['sha3-256']).toString('base64'))
    for (const size of [0, 1, 2, 3, 255, 256, 257, 511, 512, 513, 767, 768, 1000, 1024, 1025, 1100]) {
      const leaves = some.slice(size - (size % 256), size).map((entry) => hasher.leaf(entry))
      const expected = merkleRoot(some.slice(0, size), DIGESTS['sha3-256']).toString('base64')
      expect(rootAt(roots, size, leaves, hasher)).toBe(expected)
    }
    const many = new BundleRoots()
    for (let i = 0; i < 65_536 + 300; i++) many.add(hasher.leaf(Buffer.from(String(i))))
    const tiles = [...upperTiles(many, hasher)]
    expect(tiles.map(({ level, index }) => `${level}/${index}`)).toEqual([
      ...Array.from({ length: 257 }, (_, i) => `1/${i}`),
      '2/0',
    ])
    expect(tiles.at(-1)?.hashes[3]).toBe(merkleRootOfHashes(tiles[3]?.hashes ?? []).toString('base64'))
  })
})

function merkleRootOfHashes(hashes: readonly string[]): Buffer {
  let row: Buffer[] = hashes.map((hash) => Buffer.from(hash, 'base64'))
  while (row.length > 1)
    row = row
      .filter((_, i) => i % 2 === 0)
      .map((left, i) => DIGESTS['sha3-256'](Buffer.concat([Buffer.from([1]), left, row[2 * i + 1] ?? left])))
  return row[0] ?? Buffer.alloc(0)
}
