import { readFileSync } from 'node:fs'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { MAX_SIZE } from './math.ts'
import {
  levelWidth,
  newTiles,
  parseStoredPath,
  parseTilePath,
  partialWidth,
  storedPath,
  tileCount,
  tilePath,
  tileSpan,
  tileWidth,
  tilesOf,
  treeTiles,
  type Tile,
} from './tile.ts'

// `paths` are from golang.org/x/mod/sumdb/tlog.NewTiles: see testdata/interop.go.
const interop: { newTiles: { from: number; to: number; paths: string[] }[] } = JSON.parse(
  readFileSync(new URL('testdata/interop.json', import.meta.url), 'utf8'),
)

const near = (n: number): fc.Arbitrary<number> =>
  fc.integer({ min: -70_000, max: 70_000 }).map((d) => Math.min(MAX_SIZE, n + d))
const sizes = fc.oneof(fc.nat(70_000), near(2 ** 32), near(2 ** 40), near(2 ** 53), fc.maxSafeNat())
const levels = fc.oneof(fc.constant('entries' as const), fc.integer({ min: 0, max: 63 }))
const tiles: fc.Arbitrary<Tile> = fc.record({
  level: levels,
  index: sizes,
  width: fc.integer({ min: 1, max: 256 }),
})

/** The grammar, with BigInt and padding by hand. */
function referencePath({ level, index, width }: Tile): string {
  let rest = BigInt(index)
  let path = String(rest % 1000n).padStart(3, '0')
  while ((rest /= 1000n) > 0n) path = `x${String(rest % 1000n).padStart(3, '0')}/${path}`
  return `tile/${level}/${path}${width === 256 ? '' : `.p/${width}`}`
}

describe('tile paths', () => {
  it('format and parse as inverses', () => {
    fc.assert(
      fc.property(tiles, (tile) => {
        const path = tilePath(tile)
        expect(path).toBe(referencePath(tile))
        expect(parseTilePath(path)).toEqual(tile)
        expect(storedPath(tile)).toBe(`${path}.b64`)
        expect(parseStoredPath(`${path}.b64`)).toEqual(tile)
      }),
    )
  })

  it.each<[string, Tile]>([
    ['tile/0/x001/x234/067', { level: 0, index: 1_234_067, width: 256 }],
    ['tile/entries/000', { level: 'entries', index: 0, width: 256 }],
    ['tile/63/999.p/1', { level: 63, index: 999, width: 1 }],
    ['tile/5/x001/000.p/255', { level: 5, index: 1000, width: 255 }],
    ['tile/0/x009/x007/x199/x254/x740/991', { level: 0, index: MAX_SIZE, width: 256 }],
  ])('%s', (path, tile) => {
    expect(tilePath(tile)).toBe(path)
    expect(parseTilePath(path)).toEqual(tile)
  })

  it.each([
    '',
    'tile',
    'tile/0',
    'tile/0/',
    'tile/0/0',
    'tile/0/00',
    'tile/0/0000',
    'tile/0/000/',
    '/tile/0/000',
    'tile//000',
    'tile/00/000',
    'tile/01/000',
    'tile/64/000',
    'tile/-1/000',
    'tile/data/000',
    'tile/Entries/000',
    'tile/0/x000/001',
    'tile/0/x000/x001/001',
    'tile/0/001/002',
    'tile/0/x001',
    'tile/0/x001/x002',
    'tile/0/X001/002',
    'tile/0/x01/002',
    'tile/0/000.p',
    'tile/0/000.p/',
    'tile/0/000.p/0',
    'tile/0/000.p/00',
    'tile/0/000.p/01',
    'tile/0/000.p/256',
    'tile/0/000.p/999',
    'tile/0/000.p/1/',
    'tile/0/000.P/1',
    'tile/0/000.p/-1',
    'tile/0/000.b64',
    'tile/0/000\n',
    ' tile/0/000',
    'tile/0/x009/x007/x199/x254/x740/992',
    'tile/0/٠٠٠',
    `tile/0/${'x999/'.repeat(10_000)}999`,
    'tile/8/0/000',
  ])('reject %j', (path) => {
    expect(() => parseTilePath(path)).toThrow(expect.objectContaining({ code: 'tile' }))
    expect(() => parseStoredPath(`${path}.b64`)).toThrow(expect.objectContaining({ code: 'tile' }))
  })

  it.each<Tile>([
    { level: -1, index: 0, width: 1 },
    { level: 64, index: 0, width: 1 },
    { level: 0.5, index: 0, width: 1 },
    { level: 0, index: -1, width: 1 },
    { level: 0, index: 2 ** 53, width: 1 },
    { level: 0, index: 0, width: 0 },
    { level: 0, index: 0, width: 257 },
    { level: 'entries', index: NaN, width: 1 },
  ])('do not exist for %j', (tile) => {
    expect(() => tilePath(tile)).toThrow(expect.objectContaining({ code: 'tile' }))
  })

  it('require .b64 at the end of stored paths', () => {
    expect(() => parseStoredPath('tile/0/000')).toThrow(expect.objectContaining({ code: 'tile' }))
  })
})

