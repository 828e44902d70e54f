import { nativeCodec } from '@service-fs/native/native'
import { treeDigests } from '@service-fs/native/tree-digests'
import { formatObjectName } from '@service-fs/storage/object-name'
import { HashTree, tileLines } from '@service-fs/tlog/hash-tree'
import { describe, expect, it } from 'vitest'
import { TestRuntime } from '../testing-native.ts'
import { Pacer } from './pacer.ts'
import type { Checked } from './sealed-check.ts'
import { TreeCheck, type CheckedLog } from './tree-check.ts'

const HASH = treeDigests['sha2-512']
const BUNDLES = 257
const SIZE = BUNDLES * 256
const UPPER = 'tile/1/000.b64'

/** The texts of the log's bundles, and the tiles of a second tree over their entries. */
function made(): { bundles: Uint8Array[]; tiles: Map<string, Uint8Array> } {
  const bundles: Uint8Array[] = []
  const tiles = new Map<string, Uint8Array>()
  const tree = new HashTree(HASH)
  for (let bundle = 0; bundle < BUNDLES; bundle++) {
    const entries = Array.from({ length: 256 }, (_, i) => Buffer.from(`entry ${bundle * 256 + i}`))
    for (const entry of entries)
      tree.append(entry, (level, index, hashes) =>
        tiles.set(formatObjectName({ kind: 'tile', level, index }), tileLines(hashes, HASH.bytes)),
      )
    bundles.push(Buffer.from(entries.map((entry) => `${entry.toString('base64')}\n`).join('')))
  }
  return { bundles, tiles }
}

const { bundles, tiles: intact } = made()

/** Checks the bundles from `first` up to `end`. `tiles`: the tiles on the disk. `lost`: bundles that the log's tree does not prove. */
async function pass(
  tiles: ReadonlyMap<string, Uint8Array>,
  {
    lost = [],
    size = SIZE,
    first = 0,
    end = BUNDLES,
  }: Partial<Record<'size' | 'first' | 'end', number>> & { lost?: number[] } = {},
): Promise<Checked & { reads: string[] }> {
  const runtime = new TestRuntime()
  const reads: string[] = []
  const check = new TreeCheck({
    algorithm: 'sha2-512',
    hash: HASH,
    size,
    runtime,
    async read(name, pause) {
      const path = formatObjectName(name)
      const bytes = tiles.get(path)
      if (bytes === undefined) return undefined
      reads.push(path)
      await pause(bytes.length)
      return bytes
    },
  })
  const textOf = (index: number): Uint8Array | undefined =>
    lost.includes(index) ? undefined : bundles[index]
  const log: CheckedLog = {
    pacer: new Pacer(runtime, { bytesPerSecond: 1e9, duty: 1 }),
    pause: async () => undefined,
    bundle: async (index) => textOf(index),
  }
  const all: Checked & { reads: string[] } = { paths: [], findings: [], reads }
  for (let index = first; index < end; index++) {
    const { paths, findings } = await check.bundle(index, textOf(index), log)
    all.paths.push(...paths)
    all.findings.push(...findings)
  }
  return all
}

/** Returns the tiles with one of them changed; undefined removes the tile. */
function changed(
  path: string,
  change: (text: Buffer) => Uint8Array | undefined,
  tiles: ReadonlyMap<string, Uint8Array> = intact,
): Map<string, Uint8Array> {
  const files = new Map(tiles)
  const text = change(Buffer.from(tiles.get(path) as Uint8Array))
  if (text === undefined) files.delete(path)
  else files.set(path, text)
  return files
}

/** Replaces one line of a tile by another hash. */
function otherLine(line: number): (text: Buffer) => Uint8Array {
  return (text) => {
    const lines = text.toString().split('\n')
    lines[line] = nativeCodec.base64Encode(HASH.digest(Buffer.from('other')))
    return Buffer.from(lines.join('\n'))
  }
}

const hashText = expect.stringMatching(/^the hash \S{88} over its lines$/) as string

