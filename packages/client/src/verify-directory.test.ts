import { chmod, readFile, rename, rm, truncate, writeFile, appendFile } from 'node:fs/promises'
import { join } from 'node:path'
import { entriesOf, type RecordContent } from '@service-fs/format/entry'
import { afterEach, describe, expect, it } from 'vitest'
import { nativeHasher, sha256Hex } from '@service-fs/native/native'
import {
  checkpointOf,
  makeLedger,
  remove,
  temporary,
  testRecords,
  testSigner,
  writeBelow,
  type TestLedger,
} from './testing.ts'
import { verifyDirectory } from './verify-directory.ts'
import type { LedgerReport } from './verify.ts'

const dirs: string[] = []

async function made(ledger: TestLedger, withAudit = false): Promise<string> {
  const dir = await temporary()
  dirs.push(dir)
  await makeLedger(dir, ledger)
  if (withAudit)
    await makeLedger(join(dir, 'audit'), {
      records: testRecords(30),
      origin: 'example.org/ledger/test/audit',
    })
  return dir
}

afterEach(async () => {
  for (const dir of dirs.splice(0)) await remove(dir)
})

function files(report: LedgerReport): string[] {
  return [...new Set(report.problems.map(({ file }) => file))]
}

async function edit(dir: string, path: string, change: (text: string) => string): Promise<void> {
  const file = join(dir, path)
  await writeFile(file, change(await readFile(file, 'latin1')), 'latin1')
}

/** Changes one base64 character of line `line`, keeping it canonical. */
async function flip(dir: string, path: string, line: number): Promise<void> {
  await edit(dir, path, (text) => {
    const lines = text.split('\n')
    const old = lines[line - 1] ?? ''
    const at = Math.floor(old.length / 2)
    lines[line - 1] = old.slice(0, at) + (old[at] === 'A' ? 'B' : 'A') + old.slice(at + 1)
    return lines.join('\n')
  })
}

const large: RecordContent = {
  id: 'large',
  type: 'application/octet-stream',
  time: '2026-11-21T00:00:00.000Z',
  payload: Buffer.alloc(150_000, 'abc'),
}