describe('the tiles of a tree', () => {
  it('match the example of tlog-tiles at size 70,000', () => {
    const full = [...treeTiles(70_000)].filter((tile) => tile.width === 256)
    const counts = [0, 1, 2].map((level) => full.filter((tile) => tile.level === level).length)
    expect(counts.map((count, level) => [count, partialWidth(level, 70_000)])).toEqual([
      [273, 112],
      [1, 17],
      [0, 1],
    ])
    expect(partialWidth(3, 70_000)).toBe(0)
    expect([...treeTiles(256)].map(tilePath)).toEqual(['tile/0/000', 'tile/1/000.p/1'])
    expect([...tilesOf(70_000)].filter((tile) => tile.level === 'entries')).toHaveLength(274)
    expect([...tilesOf(0)]).toEqual([])
    expect([...tilesOf(1)].map(storedPath)).toEqual(['tile/entries/000.p/1.b64', 'tile/0/000.p/1.b64'])
  })

  it('are counted as in the specification', () => {
    fc.assert(
      fc.property(sizes, fc.integer({ min: 0, max: 8 }), (size, level) => {
        const width = BigInt(size) >> BigInt(8 * level)
        expect(BigInt(levelWidth(level, size))).toBe(width)
        expect(BigInt(tileCount(level, size))).toBe(width >> 8n)
        expect(BigInt(partialWidth(level, size))).toBe(width & 255n)
        const full = tileCount(level, size)
        expect(tileWidth(level, full, size)).toBe(partialWidth(level, size))
        expect(tileWidth(level, full + 1, size)).toBe(0)
        if (full > 0) expect(tileWidth(level, full - 1, size)).toBe(256)
      }),
    )
  })

  it('span their entries', () => {
    expect(tileSpan({ level: 'entries', index: 3, width: 256 })).toEqual({ start: 768, end: 1024 })
    expect(tileSpan({ level: 0, index: 2, width: 17 })).toEqual({ start: 512, end: 529 })
    expect(tileSpan({ level: 1, index: 1, width: 2 })).toEqual({ start: 65_536, end: 66_048 })
    expect(tileSpan({ level: 4, index: 0, width: 3 })).toEqual({ start: 0, end: 3 * 2 ** 32 })
  })
})

describe('newTiles', () => {
  it.each(interop.newTiles)('agrees with x/mod from $from to $to', ({ from, to, paths }) => {
    const { full, partial } = newTiles(from, to)
    const hashTiles = [...full, ...partial].filter((tile) => tile.level !== 'entries')
    expect(hashTiles.map(tilePath).sort()).toEqual([...paths].sort())
    const bundles = paths
      .filter((path) => path.startsWith('tile/0/'))
      .map((path) => path.replace('/0/', '/entries/'))
    const own = [...full, ...partial].filter((tile) => tile.level === 'entries').map(tilePath)
    expect(own.sort()).toEqual(bundles.sort())
  })

  it('completes a tree from any size to any larger size', () => {
    const size = fc.nat(140_000)
    fc.assert(
      fc.property(size, size, (a, b) => {
        const [from, to] = [Math.min(a, b), Math.max(a, b)]
        const before = new Set([...tilesOf(from)].map(tilePath))
        const { full, partial } = newTiles(from, to)
        const after = [...before]
          .filter((path) => !path.includes('.p/'))
          .concat([...full, ...partial].map(tilePath))
        const kept = [...tilesOf(to)].map(tilePath).filter((path) => path.includes('.p/') && before.has(path))
        expect(new Set([...after, ...kept])).toEqual(new Set([...tilesOf(to)].map(tilePath)))
        expect([...full, ...partial].filter((tile) => before.has(tilePath(tile)))).toEqual([])
      }),
      { numRuns: 50 },
    )
  })

  it.each([
    [2, 1],
    [-1, 1],
    [0, 2 ** 53],
    [0.5, 1],
  ])('rejects %d to %d', (from, to) => {
    expect(() => newTiles(from, to)).toThrow(expect.objectContaining({ code: 'range' }))
  })
})
