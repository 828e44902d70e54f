// The shell lines printed in README.txt of a ledger prove an entry, under dash and busybox, with coreutils and openssl.
import { spawnSync } from 'node:child_process'
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
import { makeLedger, testRecords, testSigner } from '@service-fs/client/testing'
import { nativeCodec, nativeHasher } from '@service-fs/native/native'
import { subtreeRoot } from '@service-fs/tlog/proof'
import { storedPath, type Tile } from '@service-fs/tlog/tile'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { daemonBuilt, startDaemon } from '../support/daemon.ts'
import { QUICK } from '../support/quick.ts'

const TOOLS = ['sha256sum', 'base64', 'sed', 'openssl']
const missing = TOOLS.filter((tool) => spawnSync('sh', ['-c', `command -v ${tool}`]).status !== 0)
const why = missing.length > 0 ? ` (skipped: no ${missing.join(', ')})` : ''
const SHELLS = [['dash'], ['busybox', 'sh']].filter(
  ([program = '']) => spawnSync(program, [], { input: '' }).error === undefined,
)

interface Said {
  stdout: string
  stderr: string
  status: number | null
}

/** Cuts the lines out as README.txt says, and runs them on an entry. They must leave nothing in the directory for temporary files. */
function prove(at: string, entry: number | string, shell: string[] = ['dash'], vkey?: string): Said {
  const cut = spawnSync('sed', ['-n', '/^# ---- shell/,/^# ---- shell/p', 'README.txt'], { cwd: at })
  const [program = '', ...args] = shell
  const temporary = mkdtempSync(join(tmpdir(), 'service-fs \\ lines-'))
  try {
    const said = spawnSync(program, [...args, '-s', String(entry), ...(vkey === undefined ? [] : [vkey])], {
      cwd: at,
      input: cut.stdout,
      encoding: 'utf8',
      env: { ...process.env, TMPDIR: temporary },
    })
    expect(readdirSync(temporary)).toEqual([])
    return said
  } finally {
    rmSync(temporary, { recursive: true })
  }
}

/** Checks that the lines print exactly this entry and report it as true. */
function expectTrue({ stdout, stderr, status }: Said, id: string, levels: number): void {
  expect(stderr).not.toContain('FALSE')
  expect(stderr.match(/^true: {2}tile.* leads to$/gm) ?? []).toHaveLength(levels)
  expect(stderr).toMatch(/^true: {2}the root hash in checkpoint/m)
  expect(stderr).toMatch(/^true: {2}the signature on checkpoint is by/m)
  expect(status).toBe(0)
  expect(stdout).toContain(`\nid: ${id}\n`)
}

/** The lines stop at the first failure, with a message and without printing the entry. */
function expectFalse({ stdout, stderr, status }: Said, words: string): void {
  expect(stderr).toContain(`FALSE: ${words}`)
  expect(stderr.match(/FALSE/g)).toHaveLength(1)
  expect(status).toBe(1)
  expect(stdout).toBe('')
}

/** Replaces a file; a copy's files are read-only. */
function put(dir: string, path: string, content: string): void {
  rmSync(join(dir, path), { force: true })
  mkdirSync(dirname(join(dir, path)), { recursive: true })
  writeFileSync(join(dir, path), content)
}

/** Another character in the middle of a line, counted from 0. */
function changeLine(dir: string, path: string, line: number): void {
  const text = readFileSync(join(dir, path), 'utf8').split('\n')
  const old = text[line] ?? ''
  text[line] = `${old.slice(0, 30)}${old[30] === 'A' ? 'B' : 'A'}${old.slice(31)}`
  put(dir, path, text.join('\n'))
}

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

