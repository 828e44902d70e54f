// The shell lines of README.txt over tiles with too few lines, and over a ledger whose level-1 tile is full.
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { makeLedger, testRecords } from '@service-fs/client/testing'
import { nativeCodec, nativeHasher } from '@service-fs/native/native'
import { subtreeRoot } from '@service-fs/tlog/proof'
import { storedPath, type Tile } from '@service-fs/tlog/tile'
import { afterAll, beforeAll, describe, it } from 'vitest'
import { expectFalse, expectTrue, missing, prove, put, SHELLS, why } from './lines.ts'

let work = ''

/** A ledger whose files link to the honest one's, which makes a copy with few changes fast. */
function changed(tail: string): string {
  const copy = join(work, `${tail}-changed`)
  rmSync(copy, { recursive: true, force: true })
  for (const path of readdirSync(join(work, tail), { recursive: true, withFileTypes: true })) {
    if (!path.isFile()) continue
    const at = join(path.parentPath, path.name)
    const to = join(copy, at.slice(join(work, tail).length))
    mkdirSync(dirname(to), { recursive: true })
    symlinkSync(at, to)
  }
  return copy
}

/** Replaces line `at` of a stored tile; returns the tile's hash if it is full. */
function replaceLine(copy: string, tile: Tile, at: number, line: string): string {
  const path = storedPath(tile)
  const lines = readFileSync(join(copy, path), 'utf8').trimEnd().split('\n')
  lines[at] = line
  unlinkSync(join(copy, path))
  put(copy, path, lines.join('\n') + '\n')
  return tile.level === 'entries' || tile.width < 256 ? '' : subtreeRoot(lines, nativeHasher)
}

beforeAll(() => {
  work = mkdtempSync(join(tmpdir(), 'service-fs-readme-'))
})

afterAll(() => rmSync(work, { recursive: true, force: true }))

/** Copies the stored data of entry `from` to the place of entry `to`: its line, or its tiles. */
function moveEntries(copy: string, level: 0 | 1, to: number, from: number): void {
  const tile = (kind: Tile['level'], entry: number, width: number): string =>
    join(copy, storedPath({ level: kind, index: Math.floor(entry / 256), width }))
  if (level === 0) {
    const path = tile('entries', to, 3)
    const lines = readFileSync(path, 'utf8').trimEnd().split('\n')
    lines[to % 256] = lines[from % 256] ?? ''
    unlinkSync(path)
    writeFileSync(path, lines.join('\n') + '\n')
  } else
    for (const kind of [0, 'entries'] as const) {
      unlinkSync(tile(kind, to, 256))
      cpSync(tile(kind, from, 256), tile(kind, to, 256))
    }
}

/** Forges entry 777 and its lines in the given number of levels. */
function forge(copy: string, levels: number): void {
  const bytes = nativeCodec.utf8Encode('service-fs/entry/v1\nid: forged\n\n')
  replaceLine(copy, { level: 'entries', index: 3, width: 256 }, 9, nativeCodec.base64Encode(bytes))
  let hash = nativeHasher.leaf(bytes)
  if (levels > 0) hash = replaceLine(copy, { level: 0, index: 3, width: 256 }, 9, hash)
  if (levels > 1) hash = replaceLine(copy, { level: 1, index: 0, width: 256 }, 3, hash)
  if (levels > 2) replaceLine(copy, { level: 2, index: 0, width: 1 }, 0, hash)
}

// A tile that has the parent of its first two hashes in place of both can give the same root; every later entry then gets the number of
// another entry.
describe.skipIf(missing.length > 0)(
  `the shell lines over a tile with fewer lines than the tree has${why}`,
  () => {
    it.each(SHELLS.map((shell) => ({ shell, name: shell.join(' ') })))(
      'refuse an entry under the number of another, in $name',
      async ({ shell }) => {
        for (const [size, shown, level, stored] of [
          [515, 513, 0, 514],
          [768, 300, 1, 556],
        ] as const) {
          const name = `short-${size}`
          const copy = join(work, name)
          await makeLedger(copy, { records: testRecords(size), tail: 'export' })
          const width = 3
          const index = level === 0 ? 2 : 0
          const path = join(copy, storedPath({ level, index, width }))
          const [a = '', b = '', c = ''] = readFileSync(path, 'utf8').trimEnd().split('\n')
          unlinkSync(path)
          put(copy, storedPath({ level, index, width }), `${subtreeRoot([a, b], nativeHasher)}\n${c}\n`)
          moveEntries(copy, level, shown, stored)
          const said = prove(copy, shown, shell)
          expectFalse(said, `${storedPath({ level, index, width })}: expected 3 hashes, found 2`)
          rmSync(copy, { recursive: true })
        }
      },
      120_000,
    )
  },
)

// A level-1 tile is full: the lines must look below it.
describe.skipIf(missing.length > 0)(`the shell lines at 65,800 entries${why}`, () => {
  const SIZE = 65_800
  const SHAPES = ['grow', 'export'] as const

  beforeAll(async () => {
    for (const tail of SHAPES)
      await makeLedger(join(work, tail), { records: testRecords(SIZE), tail, commit: 100 })
  })

  const every = SHAPES.flatMap((tail) => SHELLS.map((shell) => ({ tail, shell, name: shell.join(' ') })))

  it.each(every)(
    'accept entries in a ledger of the kind $tail, in $name',
    ({ tail, shell }) => {
      const above = tail === 'export' ? 1 : 0
      expectTrue(prove(join(work, tail), 777, shell), 'record/777', 2 + above)
      expectTrue(prove(join(work, tail), 65_535, shell), 'record/65535', 2 + above)
      // Below a level-0 tile that is full, and beside the full level-1 tile.
      expectTrue(prove(join(work, tail), 65_600, shell), 'record/65600', 1 + above)
      expectTrue(prove(join(work, tail), 65_799, shell), 'record/65799', above)
    },
    300_000,
  )

  it.each(every)(
    'refuse forged entries and lines in a ledger of the kind $tail, in $name',
    ({ tail, shell }) => {
      const root = `root hash of the ${SIZE} entries`
      const level2 =
        tail === 'export' ? 'tile/2/000.p/1.b64 line 1: not the hash that entry 777 leads to' : root
      const words = [
        'tile/0/003.b64 line 10: not the hash that entry 777 leads to',
        'tile/1/000.b64 line 4: not the hash that entry 777 leads to',
        level2,
        ...(tail === 'export' ? [root] : []),
      ]
      for (const [levels, text] of words.entries()) {
        const copy = changed(tail)
        forge(copy, levels)
        expectFalse(prove(copy, 777, shell), text)
      }
      // A changed level-1 line alone: it no longer matches the entries below it, nor does the root match the checkpoint.
      const copy = changed(tail)
      replaceLine(copy, { level: 1, index: 0, width: 256 }, 3, nativeHasher.leaf(new Uint8Array([1])))
      expectFalse(prove(copy, 777, shell), 'tile/1/000.b64 line 4: not the hash that entry 777 leads to')
      expectFalse(prove(copy, 5, shell), level2.replace('777', '5'))
    },
    300_000,
  )
})
