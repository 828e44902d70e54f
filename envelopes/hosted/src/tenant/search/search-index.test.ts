import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseEntry } from '@service-fs/format/entry'
import { Selection, type SelectionFields } from '@service-fs/format/selection'
import type { Ledger } from '@service-fs/ledger/ledger'
import type { NewRecord } from '@service-fs/ledger/record'
import { openTestLedger, TestRuntime } from '@service-fs/ledger/testing-native'
import { nativeCodec } from '@service-fs/native/native'
import { Random } from '@service-fs/storage/random'
import { searchPage, type Hit } from '@service-fs/wire/search-page'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { SegmentIndex, type IndexedLedger, type SearchIndexOptions } from './search-index.ts'

/** Failures of the file system, by their codes, and the number of files opened. */
const disk = vi.hoisted(() => ({
  openFailure: undefined as string | undefined,
  writeFailure: undefined as string | undefined,
  opened: 0,
}))
function failed(code: string): Error {
  return Object.assign(new Error(code), { code })
}
vi.mock('node:fs/promises', async (original) => {
  const real = await original<typeof import('node:fs/promises')>()
  const open: typeof real.open = async (...parameters) => {
    if (disk.openFailure !== undefined) throw failed(disk.openFailure)
    disk.opened += 1
    return real.open(...parameters)
  }
  const write = async (path: string, bytes: Buffer, options: object): Promise<void> => {
    await real.writeFile(path, bytes, options)
    if (disk.writeFailure !== undefined) throw failed(disk.writeFailure)
  }
  return { ...real, open, writeFile: write }
})

const BUNDLES = 2
const SEGMENT = BUNDLES * 256
const TYPES = ['text/plain', 'application/json', 'x/y']
const IDS = ['inv-', 'inv/2026/', 'ä', '😀-', 'note ']

let dir = ''
let reports: string[] = []
const indexes: SegmentIndex[] = []

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'search-'))
  reports = []
})
afterEach(async () => {
  for (const index of indexes.splice(0)) await index.close()
  await rm(dir, { recursive: true, force: true })
})

/** Appends random records, some of them split. The clock moves between batches, and an operator corrects it once. */
async function grow(ledger: Ledger, runtime: TestRuntime, random: Random, records: number): Promise<void> {
  const name = `${ledger.size}-`
  for (let at = 0; at < records;) {
    const batch: NewRecord[] = []
    for (const end = at + 1 + random.below(100); at < Math.min(end, records); at++) {
      const id = `${IDS[random.below(IDS.length)]}${name}${at}`
      const bytes = random.below(100) === 0 ? 130_000 : random.below(40)
      batch.push({ id, type: TYPES[random.below(TYPES.length)] ?? '', payload: new Uint8Array(bytes) })
    }
    await ledger.append(batch)
    runtime.advance(random.below(5_000))
  }
}

async function correct(ledger: Ledger, runtime: TestRuntime): Promise<void> {
  const { newest = '' } = await ledger.clock()
  runtime.time -= 60_000
  await ledger.correctClock(`correction-${ledger.size}`, {
    newest,
    reason: 'r',
    subject: 's',
    request_id: 'q',
  })
}

async function hitsOf(ledger: Ledger): Promise<Hit[]> {
  const hits: Hit[] = []
  for (let index = 0; index < ledger.size; index++) {
    const { header, continuation } = parseEntry(await ledger.entry(index), nativeCodec)
    const { id, type, time } = header
    if (continuation === undefined) hits.push({ index, id, type, time })
  }
  return hits
}

/** Returns the part of a ledger that the index uses, at the ledger's present size. */
function only(ledger: Ledger): IndexedLedger {
  return {
    size: ledger.size,
    entries: (from, to) => ledger.entries(from, to),
    tileHash: (level, at) => ledger.tileHash(level, at),
    grown: (size) => ledger.grown(size),
  }
}