describe.skipIf(missing.length > 0)(`the shell lines of README.txt${why}`, () => {
  let dir = ''

  beforeAll(async () => {
    expect(daemonBuilt).toBe(true)
    dir = join(work, 'copy')
    const daemon = await startDaemon()
    for (let at = 0; at < 600; at += 100) {
      const lines = Array.from({ length: 100 }, (_, i) =>
        JSON.stringify({ payload_id: `r${at + i}`, payload: { number: at + i } }),
      )
      const answer = await daemon.fetch('/v1/append', {
        method: 'POST',
        headers: { 'content-type': 'application/x-ndjson' },
        body: lines.join('\n'),
      })
      expect(answer.status).toBe(200)
    }
    await daemon.kill()
    cpSync(daemon.dir, dir, { recursive: true })
    await daemon.dispose()
  }, 120_000)

  const copyOf = (): string => {
    const copy = join(work, 'changed')
    rmSync(copy, { recursive: true, force: true })
    cpSync(dir, copy, { recursive: true })
    return copy
  }

  it.each([0, 255, 300, 599])(
    'print and accept entry %i of a ledger that a daemon wrote',
    (entry) => {
      for (const shell of SHELLS) {
        const said = prove(dir, entry, shell)
        expectTrue(said, `r${entry}`, entry < 512 ? 1 : 0)
        expect(said.stdout).toContain(`{"number":${entry}}`)
      }
    },
    300_000,
  )

  it('report a bad entry number', () => {
    for (const entry of [600, '', 'x', '007', '1e3'])
      expectFalse(prove(dir, entry), entry === 600 ? 'expected an entry below 600' : 'expected the number of')
  }, 60_000)

  it.each([
    ['tile/entries/000.b64', 5, 'tile/0/000.b64 line 6: not the hash that entry 5 leads to'],
    ['tile/0/000.b64', 5, 'tile/0/000.b64 line 6: not the hash that entry 5 leads to'],
    ['tile/0/000.b64', 6, 'root hash of the 600 entries'],
    ['tail', 512, 'root hash of the 600 entries'],
  ])(
    'find a change in %s',
    (path, entry, words) => {
      const copy = copyOf()
      const file = path === 'tail' ? `tail/${readdirSync(join(copy, 'tail'))[0]}` : path
      // The tail begins with the one hash of its edge, an empty line, and seven lines of a commit without entries.
      changeLine(copy, file, path === 'tail' ? 12 : entry)
      expectFalse(prove(copy, path === 'tail' ? 512 : 5), words)
    },
    300_000,
  )

  it('use the given key, and detect a signature by another one', () => {
    const vkey = readFileSync(join(dir, 'keys/ed25519.vkey'), 'utf8').trim()
    expectTrue(prove(dir, 5, ['dash'], vkey), 'r5', 1)
    const other = testSigner(vkey.split('+')[0] ?? '').vkey
    expectFalse(prove(dir, 5, ['dash'], other), 'checkpoint: no signature by')
    const [name = '', id = ''] = vkey.split('+')
    const wrongKey = `${name}+${id}+${other.slice(other.split('+', 2).join('+').length + 1)}`
    expectFalse(prove(dir, 5, ['dash'], wrongKey), `verifier key ${wrongKey}: not its key id`)
    expectFalse(prove(dir, 5, ['dash'], `x${vkey}`), 'checkpoint line 1: not the name')
    // A script whose key variable is unset must not trust the key in the directory.
    expectFalse(prove(dir, 5, ['dash'], ''), 'checkpoint line 1: not the name')
    const copy = copyOf()
    const checkpoint = readFileSync(join(copy, 'checkpoint'), 'utf8')
    put(copy, 'checkpoint', checkpoint.replace('\n\n', '\nanother line\n\n'))
    expectFalse(prove(copy, 5), 'signature by')
    put(copy, 'checkpoint', checkpoint.replace('\n600\n', '\n601\n'))
    expect(prove(copy, 5).stderr).toContain('FALSE')
  }, 300_000)

  it('escape control characters in their arguments', () => {
    const copy = copyOf()
    put(copy, 'keys/ed25519.vkey', 'a\u001b]0;title\u0007+00000000+AAAA\n')
    const said = prove(copy, 5)
    expectFalse(said, 'checkpoint line 1')
    expect(said.stderr).toContain('^[]0;title^G')
    expect(said.stderr).not.toContain('\u001b')
  }, 60_000)
})

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

// A shorter tile can give the same root with an entry under another's number, if its leading hashes are already
// combined.
describe.skipIf(missing.length > 0)(
  `the shell lines and a tile with fewer lines than the tree has${why}`,
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
  const SHAPES: readonly ('grow' | 'export')[] = QUICK ? ['export'] : ['grow', 'export']

  beforeAll(async () => {
    for (const tail of SHAPES)
      await makeLedger(join(work, tail), { records: testRecords(SIZE), tail, commit: 100 })
  }, 120_000)

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
