import { copyFile, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { RecordIndexDamage, type RecordIndex } from '@service-fs/ledger/record-index'
import { Random } from '@service-fs/storage/random'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { closePage, PAGE_BYTES, RECORDS_A_PAGE } from './page.ts'
import { openRecordIndex } from './record-index.ts'
import { DAMAGES, type Damage } from './testing.ts'

let dir: string
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'index-'))
})
afterEach(() => rm(dir, { recursive: true, force: true }))

it('the record index finds every put at once, and after reopening', async () => {
  const index = openRecordIndex(join(dir, 'cache/records'))
  expect([index.size, index.root]).toEqual([0, undefined])
  for (let i = 0; i < 1000; i++) {
    index.put([{ id: `r${i}`, index: i }], i + 1, `root${i + 1}`)
    expect(index.get(`r${i}`)).toBe(i)
    if (i % 100 === 0) await Promise.resolve()
  }
  expect(index.get('nobody')).toBeUndefined()
  await index.flush()
  expect(index.get('r500')).toBe(500)
  await index.close()

  const again = openRecordIndex(join(dir, 'cache/records'))
  expect([again.size, again.root]).toEqual([1000, 'root1000'])
  for (let i = 0; i < 1000; i++) expect(again.get(`r${i}`)).toBe(i)
  await again.clear()
  expect([again.size, again.root, again.get('r1')]).toEqual([0, undefined, undefined])
  again.put([{ id: '#', index: 7 }], 8, 'root8')
  await again.close()
  const third = openRecordIndex(join(dir, 'cache/records'))
  expect([third.size, third.root, third.get('#'), third.get('r1')]).toEqual([8, 'root8', 7, undefined])
  await third.close()
})

it('the record index covers entries at which no record starts', async () => {
  const index = openRecordIndex(dir)
  index.put([], 5, 'root5')
  await index.flush()
  await index.close()
  const again = openRecordIndex(dir)
  expect(again.size).toBe(5)
  await again.close()
})

it('the record index removes files that are not runs', async () => {
  const index = openRecordIndex(dir)
  index.put([{ id: 'a', index: 0 }], 1, 'root')
  await index.close()
  await writeFile(join(dir, 'CURRENT'), 'nonsense')
  await writeFile(join(dir, '0-1-00000000.run'), 'nonsense')
  await writeFile(join(dir, '1-2-00000000.new'), 'cut short')
  const reports: string[] = []
  const again = openRecordIndex(dir, { report: (reason) => reports.push(reason) })
  expect([again.size, again.root, again.get('a')]).toEqual([1, 'root', 0])
  expect(reports).toHaveLength(1)
  expect(await readdir(dir)).toHaveLength(1)
  await again.close()
})

const root = (size: number): string => `root${size}`

function fill(index: RecordIndex, to: number): void {
  while (index.size < to)
    index.put([{ id: `r${index.size}`, index: index.size }], index.size + 1, root(index.size + 1))
}

/** Looks up every record, and puts missing records again, as a ledger does. */
function expectWhole(index: RecordIndex, entries: number): void {
  for (let at = 0; at < entries;) {
    fill(index, entries)
    try {
      const found = index.get(`r${at}`)
      if (found !== at) throw new Error(`r${at}: expected ${at}, found ${found}`)
      at += 1
    } catch (error) {
      if (!(error instanceof RecordIndexDamage)) throw error
      expect(index.size).toBeLessThan(entries)
      expect(index.root).toBe(index.size === 0 ? undefined : root(index.size))
    }
  }
}