function openIndex(ledger: IndexedLedger, options: Partial<SearchIndexOptions> = {}): SegmentIndex {
  const index = new SegmentIndex(ledger, dir, {
    report: (reason) => reports.push(reason),
    after: (_, run) => void setImmediate(run),
    bundles: BUNDLES,
    ...options,
  })
  indexes.push(index)
  return index
}

async function found(ledger: Ledger, index: SegmentIndex, fields: SelectionFields): Promise<Hit[]> {
  const selection = new Selection(fields)
  const hits: Hit[] = []
  const { size } = ledger
  const fixed = { ledger, index, codec: nativeCodec, selection, size, limit: 50, most: 2000 }
  for (let after = 0; after < size;) {
    const page = await searchPage({ ...fixed, after })
    expect(page.end).toBeGreaterThan(after)
    hits.push(...page.hits)
    after = page.end
  }
  return hits
}

/** The model: a plain filter over all records. */
function expected(hits: readonly Hit[], { from, to, type, prefix = '' }: SelectionFields): Hit[] {
  const start = Buffer.from(prefix)
  return hits.filter(
    (hit) =>
      (from === undefined || Date.parse(hit.time) >= Date.parse(from)) &&
      (to === undefined || Date.parse(hit.time) < Date.parse(to)) &&
      (type === undefined || hit.type === type) &&
      Buffer.from(hit.id).subarray(0, start.length).equals(start),
  )
}

function someFields(hits: readonly Hit[], random: Random): SelectionFields {
  const one = (): Hit => hits[random.below(hits.length)] as Hit
  const times = [one().time, one().time].toSorted((a, b) => (a < b ? -1 : 1))
  return {
    ...(random.chance(0.4) ? { from: times[0] as string } : {}),
    ...(random.chance(0.4) ? { to: times[1] as string } : {}),
    ...(random.chance(0.5) ? { type: one().type } : {}),
    ...(random.chance(0.6)
      ? {
          prefix: Array.from(one().id)
            .slice(0, 1 + random.below(8))
            .join(''),
        }
      : {}),
  }
}

async function check(ledger: Ledger, index: SegmentIndex, random: Random, times: number): Promise<void> {
  const hits = await hitsOf(ledger)
  for (let i = 0; i < times; i++) {
    const fields = someFields(hits, random)
    expect(await found(ledger, index, fields), JSON.stringify(fields)).toEqual(expected(hits, fields))
  }
}

/** Waits until the index covers every full bundle of the ledger. */
async function caughtUp(ledger: Ledger, index: SegmentIndex): Promise<void> {
  const full = ledger.size - (ledger.size % 256)
  for (let at = 0; at < full; at += 256)
    await expect
      .poll(() => index.places(new Selection({}), at, full), { interval: 5, message: `entry ${at}` })
      .toBeDefined()
}

async function ledgerOf(
  seed: number,
  records: number,
): Promise<{ ledger: Ledger; runtime: TestRuntime; random: Random }> {
  const random = new Random(seed)
  const runtime = new TestRuntime()
  const ledger = await openTestLedger({ runtime })
  await grow(ledger, runtime, random, records)
  return { ledger, runtime, random }
}

it.each([1, 2])(
  'the search index finds the same records as a filter over all of them, while the ledger grows: ledger %i',
  async (seed) => {
    const { ledger, runtime, random } = await ledgerOf(seed, 700)
    const index = openIndex(ledger)
    await check(ledger, index, random, 5)
    await caughtUp(ledger, index)
    await check(ledger, index, random, 20)
    await correct(ledger, runtime)
    await grow(ledger, runtime, random, 600)
    await check(ledger, index, random, 5)
    await caughtUp(ledger, index)
    await check(ledger, index, random, 20)
    expect((await readdir(dir)).length).toBe(Math.floor(ledger.size / SEGMENT))
    expect(reports).toEqual([])
  },
)