describe('a valid ledger', () => {
  for (const tail of ['grow', 'each', 'export'] as const) {
    it(`verifies at every size around a bundle, tail ${tail}`, async () => {
      for (const size of [1, 9, 255, 256, 257, 512, 600]) {
        const dir = await made({ records: testRecords(size), tail })
        const report = await verifyDirectory(dir)
        expect(report.problems, `size ${size}`).toEqual([])
        expect(report).toMatchObject({ ok: true, size, entries: size, records: size, pinned: false })
      }
    })
  }

  it('a valid ledger without entries verifies', async () => {
    const report = await verifyDirectory(await made({ records: [] }))
    expect(report.problems).toEqual([])
    expect(report).toMatchObject({ ok: true, size: 0, entries: 0 })
  })

  it('a valid ledger with split records verifies, and its audit sub-ledger is verified too', async () => {
    const dir = await made({ records: [large, ...testRecords(300)] }, true)
    const report = await verifyDirectory(dir, { vkeys: [testSigner().vkey] })
    expect(report.problems).toEqual([])
    expect(report).toMatchObject({ ok: true, entries: 303, records: 301, pinned: true })
    expect(report.audit).toMatchObject({
      ok: true,
      records: 30,
      pinned: false,
      trust: 'self-consistent, key not pinned (from keys/)',
    })
  })

  it('a tail may begin with a signed checkpoint of the earlier entries, which is verified', async () => {
    const records = testRecords(270)
    const leaves = records
      .flatMap((record) => entriesOf(record, sha256Hex))
      .map((entry) => nativeHasher.leaf(entry))
    const begun = async (note: string): Promise<LedgerReport> => {
      const dir = await made({ records })
      const commit = `\n${Buffer.from(note).toString('latin1')}\n`
      await edit(dir, 'tail/000000000256', (text) => text.replace('\n\n', `\n\n${commit}`))
      return verifyDirectory(dir)
    }
    expect(await begun(await checkpointOf(leaves, 256))).toMatchObject({ ok: true, size: 270, problems: [] })
    expect((await begun(await checkpointOf([...leaves].reverse(), 256))).problems).toMatchObject([
      { file: 'tail/000000000256', index: 255, expected: expect.stringContaining('root hash') },
    ])
    expect((await begun(await checkpointOf(leaves, 255))).ok).toBe(false)
  })

  it('a valid ledger may have working files, a torn last commit, and padding after the last commit', async () => {
    const dir = await made({ records: testRecords(270) })
    await writeBelow(dir, 'lock', '17\n')
    await writeBelow(dir, 'cache/index', 'x')
    await appendFile(join(dir, 'tail/000000000256'), Buffer.alloc(700))
    expect(await verifyDirectory(dir)).toMatchObject({ ok: true })
    await truncate(
      join(dir, 'tail/000000000256'),
      (await readFile(join(dir, 'tail/000000000256'))).length - 700,
    )
    await appendFile(join(dir, 'tail/000000000256'), 'QUJD\nQUJ')
    const report = await verifyDirectory(dir)
    expect(report).toMatchObject({ ok: true, size: 270 })
    expect(report.notes.join()).toMatch(/incomplete/)
  })

  it('a valid ledger may have a torn commit if the next tail file begins where the complete commits end', async () => {
    const dir = await made({ records: testRecords(60), tail: 'each', commit: 20 })
    await appendFile(join(dir, 'tail/000000000020'), 'QUJD\nQUJ')
    const report = await verifyDirectory(dir)
    expect(report.problems).toEqual([])
    expect(report).toMatchObject({ ok: true, size: 60, checked: { commits: 3 } })
    expect(report.notes.join()).toMatch(/000020: the last commit is incomplete \(torn before/)
    await rename(join(dir, 'tail/000000000040'), join(dir, 'tail/000000000041'))
    expect((await verifyDirectory(dir)).problems).toContainEqual(
      expect.objectContaining({
        file: 'tail/000000000020',
        expected: 'the next tail file to begin at entry 40',
        found: 'tail/000000000041 after a torn commit',
      }),
    )
  })

  it('a valid ledger may have a tail that overlaps sealed bundles, and an older published checkpoint', async () => {
    const dir = await made({ records: testRecords(600), tail: 'each', commit: 50 })
    const entries = testRecords(600).flatMap((content) => entriesOf(content, sha256Hex))
    const leaves = entries.map((entry) => nativeHasher.leaf(entry))
    await writeFile(join(dir, 'checkpoint'), await checkpointOf(leaves, 333))
    const report = await verifyDirectory(dir)
    expect(report.problems).toEqual([])
    expect(report).toMatchObject({ ok: true, size: 600, checked: { commits: 12 } })
  })
})

describe('reports, with file and entry,', () => {
  it('an entry in a sealed bundle', async () => {
    const dir = await made({ records: testRecords(600) })
    await flip(dir, 'tile/entries/001.b64', 6)
    const report = await verifyDirectory(dir)
    expect(report.ok).toBe(false)
    expect(files(report)).toEqual(['tile/entries/001.b64'])
    expect(report.problems.at(-1)).toMatchObject({ line: 6, index: 261 })
  })

  it('a line of a hash tile, of either level', async () => {
    const low = await made({ records: testRecords(600), tail: 'export' })
    await flip(low, 'tile/0/000.b64', 9)
    const report = await verifyDirectory(low)
    expect(report.problems).toMatchObject([{ file: 'tile/0/000.b64', line: 9, index: 8 }])
    const high = await made({ records: testRecords(600), tail: 'export' })
    await flip(high, 'tile/1/000.p/2.b64', 2)
    expect((await verifyDirectory(high)).problems).toMatchObject([{ file: 'tile/1/000.p/2.b64', line: 2 }])
  })

  it('text that is not canonical', async () => {
    const dir = await made({ records: testRecords(300) })
    await edit(dir, 'tile/entries/000.b64', (text) => text.replace('\n', ' \n'))
    expect((await verifyDirectory(dir)).problems).toMatchObject([
      { file: 'tile/entries/000.b64', line: 1, index: 0 },
    ])
    await edit(dir, 'tile/0/000.b64', (text) => text.slice(0, -1))
    expect(files(await verifyDirectory(dir))).toContain('tile/0/000.b64')
  })

  it('an entry in the tail, its signature, its edge', async () => {
    const entry = await made({ records: testRecords(300) })
    await flip(entry, 'tail/000000000256', 5)
    expect((await verifyDirectory(entry)).problems.map(({ file }) => file)).toContain('tail/000000000256')
    const signature = await made({ records: testRecords(300) })
    await edit(signature, 'tail/000000000256', (text) =>
      text.replace(/(test [^\n]{30})./, (_, before: string) => before + '7'),
    )
    expect((await verifyDirectory(signature)).problems).toMatchObject([
      { file: 'tail/000000000256', index: 265 },
    ])
    const edge = await made({ records: testRecords(300) })
    await flip(edge, 'tail/000000000256', 1)
    expect((await verifyDirectory(edge)).problems).toMatchObject([{ file: 'tail/000000000256', line: 1 }])
  })

  it('a missing bundle, a missing tail', async () => {
    const bundle = await made({ records: testRecords(600) })
    await rm(join(bundle, 'tile/entries/001.b64'))
    expect((await verifyDirectory(bundle)).problems).toMatchObject([
      { file: 'tile/entries/001.b64', found: 'nothing' },
    ])
    const both = await made({ records: testRecords(600), tail: 'export' })
    await rm(join(both, 'tile/entries/001.b64'))
    await rm(join(both, 'tile/0/001.b64'))
    expect(files(await verifyDirectory(both)).sort()).toEqual(['tile/0/001.b64', 'tile/entries/001.b64'])
    const tail = await made({ records: testRecords(600) })
    await rm(join(tail, 'tail'), { recursive: true })
    expect((await verifyDirectory(tail)).ok).toBe(false)
  })

  it('files that do not belong to a ledger', async () => {
    const dir = await made({ records: testRecords(300) }, true)
    for (const path of [
      'notes.txt',
      'tile/0/000.b64~',
      'tile/0/00.b64',
      'tail/1',
      'keys/private.key',
      'audit/extra/x',
      'tile/entries/005.b64',
    ]) {
      await writeBelow(dir, path, 'x')
    }
    const report = await verifyDirectory(dir)
    const found = [
      'keys/private.key',
      'notes.txt',
      'tail/1',
      'tile/0/00.b64',
      'tile/0/000.b64~',
      'tile/entries/005.b64',
    ]
    expect(files(report).sort()).toEqual(found.sort())
    expect(report.audit?.problems).toMatchObject([{ file: 'extra' }])
    expect(report.ok).toBe(false)
  })

  it('a missing README, a bad key, an origin of two lines', async () => {
    const dir = await made({ records: testRecords(3) })
    await rm(join(dir, 'README.txt'))
    await writeBelow(dir, 'keys/second.vkey', testSigner().vkey)
    await writeFile(join(dir, 'origin'), 'example.org/ledger/test\nmore\n')
    expect(files(await verifyDirectory(dir)).sort()).toEqual(['README.txt', 'keys/second.vkey', 'origin'])
  })

  it('a checkpoint of another key, and a checkpoint that the tail does not reach', async () => {
    const dir = await made({ records: testRecords(300) })
    const other = await verifyDirectory(dir, { vkeys: [testSigner('example.org/ledger/test', 8).vkey] })
    expect(files(other)).toContain('checkpoint')
    const entries = testRecords(320).flatMap((content) => entriesOf(content, sha256Hex))
    const leaves = entries.map((entry) => nativeHasher.leaf(entry))
    await writeFile(join(dir, 'checkpoint'), await checkpointOf(leaves, 320))
    const lost = await verifyDirectory(dir)
    expect(lost.problems).toMatchObject([{ file: 'tail' }, { file: 'tile/entries/001.p/64.b64', index: 256 }])
  })

  it('times that go back, duplicate ids, incomplete split records, and other formats', async () => {
    const [a, b, c, d] = testRecords(4) as [RecordContent, RecordContent, RecordContent, RecordContent]
    const parts = entriesOf({ ...large, time: d.time }, sha256Hex)
    const changed = Buffer.from(parts[2] as Uint8Array)
    changed[changed.length - 1] = 0
    const bad = [
      ...entriesOf(b, sha256Hex),
      ...entriesOf(a, sha256Hex),
      ...entriesOf({ ...c, id: b.id }, sha256Hex),
      parts[0] as Uint8Array,
      parts[1] as Uint8Array,
      ...entriesOf(d, sha256Hex),
      parts[0] as Uint8Array,
      parts[1] as Uint8Array,
      changed,
      Buffer.from('not an entry'),
    ]
    const report = await verifyDirectory(await made({ entries: bad }))
    const found = report.problems.map(({ index, expected }) => `${index} ${expected}`)
    expect(found.filter((text) => text.startsWith('1 a time not before'))).toHaveLength(1)
    expect(found.filter((text) => text.startsWith('2 an id that no earlier record has'))).toHaveLength(1)
    expect(found.filter((text) => text.startsWith('5 part 3/3 of "large"'))).toHaveLength(1)
    expect(found.filter((text) => text.startsWith('8 sha256'))).toHaveLength(1)
    expect(found.filter((text) => text.startsWith('9 '))).toHaveLength(1)
    expect(found.filter((text) => text.startsWith('6 an id that no earlier record has'))).toHaveLength(1)
    expect(found).toHaveLength(6)
  })

  it('a directory that is not a ledger', async () => {
    await expect(verifyDirectory('/nowhere')).rejects.toMatchObject({ code: 'file' })
    const dir = await temporary()
    dirs.push(dir)
    await expect(verifyDirectory(dir)).rejects.toMatchObject({ code: 'file' })
    await chmod(dir, 0o755)
  })
})