it.each(Object.keys(DAMAGES))('the record index misses nothing when %s in a run', async (name) => {
  const random = new Random(1_234)
  const damage = DAMAGES[name] as Damage
  for (let round = 0; round < 8; round++) {
    const cache = join(dir, String(round))
    const index = openRecordIndex(cache, { runEntries: 300, report: () => undefined })
    fill(index, 2_500)
    await index.close()
    const runs = await readdir(cache)
    const path = join(cache, runs[random.below(runs.length)] as string)
    const other = await readFile(join(cache, runs[random.below(runs.length)] as string))
    // Damages runs before the start and while the index is open.
    const opened = round % 2 === 0 ? undefined : openRecordIndex(cache, { runEntries: 300 })
    await writeFile(path, damage(await readFile(path), random, other))
    const again = opened ?? openRecordIndex(cache, { runEntries: 300 })
    expectWhole(again, 2_800)
    await again.close()
    const last = openRecordIndex(cache, { runEntries: 300 })
    expectWhole(last, 2_800)
    await last.close()
  }
})

it('the record index writes runs again after the directory of an open index was removed', async () => {
  const cache = join(dir, 'cache/records')
  const index = openRecordIndex(cache, { runEntries: 100 })
  fill(index, 1_000)
  await index.flush()
  // A merge may still create a file in the directory while rm removes it, so rm may fail because the directory is not empty.
  await rm(join(dir, 'cache'), { recursive: true, maxRetries: 20 })
  expectWhole(index, 1_500)
  await index.close()
  const again = openRecordIndex(cache, { runEntries: 100 })
  expectWhole(again, 1_500)
  await again.close()
})

it('the record index rejects a run that follows one of another ledger', async () => {
  const [one, other] = [join(dir, 'one'), join(dir, 'other')]
  for (const [cache, of] of [
    [one, 'root'],
    [other, 'else'],
  ] as const) {
    const index = openRecordIndex(cache, { runEntries: 100 })
    for (let at = 0; at < 300; at++) index.put([{ id: `${of}${at}`, index: at }], at + 1, `${of}${at + 1}`)
    await index.close()
  }
  for (const name of await readdir(one)) if (!name.startsWith('0-')) await rm(join(one, name))
  for (const name of await readdir(other))
    if (!name.startsWith('0-')) await copyFile(join(other, name), join(one, name))
  const index = openRecordIndex(one)
  expect(index.root).toBe(`root${index.size}`)
  await index.close()
})

it('the record index keeps records in memory when the disk is not writable', async () => {
  await writeFile(join(dir, 'file'), '')
  const reports: string[] = []
  const index = openRecordIndex(join(dir, 'file/records'), {
    runEntries: 100,
    report: (reason) => reports.push(reason),
  })
  expectWhole(index, 1_000)
  await index.flush()
  expectWhole(index, 1_000)
  expect(reports.length).toBeGreaterThan(0)
  await index.close()
})

it('the record index merges short runs into long ones as it grows', async () => {
  const index = openRecordIndex(dir, { runEntries: 64 })
  for (let size = 64; size <= 64 * 100; size += 64) {
    fill(index, size)
    await index.flush()
  }
  // 100 runs of one length become about log2(100) runs.
  await expect.poll(async () => (await readdir(dir)).length).toBeLessThanOrEqual(8)
  expectWhole(index, 6_400)
  await index.close()
})

it('the record index finds the records of the merged runs in the new run', async () => {
  const cache = join(dir, 'many')
  for (let restart = 1; restart <= 40; restart++) {
    const index = openRecordIndex(cache, { runEntries: 50 })
    expect(index.size).toBe((restart - 1) * 73)
    fill(index, restart * 73)
    await index.flush()
    await index.close()
  }
  const index = openRecordIndex(cache, { runEntries: 50 })
  expectWhole(index, 40 * 73)
  expect((await readdir(cache)).length).toBeLessThan(20)
  await index.close()
})

/** Writes `records` records as one run. */
async function writeRun(cache: string, records: number): Promise<string> {
  const index = openRecordIndex(cache)
  fill(index, records)
  await index.close()
  const [run = ''] = await readdir(cache)
  return join(cache, run)
}

const DATA_PAGES = Math.ceil(3_000 / RECORDS_A_PAGE)