describe('the check of a second tree', () => {
  it('the check accepts the tiles of the entries at all levels', async () => {
    const { paths, findings } = await pass(intact)
    expect(findings).toEqual([])
    expect(paths.sort()).toEqual([...intact.keys()].map((path) => `sha2-512/${path}`).sort())
  })

  it('the check leaves out tiles beyond the size of the tree', async () => {
    const { paths, findings } = await pass(new Map(), { size: 2 * 256 - 1 })
    expect(findings.map(({ path }) => path)).toEqual(['sha2-512/tile/0/000.b64'])
    expect(paths).toEqual(['sha2-512/tile/0/000.b64'])
  })

  it.each([
    ['a changed line', otherLine(7), hashText],
    ['a truncated tile', (text: Buffer) => text.subarray(0, 500), 'other text'],
    ['a missing tile', () => undefined, 'none'],
    ['a line too many', (text: Buffer) => Buffer.concat([text, text.subarray(0, 89)]), 'other text'],
    ['the tile of other entries', () => intact.get('tile/0/004.b64'), hashText],
  ] as const)('the check finds %s at level 0, and blames no other tile', async (_, change, found) => {
    const { findings } = await pass(changed('tile/0/003.b64', change), { end: 8 })
    expect(findings).toEqual([{ path: 'sha2-512/tile/0/003.b64', expected: hashText, found }])
  })

  it.each([
    ['a changed line', otherLine(200), / in line 201$/, /^the hash \S{88}$/],
    ['a truncated tile', (text: Buffer) => text.subarray(0, 500), /^256 lines/, /^other text$/],
    ['a missing tile', () => undefined, /^256 lines/, /^none$/],
    ['a tile of another level', () => intact.get('tile/0/004.b64'), / in line 1$/, /^the hash \S{88}$/],
  ] as const)('the check finds %s at level 1', async (_, change, expected, found) => {
    const { findings } = await pass(changed(UPPER, change), { first: 255 })
    expect(findings).toEqual([
      {
        path: `sha2-512/${UPPER}`,
        expected: expect.stringMatching(expected) as string,
        found: expect.stringMatching(found) as string,
      },
    ])
  })

  it('the check does not judge tiles whose entries are damaged, unless they are no tiles', async () => {
    const damaged = changed('tile/0/005.b64', () => undefined, changed('tile/0/003.b64', otherLine(7)))
    const { paths, findings } = await pass(damaged, { lost: [3, 4, 5] })
    const path = 'sha2-512/tile/0/005.b64'
    expect(findings).toEqual([{ path, expected: '256 lines of its format', found: 'none' }])
    // The tile at level 1 rests on the tile 3, which was not judged.
    for (const other of ['tile/0/003.b64', 'tile/0/004.b64', UPPER])
      expect(paths).not.toContain(`sha2-512/${other}`)
    expect(paths).toContain(path)
  })

  it('the check judges a tile at level 1 by the entries when tiles below it are damaged', async () => {
    const damaged = changed('tile/0/005.b64', () => undefined, changed('tile/0/003.b64', otherLine(7)))
    const { paths, findings } = await pass(damaged)
    expect(findings.map(({ path }) => path)).toEqual(['sha2-512/tile/0/003.b64', 'sha2-512/tile/0/005.b64'])
    expect(paths).toContain(`sha2-512/${UPPER}`)
  })

  it('an I/O error is damage, and any other failed read ends the check of the bundle', async () => {
    const runtime = new TestRuntime()
    const log: CheckedLog = {
      pacer: new Pacer(runtime, { bytesPerSecond: 1e9, duty: 1 }),
      pause: async () => undefined,
      bundle: async (index) => bundles[index],
    }
    const failing = (code: string): TreeCheck =>
      new TreeCheck({
        algorithm: 'sha2-512',
        hash: HASH,
        size: SIZE,
        runtime,
        read: () => Promise.reject(Object.assign(new Error(code), { code })),
      })
    const { findings } = await failing('io').bundle(0, bundles[0], log)
    expect(findings).toMatchObject([{ path: 'sha2-512/tile/0/000.b64', found: 'an I/O error' }])
    await expect(failing('EMFILE').bundle(0, bundles[0], log)).rejects.toMatchObject({ code: 'EMFILE' })
  })
})