it('the search index reads few entries once it covers the ledger', async () => {
  const { ledger } = await ledgerOf(3, 1200)
  const index = openIndex(ledger)
  await caughtUp(ledger, index)
  const hits = await hitsOf(ledger)
  const { id } = hits[500] as Hit
  const ranges: number[] = []
  for (let at = 0; at < ledger.size - 256;) {
    const places = await index.places(new Selection({ prefix: id }), at, ledger.size)
    for (const [from, to] of places?.ranges ?? []) ranges.push(to - from)
    at = places?.end ?? ledger.size
  }
  expect(ranges).toEqual([1])
})

it('the search index uses the segments of an earlier run', async () => {
  const { ledger, random } = await ledgerOf(4, 1100)
  const first = openIndex(ledger)
  await caughtUp(ledger, first)
  await first.close()
  const before = await readdir(dir)
  let read = 0
  const counting: IndexedLedger = {
    ...only(ledger),
    size: SEGMENT,
    entries: (from, to) => {
      read += 1
      return ledger.entries(from, to)
    },
  }
  const again = openIndex(counting)
  await expect.poll(() => again.places(new Selection({}), 0, SEGMENT)).toBeDefined()
  expect(read).toBe(0)
  await check(ledger, again, random, 5)
  expect(await readdir(dir)).toEqual(before)
})

it('the search index finds everything despite a damaged segment, and rebuilds it', async () => {
  const { ledger, random } = await ledgerOf(5, 1100)
  const first = openIndex(ledger)
  await caughtUp(ledger, first)
  await first.close()
  const intact = await readFile(join(dir, '0'))
  const hits = await hitsOf(ledger)
  for (let i = 0; i < 40; i++) {
    const bytes = Buffer.from(intact)
    if (i % 10 === 0) bytes.fill(0, random.below(bytes.length))
    else bytes.writeUInt8((bytes.readUInt8(i * 7) ^ (1 << random.below(8))) & 0xff, i * 7)
    const cut = i % 7 === 6 ? bytes.subarray(0, random.below(bytes.length)) : bytes
    await writeFile(join(dir, '0'), cut)
    const index = openIndex(ledger)
    await caughtUp(ledger, index)
    for (const fields of [{ type: 'x/y' }, { prefix: 'inv' }, someFields(hits, random)])
      expect(await found(ledger, index, fields), `damage ${i}`).toEqual(expected(hits, fields))
    await caughtUp(ledger, index)
    await index.close()
  }
  expect(reports.length).toBeGreaterThanOrEqual(35)
  expect(await readFile(join(dir, '0'))).toEqual(intact)
})

it('the search index rebuilds segments that were deleted, or that belong to another ledger', async () => {
  const { ledger, random } = await ledgerOf(6, 1100)
  const { ledger: other } = await ledgerOf(7, 1100)
  const foreign = openIndex(other)
  await caughtUp(other, foreign)
  await foreign.close()
  const index = openIndex(ledger)
  await caughtUp(ledger, index)
  await check(ledger, index, random, 5)
  expect(reports.filter((reason) => reason.includes('it belongs to other entries'))).not.toHaveLength(0)
  for (const name of await readdir(dir)) await rm(join(dir, name))
  await check(ledger, index, random, 5)
  // The index may write a segment meanwhile.
  await rm(dir, { recursive: true, maxRetries: 10, retryDelay: 5 })
  await check(ledger, index, random, 5)
  await caughtUp(ledger, index)
  expect(await readdir(dir)).not.toHaveLength(0)
})

it('the search index finds all records although it cannot write', async () => {
  const { ledger, random } = await ledgerOf(8, 1100)
  await rm(dir, { recursive: true })
  await writeFile(dir, 'not a directory')
  const index = openIndex(ledger)
  await check(ledger, index, random, 5)
  await expect.poll(() => reports).toHaveLength(2)
  await check(ledger, index, random, 5)
})

it('the search index writes nothing for a ledger that is opened read-only', async () => {
  const { ledger, random } = await ledgerOf(9, 1100)
  const index = openIndex(ledger, { writes: false })
  await check(ledger, index, random, 10)
  expect(await readdir(dir)).toEqual([])
  expect(reports).toEqual([])
})

