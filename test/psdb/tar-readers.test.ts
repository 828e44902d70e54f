// Checks that disk images are tar archives: all tar programs read PSDB's images in the same way, and PSDB reads theirs.
import { spawnSync } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import {
  mkdirSync,
  mkdtempSync,
  openSync,
  closeSync,
  readdirSync,
  readFileSync,
  readSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { openPsdbProcess, type PsdbProcess } from '@service-fs/engine-host/psdb/process'
import { StorageError } from '@service-fs/storage/errors'
import { parseSealedName, type ReadableName } from '@service-fs/storage/object-name'
import { openPsdbStorage, type PsdbStorage } from '@service-fs/storage-psdb/storage'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { psdbFolder, whyNoC } from '../support/c.ts'
import { run } from '../support/process.ts'

const SECTOR = 512
const TENANTS = ['acme', 'other'] as const
const why = whyNoC(['cc'])

interface Program {
  name: string
  command: string
  /** Prints the members' names, one a line. */
  list: (archive: string) => string[]
  /** Extracts the archive into the working directory. */
  extract: (archive: string) => string[]
  /** Commands that archive the working directory, by the format's name. */
  create: Record<string, (archive: string, what: string) => string[]>
}

const PYTHON = {
  list: 'import sys, tarfile\nfor m in tarfile.open(sys.argv[1]): print(m.name)',
  extract: 'import sys, tarfile\ntarfile.open(sys.argv[1]).extractall()',
  create:
    'import sys, tarfile\nwith tarfile.open(sys.argv[1], "w", format=getattr(tarfile, sys.argv[3])) as t: t.add(sys.argv[2])',
}
const python =
  (format: string) =>
  (archive: string, what: string): string[] => ['-c', PYTHON.create, archive, what, format]

const programs: Program[] = [
  {
    name: 'GNU tar',
    command: 'tar',
    list: (archive) => ['-tf', archive],
    extract: (archive) => ['-xf', archive],
    create: {
      gnu: (archive, what) => ['--format=gnu', '-cf', archive, what],
      ustar: (archive, what) => ['--format=ustar', '-cf', archive, what],
      pax: (archive, what) => ['--format=posix', '-cf', archive, what],
    },
  },
  {
    name: 'busybox tar',
    command: 'busybox',
    list: (archive) => ['tar', '-tf', archive],
    extract: (archive) => ['tar', '-xf', archive],
    create: { its: (archive, what) => ['tar', '-cf', archive, what] },
  },
  {
    name: 'bsdtar',
    command: 'bsdtar',
    list: (archive) => ['-tf', archive],
    extract: (archive) => ['-xf', archive],
    create: {
      ustar: (archive, what) => ['--format=ustar', '-cf', archive, what],
      pax: (archive, what) => ['--format=pax', '-cf', archive, what],
      its: (archive, what) => ['-cf', archive, what],
    },
  },
  {
    name: "Python's tarfile",
    command: 'python3',
    list: (archive) => ['-c', PYTHON.list, archive],
    extract: (archive) => ['-c', PYTHON.extract, archive],
    create: { ustar: python('USTAR_FORMAT'), gnu: python('GNU_FORMAT'), pax: python('PAX_FORMAT') },
  },
]
const isThere = ({ command }: Program): boolean => spawnSync(command, ['--help']).error === undefined
const skipped = (program: Program): string => (isThere(program) ? '' : ` (skipped: no ${program.command})`)

const dir = mkdtempSync(join(tmpdir(), 'psdb-tar-'))
afterAll(() => rmSync(dir, { recursive: true, force: true }))
beforeAll(async () => {
  if (why !== '') return
  const args = ['-s', '-C', psdbFolder, `OUT=${join(dir, 'host')}`, 'host-faults']
  const { code, stderr } = await run('make', args, { timeoutMs: 280_000 })
  expect(code, stderr).toBe(0)
})

function open(disk: string, size: number, args: readonly string[] = []): Promise<PsdbProcess> {
  const binary = join(dir, 'host/psdb-host-faults')
  return openPsdbProcess({ disk, size, tenants: TENANTS, binary, args, region: 4 << 20 })
}

/** The members' names; directories without the slash at the end. */
async function listed(program: Program, archive: string): Promise<string[]> {
  const { code, stdout, stderr } = await run(program.command, program.list(archive))
  expect([code, stderr]).toEqual([0, ''])
  return stdout
    .split('\n')
    .slice(0, -1)
    .map((name) => name.replace(/\/$/, ''))
}

const hash = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

/** Hashes of all files, by their paths. */
function filesBelow(root: string): Map<string, string> {
  const files = new Map<string, string>()
  for (const entry of readdirSync(root, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name)
    if (entry.isFile()) files.set(relative(root, path), hash(readFileSync(path)))
  }
  return files
}

async function extracted(program: Program, archive: string): Promise<Map<string, string>> {
  const root = mkdtempSync(join(dir, 'extract-'))
  const { code, stderr } = await run(program.command, program.extract(archive), { cwd: root })
  expect([code, stderr]).toEqual([0, ''])
  const files = filesBelow(root)
  rmSync(root, { recursive: true, force: true })
  return files
}

/** The acknowledged writes, and those in flight at the power cut: hashes of files by path. */
class Expected {
  readonly acknowledged = new Map<string, string>()
  readonly perhaps = new Map<string, Set<string>>()

  async write(path: string, bytes: Uint8Array, verb: () => Promise<void>): Promise<void> {
    const mine = hash(bytes)
    try {
      await verb()
      this.acknowledged.set(path, mine)
    } catch (error) {
      if (!(error instanceof StorageError) || error.code === 'io') {
        const others = this.perhaps.get(path) ?? new Set()
        this.perhaps.set(path, others.add(mine))
      }
      throw error
    }
  }

  check(files: Map<string, string>): void {
    for (const [path, mine] of this.acknowledged) {
      const found = files.get(path)
      const may = this.perhaps.get(path)
      expect(found === mine || (found !== undefined && may?.has(found)), path).toBe(true)
    }
    for (const path of files.keys()) {
      if (path.startsWith('.psdb/')) continue
      expect(this.acknowledged.has(path) || this.perhaps.has(path), path).toBe(true)
    }
  }
}

interface Ledger {
  tenant: string
  storage: PsdbStorage
  expected: Expected
  /** The next bundle, the next tail file. */
  next: number
}

function readableName(path: string): ReadableName {
  return path === 'checkpoint' ? { kind: 'checkpoint' } : parseSealedName(path)
}

const threeDigits = (index: number): string => `${index}`.padStart(3, '0')

/** A few concurrent writes; rejects when the power fails. */
async function writeSome(ledger: Ledger, bytes: number): Promise<void> {
  const { tenant, storage, expected } = ledger
  const index = ledger.next++
  const bundle = randomBytes(bytes)
  const tile = randomBytes(11_520)
  const commit = randomBytes(300 + (index % 700))
  const tail = `tail/${`${index * 256}`.padStart(12, '0')}`
  const checkpoint = randomBytes(180)
  const paths = [`tile/entries/${threeDigits(index)}.b64`, `tile/0/${threeDigits(index)}.b64`] as const
  const results = await Promise.allSettled([
    expected.write(`${tenant}/${tail}`, commit, () =>
      storage.beginTail(index * 256, index * 256 + 1, commit),
    ),
    expected.write(`${tenant}/${paths[0]}`, bundle, () => storage.seal({ kind: 'bundle', index }, bundle)),
    expected.write(`${tenant}/${paths[1]}`, tile, () =>
      storage.seal({ kind: 'tile', level: 0, index }, tile),
    ),
    expected.write(`${tenant}/checkpoint`, checkpoint, () => storage.publish(checkpoint)),
  ])
  for (const result of results) if (result.status === 'rejected') throw result.reason
}

function openLedgers(host: PsdbProcess, expected: Expected, next: number): Ledger[] {
  return TENANTS.map((tenant) => ({
    tenant,
    storage: openPsdbStorage(host.client(tenant), 'main'),
    expected,
    next,
  }))
}

/** Writes until the power fails at the `cut`th write of the disk. */
async function session(
  disk: string,
  size: number,
  expected: Expected,
  cut: number,
  next: number,
): Promise<number> {
  const host = await open(disk, size, ['--cut', `${cut}`, '--seed', `${cut * 31 + next}`])
  const ledgers = openLedgers(host, expected, next)
  try {
    for (;;) await Promise.all(ledgers.map((ledger, i) => writeSome(ledger, 20_000 + 9000 * i)))
  } catch (error) {
    expect(error).toBeInstanceOf(StorageError)
  }
  const exit = await host.exited
  expect(exit.code).toBe(99)
  return Math.max(...ledgers.map((ledger) => ledger.next))
}

/** Fills the disk to the last sector. */
async function fill(disk: string, size: number, expected: Expected, next: number): Promise<void> {
  const host = await open(disk, size)
  const [ledger] = openLedgers(host, expected, next)
  if (ledger === undefined) throw new Error('no ledger')
  const { storage } = ledger
  for (let bytes = 600_000; bytes > 1000; bytes = Math.floor(bytes / 2)) {
    try {
      for (;;) await writeSome(ledger, bytes)
    } catch (error) {
      expect((error as StorageError).code).toBe('full')
    }
  }
  for (let i = 0; i < 40; i++) {
    const { free } = await storage.stat()
    if (free < 4) break
    // A commit member takes two sectors, the object's header one. An object may have a megabyte at most.
    const bytes = randomBytes((free - 3) * SECTOR)
    const path = `keys/last-${i}.vkey`
    await expected.write(`acme/${path}`, bytes, () => storage.seal(parseSealedName(path), bytes))
  }
  await expect(storage.seal({ kind: 'origin' }, randomBytes(600))).rejects.toMatchObject({ code: 'full' })
  expect((await storage.stat()).free).toBeLessThan(4)
  await host.close()
}

/** The last bytes of a file. */
function end(path: string, bytes: number): Buffer {
  const buffer = Buffer.alloc(bytes)
  const file = openSync(path, 'r')
  readSync(file, buffer, 0, bytes, statSync(path).size - bytes)
  closeSync(file)
  return buffer
}

const readers = programs.filter(isThere)

describe.skipIf(why !== '')(`a disk image written in many sessions${why}`, () => {
  const disk = join(dir, 'disk.img')
  const size = 18 * 1024 * 1024
  const expected = new Expected()

  it('gives the same members in every program after each power cut', async () => {
    let next = 0
    for (const cut of [3, 9, 2, 14, 5, 21, 1, 34, 4, 8, 55, 13]) {
      next = await session(disk, size, expected, cut, next)
      const lists = await Promise.all(readers.map((reader) => listed(reader, disk)))
      for (const list of lists) expect(list).toEqual(lists[0])
    }
    expect(expected.acknowledged.size).toBeGreaterThan(40)
    await fill(disk, size, expected, next)
    expect(end(disk, 2 * SECTOR).every((byte) => byte === 0)).toBe(true)
  })

  for (const program of programs) {
    it.skipIf(!isThere(program))(
      `is extracted by ${program.name}, full to the last sector${skipped(program)}`,
      async () => {
        const list = await listed(program, disk)
        expect(list.filter((name) => name === '.psdb/index')).toHaveLength(1)
        const files = await extracted(program, disk)
        expect(files.size).toBe(new Set(list).size - directories(list))
        expected.check(files)
      },
    )
  }
})

/** How many of the names are directories: here, those of the tenants. */
function directories(list: readonly string[]): number {
  return new Set(list.filter((name) => TENANTS.some((tenant) => name === tenant))).size
}

async function tailOf(host: PsdbProcess): Promise<number[]> {
  const starts: number[] = []
  for await (const file of openPsdbStorage(host.client('acme'), 'main').tail()) starts.push(file.start)
  return starts
}

/** The files of two ledgers, and a running process's other files. */
function makeFiles(root: string): Map<string, Uint8Array> {
  const files = new Map<string, Uint8Array>()
  for (const tenant of TENANTS) {
    for (const path of ['README.txt', 'origin', 'keys/ed25519.vkey', 'checkpoint', 'tile/entries/000.b64'])
      files.set(`${tenant}/${path}`, randomBytes(1000))
    files.set(`${tenant}/tile/entries/x001/234.b64`, randomBytes(70_000))
    files.set(`${tenant}/tail/000000000256`, randomBytes(512))
    files.set(`${tenant}/audit/origin`, randomBytes(33))
    files.set(`${tenant}/lock`, randomBytes(5))
    files.set(`${tenant}/tmp/1`, randomBytes(5))
  }
  for (const [path, bytes] of files) {
    mkdirSync(dirname(join(root, path)), { recursive: true })
    writeFileSync(join(root, path), bytes)
  }
  return files
}

/** A name too long for a ustar header, in a folder that the store ignores. */
function putLongName(root: string, there: boolean): void {
  const path = join(root, 'acme/tmp', 'long-name-'.repeat(15))
  rmSync(path, { force: true })
  if (there) writeFileSync(path, 'some')
}

describe.skipIf(why !== '')(`an archive by another program${why}`, () => {
  const root = join(dir, 'root')
  let files = new Map<string, Uint8Array>()
  beforeAll(() => {
    files = makeFiles(root)
  })

  /** Each file, read from the store. */
  async function checkRead(host: PsdbProcess): Promise<void> {
    for (const [path, bytes] of files) {
      const [, tenant = '', rest = ''] = /^([^/]+)\/(.*)$/.exec(path) ?? []
      if (rest === 'lock' || rest.startsWith('tmp/') || rest.startsWith('tail/')) continue
      const audit = rest.startsWith('audit/')
      const storage = openPsdbStorage(host.client(tenant), audit ? 'audit' : 'main')
      const read = await storage.read(readableName(audit ? rest.slice('audit/'.length) : rest))
      expect(read && hash(read), path).toBe(hash(bytes))
    }
  }

  for (const program of programs)
    for (const [format, create] of Object.entries(program.create))
      for (const what of ['.', 'acme']) {
        const title = `by ${program.name}, ${format} format, of ${what === '.' ? 'everything' : what}`
        it.skipIf(!isThere(program))(title + skipped(program), async () => {
          const disk = join(dir, `made-${program.command}-${format}-${what === '.' ? 'all' : what}.tar`)
          putLongName(root, format === 'gnu' || program.command === 'busybox')
          const made = await run(program.command, create(disk, what), { cwd: root })
          expect([made.code, made.stderr]).toEqual([0, ''])
          const host = await open(disk, 4 << 20)
          if (what === '.') await checkRead(host)
          expect(await tailOf(host)).toEqual([256])
          const added = randomBytes(2000)
          await openPsdbStorage(host.client('acme'), 'main').seal({ kind: 'tile', level: 0, index: 0 }, added)
          await host.close()
          for (const reader of readers) {
            const found = await extracted(reader, disk)
            expect(found.get('acme/tile/0/000.b64'), reader.name).toBe(hash(added))
            expect(found.get('acme/tail/000000000256')).toBe(
              hash(files.get('acme/tail/000000000256') ?? added),
            )
          }
        })
      }

  it('stays unchanged when it cannot be opened', async () => {
    const disk = join(dir, 'broken.tar')
    const made = await run('tar', ['-cf', disk, 'acme'], { cwd: root })
    expect(made.code).toBe(0)
    const bytes = readFileSync(disk)
    bytes[130] = 0x39
    writeFileSync(disk, bytes)
    await expect(open(disk, bytes.length)).rejects.toMatchObject({
      code: 'corrupt',
      message: expect.stringMatching(/sector \d+.*expected .*found /) as string,
    })
    expect(readFileSync(disk).equals(bytes)).toBe(true)
  })
})