it('the record index reads no page for an identifier that it does not have', async () => {
  const path = await writeRun(dir, 3_000)
  const index = openRecordIndex(dir)
  const bytes = await readFile(path)
  await writeFile(path, bytes.fill(0, PAGE_BYTES, (1 + DATA_PAGES) * PAGE_BYTES))
  let damaged = 0
  for (let i = 0; i < 3_000 && damaged === 0; i++) {
    try {
      expect(index.get(`absent ${i}`)).toBeUndefined()
    } catch (error) {
      expect(error).toBeInstanceOf(RecordIndexDamage)
      damaged += 1
    }
  }
  // About two of 3,000 pass the filter, and find the damage.
  if (damaged === 0) expect(() => index.get('r5')).toThrow(RecordIndexDamage)
  expectWhole(index, 3_000)
  await index.close()
})

it('the record index discards a run whose filter is damaged', async () => {
  const path = await writeRun(dir, 3_000)
  const bytes = await readFile(path)
  const filter = (1 + DATA_PAGES + 1) * PAGE_BYTES
  expect(bytes).toHaveLength(filter + 2 * PAGE_BYTES)
  await writeFile(path, bytes.fill(0, filter, filter + PAGE_BYTES))
  const reports: string[] = []
  const index = openRecordIndex(dir, { report: (reason) => reports.push(reason) })
  expect(reports).toEqual([expect.stringContaining('the checksum does not match')])
  expect(index.size).toBe(0)
  expectWhole(index, 3_000)
  await index.close()
})

it('the record index opens a run of an earlier version, which has no filter, and merges it', async () => {
  const path = await writeRun(dir, 3_000)
  const bytes = await readFile(path)
  const old = bytes.subarray(0, (1 + DATA_PAGES + 1) * PAGE_BYTES)
  old.write('service-fs/record-index/v1')
  closePage(old, 0, 'service-fs/record-index/v1', 0)
  await writeFile(path, old)
  const index = openRecordIndex(dir, { runEntries: 2_000, report: (reason) => expect.fail(reason) })
  expect([index.size, index.get('absent')]).toEqual([3_000, undefined])
  expectWhole(index, 7_000)
  await expect.poll(async () => (await readdir(dir)).length).toBe(1)
  expectWhole(index, 7_000)
  await index.close()
  const again = openRecordIndex(dir)
  expectWhole(again, 7_000)
  await again.close()
})

it('the record index finds the same records all at once as one by one', async () => {
  const index = openRecordIndex(dir, { runEntries: 300 })
  fill(index, 2_000)
  await index.flush()
  fill(index, 2_500)
  const ids = Array.from({ length: 400 }, (_, i) => (i % 3 === 0 ? `absent ${i}` : `r${(i * 37) % 2_500}`))
  expect(index.getAll([...ids, 'r7', 'r7'])).toEqual([...ids.map((id) => index.get(id)), 7, 7])
  expect(index.getAll([])).toEqual([])
  await index.close()
})

it('the record index finds identifiers with any characters, looked up alone and together', async () => {
  const index = openRecordIndex(dir, { runEntries: 20 })
  const ids = [
    'ä',
    '😀',
    'a\ud83d',
    '\ude00b',
    '\ud83d',
    'plain',
    'ab',
    'a',
    'b',
    '日本語',
    '',
    'i'.repeat(256),
  ]
  index.put(
    ids.map((id, i) => ({ id, index: i })),
    ids.length,
    'root',
  )
  expect(ids.map((id) => index.get(id))).toEqual([...ids.keys()])
  expect(index.getAll(ids)).toEqual([...ids.keys()])
  expect(index.getAll(['bä', 'a😀b', '\ude00'])).toEqual([undefined, undefined, 4])
  fill(index, 60)
  await index.flush()
  expect(index.getAll(ids)).toEqual([...ids.keys()])
  await index.close()
})