it('the search index keeps a damaged segment of a ledger that is opened read-only, and finds everything', async () => {
  const { ledger, random } = await ledgerOf(11, 1100)
  const first = openIndex(ledger)
  await caughtUp(ledger, first)
  await first.close()
  const damaged = await readFile(join(dir, '0'))
  damaged[20]! ^= 1
  await writeFile(join(dir, '0'), damaged)
  const index = openIndex(ledger, { writes: false })
  const reported = async (): Promise<readonly string[]> => {
    await index.places(new Selection({}), 0, SEGMENT)
    return reports
  }
  await expect.poll(reported).toEqual([expect.stringContaining('searches read its entries instead')])
  await check(ledger, index, random, 10)
  expect(await readFile(join(dir, '0'))).toEqual(damaged)
  expect(reports).toHaveLength(1)
})

it('the search index keeps its segments when the process cannot open more files, and uses them afterwards', async () => {
  const { ledger, random } = await ledgerOf(12, 1100)
  const first = openIndex(ledger)
  await caughtUp(ledger, first)
  await first.close()
  const files = await readdir(dir)
  const index = openIndex(ledger)
  await expect.poll(() => index.places(new Selection({}), 0, SEGMENT)).toBeDefined()
  disk.openFailure = 'EMFILE'
  await check(ledger, index, random, 5)
  disk.openFailure = undefined
  expect(await readdir(dir)).toEqual(files)
  expect(await index.places(new Selection({}), 0, SEGMENT)).toBeDefined()
  expect(reports).toEqual([])
})

it('the search index makes a segment again when the disk has room, and leaves no other file', async () => {
  const { ledger, random } = await ledgerOf(13, 1100)
  const waiting: (() => void)[] = []
  const index = openIndex(ledger, {
    after: (ms, run) => void (ms === 60_000 ? waiting.push(run) : setImmediate(run)),
  })
  disk.writeFailure = 'ENOSPC'
  await check(ledger, index, random, 5)
  await expect.poll(() => waiting).toHaveLength(2)
  expect([await readdir(dir), reports.length]).toEqual([[], 2])
  disk.writeFailure = undefined
  for (const run of waiting) run()
  await expect.poll(() => readdir(dir)).toEqual(['0', '1'])
  await check(ledger, index, random, 5)
})

it('the search index keeps a bounded number of bytes of heads in memory', async () => {
  const { ledger } = await ledgerOf(14, 1100)
  const first = openIndex(ledger)
  await caughtUp(ledger, first)
  await first.close()
  const full = ledger.size - (ledger.size % SEGMENT)
  for (const [openBytes, rounds] of [
    [undefined, 1],
    [1, 2],
  ] as const) {
    const index = openIndex({ ...only(ledger), size: full }, openBytes === undefined ? {} : { openBytes })
    await expect.poll(() => index.places(new Selection({}), 0, full)).toBeDefined()
    disk.opened = 0
    for (let round = 0; round < 2; round++)
      for (let at = full - SEGMENT; at >= 0; at -= SEGMENT) await index.places(new Selection({}), at, full)
    // The first segment is open already. If only one fits, each segment is opened again.
    expect(disk.opened).toBe((rounds * full) / SEGMENT - 1 + (rounds - 1))
  }
})

it('the search index finds everything although the index cannot read an entry', async () => {
  const { ledger } = await ledgerOf(10, 1100)
  const failing: IndexedLedger = {
    size: ledger.size,
    entries: (from, to) => (from === 256 ? Promise.reject(new Error('damaged')) : ledger.entries(from, to)),
    tileHash: (level, at) => ledger.tileHash(level, at),
    grown: (size) => ledger.grown(size),
  }
  const index = openIndex(failing)
  const hits = await hitsOf(ledger)
  expect(await found(ledger, index, { type: 'x/y' })).toEqual(expected(hits, { type: 'x/y' }))
  await expect.poll(() => readdir(dir)).toContain('1')
  expect(await found(ledger, index, { type: 'x/y' })).toEqual(expected(hits, { type: 'x/y' }))
  expect(reports).toEqual([expect.stringContaining('0: damaged; searches read its entries instead')])
})
