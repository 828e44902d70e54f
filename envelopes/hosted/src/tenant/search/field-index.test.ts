// Compares the fields of the search index with a plain filter over random documents.
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { SearchField } from '@service-fs/format/json-fields'
import { Selection, type SelectionFields } from '@service-fs/format/selection'
import type { Ledger } from '@service-fs/ledger/ledger'
import type { NewRecord } from '@service-fs/ledger/record'
import { openTestLedger, TestRuntime } from '@service-fs/ledger/testing-native'
import { nativeCodec } from '@service-fs/native/native'
import { Random } from '@service-fs/storage/random'
import { searchPage } from '@service-fs/wire/search-page'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { SegmentIndex, type SearchIndexOptions } from './search-index.ts'

const BUNDLES = 2
const SEGMENT = BUNDLES * 256
const QUERIES = process.env['QUICK'] === undefined ? 40 : 10
const JSON_TYPE = 'application/json'

const ID = { type: JSON_TYPE, pointer: '/customer/id' }
const SKU = { type: JSON_TYPE, pointer: '/lines/1/sku' }
const NOTE = { type: 'x/y', pointer: '/a~1b~0c' }
const OTHER_ID = { type: 'x/y', pointer: '/customer/id' }
const DECLARED: readonly SearchField[] = [ID, SKU, NOTE, OTHER_ID]

interface Document {
  customer?: { id?: unknown }
  lines?: { sku?: unknown }[]
  'a/b~c'?: unknown
  padding?: string
}

/** A record as the model knows it. */
interface Row {
  index: number
  id: string
  type: string
  /** Undefined if the payload is not JSON, or too long. */
  document: Document | undefined
}

let dir = ''
let reports: string[] = []
const indexes: SegmentIndex[] = []

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'fields-'))
  reports = []
})
afterEach(async () => {
  for (const index of indexes.splice(0)) await index.close()
  await rm(dir, { recursive: true, force: true })
})

const VALUES: readonly unknown[] = [
  0,
  1,
  4711,
  -0.5,
  1e21,
  '4711',
  '',
  'ü',
  'x=y',
  true,
  false,
  null,
  [1],
  {},
]

function someDocument(random: Random): Document {
  const value = (): unknown => (random.chance(0.3) ? random.below(2000) : VALUES[random.below(VALUES.length)])
  return {
    ...(random.chance(0.8) ? { customer: random.chance(0.9) ? { id: value() } : {} } : {}),
    ...(random.chance(0.5) ? { lines: [{ sku: value() }, { sku: value() }] } : {}),
    ...(random.chance(0.5) ? { 'a/b~c': value() } : {}),
    // Some records are split, and some are too long to be examined.
    ...(random.chance(0.02) ? { padding: 'x'.repeat(random.chance(0.1) ? 1_100_000 : 150_000) } : {}),
  }
}

function bytesOf(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text))
}

async function grow(ledger: Ledger, random: Random, records: number): Promise<Row[]> {
  const rows: Row[] = []
  for (let at = 0; at < records;) {
    const batch: NewRecord[] = []
    const added: Omit<Row, 'index'>[] = []
    for (const end = at + 1 + random.below(60); at < Math.min(end, records); at++) {
      const id = `${random.chance(0.5) ? 'a' : 'b'}-${ledger.size}-${at}`
      const type = [JSON_TYPE, JSON_TYPE, 'x/y', 'text/plain'][random.below(4)] ?? ''
      const document = someDocument(random)
      const isBroken = random.chance(0.05)
      const text = isBroken ? `${JSON.stringify(document)}}` : JSON.stringify(document)
      batch.push({ id, type, payload: bytesOf(text) })
      added.push({ id, type, document: isBroken || text.length > 2 ** 20 ? undefined : document })
    }
    const { entries } = await ledger.append(batch)
    rows.push(...added.map((row, i) => ({ ...row, index: entries[i]?.index ?? -1 })))
  }
  return rows
}

/** The model of a field's text. */
function textOf({ pointer }: SearchField, document: Document | undefined): string | undefined {
  const value =
    pointer === ID.pointer
      ? document?.customer?.id
      : pointer === SKU.pointer
        ? document?.lines?.[1]?.sku
        : document?.['a/b~c']
  if (typeof value === 'string') return value
  return value === undefined || (typeof value === 'object' && value !== null)
    ? undefined
    : JSON.stringify(value)
}

interface Query extends SelectionFields {
  readonly where: readonly string[]
}

/** The model: a plain filter. A record must have a type for which each field is declared. */
function expected(rows: readonly Row[], declared: readonly SearchField[], query: Query): number[] {
  const meets = (row: Row, condition: string): boolean => {
    const [pointer = '', ...text] = condition.split('=')
    const field = declared.find((one) => one.type === row.type && one.pointer === pointer)
    return field !== undefined && textOf(field, row.document) === text.join('=')
  }
  return rows
    .filter(
      (row) =>
        (query.type === undefined || row.type === query.type) &&
        row.id.startsWith(query.prefix ?? '') &&
        query.where.every((condition) => meets(row, condition)),
    )
    .map(({ index }) => index)
}

function someQuery(rows: readonly Row[], declared: readonly SearchField[], random: Random): Query {
  const field = declared[random.below(declared.length)] as SearchField
  const row = rows[random.below(rows.length)] as Row
  const text = textOf(field, row.document) ?? String(random.below(2000))
  const second = declared.find(({ type, pointer }) => type === field.type && pointer !== field.pointer)
  const where = [`${field.pointer}=${text}`]
  if (second !== undefined && random.chance(0.3))
    where.push(`${second.pointer}=${textOf(second, row.document) ?? '1'}`)
  return {
    where,
    ...(random.chance(0.4) ? { type: field.type } : {}),
    ...(random.chance(0.3) ? { prefix: 'a' } : {}),
  }
}

function openIndex(
  ledger: Ledger,
  fields: readonly SearchField[],
  options: Partial<SearchIndexOptions> = {},
): SegmentIndex {
  const index = new SegmentIndex(ledger, dir, {
    report: (reason) => reports.push(reason),
    after: (_, run) => void setImmediate(run),
    bundles: BUNDLES,
    fields,
    ...options,
  })
  indexes.push(index)
  return index
}

/** Returns the hits, and the number of entries that were read for them. */
async function found(
  ledger: Ledger,
  index: SegmentIndex,
  declared: readonly SearchField[],
  query: Query,
): Promise<{ hits: number[]; read: number }> {
  const selection = new Selection(query, nativeCodec)
  const pointers = selection.where?.map(({ pointer }) => pointer) ?? []
  const types = new Set(
    declared
      .map(({ type }) => type)
      .filter((type) =>
        pointers.every((pointer) => declared.some((one) => one.type === type && one.pointer === pointer)),
      ),
  )
  let read = 0
  const counted = {
    record: (at: number) => ledger.record(at),
    entries: (from: number, to: number) => {
      read += to - from
      return ledger.entries(from, to)
    },
  }
  const hits: number[] = []
  const { size } = ledger
  const fixed = { ledger: counted, index, codec: nativeCodec, selection, types, size, limit: 20, most: 4000 }
  for (let after = 0; after < size;) {
    const page = await searchPage({ ...fixed, after })
    expect(page.end).toBeGreaterThan(after)
    hits.push(...page.hits.map((hit) => hit.index))
    after = page.end
  }
  return { hits, read }
}

async function check(
  ledger: Ledger,
  index: SegmentIndex,
  rows: readonly Row[],
  declared: readonly SearchField[],
  random: Random,
): Promise<void> {
  for (let i = 0; i < QUERIES; i++) {
    const query = someQuery(rows, declared, random)
    const { hits } = await found(ledger, index, declared, query)
    expect(hits, JSON.stringify(query)).toEqual(expected(rows, declared, query))
  }
}

/** Waits until the index has the declared fields of every full bundle. Asks about each bundle, because that opens its segment. */
async function caughtUp(ledger: Ledger, index: SegmentIndex): Promise<void> {
  const full = ledger.size - (ledger.size % 256)
  const covered = async (): Promise<unknown> => {
    const places = []
    for (let at = 0; at < full; at += 256) places.push(await index.places(new Selection({}), at, full))
    return [places.indexOf(undefined), index.status.entries]
  }
  await expect.poll(covered, { interval: 5 }).toEqual([-1, full])
}

async function ledgerOf(seed: number): Promise<{ ledger: Ledger; rows: Row[]; random: Random }> {
  const random = new Random(seed)
  const ledger = await openTestLedger({ runtime: new TestRuntime() })
  return { ledger, rows: await grow(ledger, random, 1100), random }
}

it.each([1, 2])(
  'the search index finds the same records by fields as a filter over all of them, while the ledger grows: ledger %i',
  async (seed) => {
    const { ledger, rows, random } = await ledgerOf(seed)
    const index = openIndex(ledger, DECLARED)
    await check(ledger, index, rows, DECLARED, random)
    await caughtUp(ledger, index)
    await check(ledger, index, rows, DECLARED, random)
    rows.push(...(await grow(ledger, random, 500)))
    await check(ledger, index, rows, DECLARED, random)
    await caughtUp(ledger, index)
    await check(ledger, index, rows, DECLARED, random)
    const bytes = await Promise.all((await readdir(dir)).map((name) => readFile(join(dir, name))))
    expect(index.status.bytes).toBe(bytes.reduce((sum, file) => sum + file.length, 0))
    await expect.poll(() => index.status.isIndexing).toBe(false)
    expect(reports).toEqual([])
  },
)

it('the search index reads few entries for a value that few records have', async () => {
  const { ledger, rows } = await ledgerOf(3)
  const index = openIndex(ledger, DECLARED)
  await caughtUp(ledger, index)
  const row = rows.find(({ type, document }) => type === JSON_TYPE && document?.customer?.id === 4711)
  expect(row).toBeDefined()
  const query = { where: ['/customer/id=none'], type: JSON_TYPE }
  const { hits, read } = await found(ledger, index, DECLARED, query)
  expect(hits).toEqual([])
  // The search reads the entries after the last full bundle, and records whose last part is in the next bundle.
  expect(read).toBeLessThan(256 + 32)
})

it('the search index finds all records after a restart with other fields, and makes the segments again', async () => {
  const { ledger, rows, random } = await ledgerOf(4)
  const declarations = [[ID], DECLARED, [SKU, OTHER_ID], [], DECLARED]
  for (const declared of declarations) {
    const index = openIndex(ledger, declared)
    if (declared.length > 0) await check(ledger, index, rows, declared, random)
    await caughtUp(ledger, index)
    if (declared.length > 0) await check(ledger, index, rows, declared, random)
    await index.close()
  }
  expect(reports).toEqual([])
})

it('the search index uses the segments of an earlier run with more fields', async () => {
  const { ledger, rows, random } = await ledgerOf(5)
  const first = openIndex(ledger, DECLARED)
  await caughtUp(ledger, first)
  await first.close()
  const before = await Promise.all(['0', '1'].map((name) => readFile(join(dir, name))))
  const again = openIndex(ledger, [SKU])
  await caughtUp(ledger, again)
  await check(ledger, again, rows, [SKU], random)
  await again.close()
  expect(await Promise.all(['0', '1'].map((name) => readFile(join(dir, name))))).toEqual(before)
})

it('the search index uses segments without a declared field in a ledger that is opened read-only, and changes none', async () => {
  const { ledger, rows, random } = await ledgerOf(6)
  const first = openIndex(ledger, [])
  await caughtUp(ledger, first)
  await first.close()
  const before = await Promise.all(['0', '1'].map((name) => readFile(join(dir, name))))
  const index = openIndex(ledger, DECLARED, { writes: false })
  await check(ledger, index, rows, DECLARED, random)
  await index.close()
  expect(await Promise.all(['0', '1'].map((name) => readFile(join(dir, name))))).toEqual(before)
  expect(reports).toEqual([])
})

it('the search index finds everything by fields despite damage, and makes the segment again', async () => {
  const { ledger, rows, random } = await ledgerOf(7)
  const first = openIndex(ledger, DECLARED)
  await caughtUp(ledger, first)
  await first.close()
  const intact = await readFile(join(dir, '0'))
  for (let i = 0; i < QUERIES; i++) {
    const bytes = Buffer.from(intact)
    const at = random.below(bytes.length)
    bytes.writeUInt8(bytes.readUInt8(at) ^ (1 << random.below(8)), at)
    await writeFile(join(dir, '0'), i % 5 === 0 ? bytes.subarray(0, at) : bytes)
    const index = openIndex(ledger, DECLARED)
    await index.places(new Selection({}), 0, SEGMENT)
    // The index knows its files now.
    await expect.poll(() => index.status.entries, { interval: 1 }).toBeGreaterThanOrEqual(2 * SEGMENT)
    for (let j = 0; j < 3; j++) {
      const query = someQuery(rows, DECLARED, random)
      const { hits } = await found(ledger, index, DECLARED, query)
      expect(hits, `damage at ${at}: ${JSON.stringify(query)}`).toEqual(expected(rows, DECLARED, query))
    }
    await index.close()
  }
  expect(reports).not.toHaveLength(0)
  await writeFile(join(dir, '0'), intact.subarray(1))
  const again = openIndex(ledger, DECLARED)
  await caughtUp(ledger, again)
  expect(await readFile(join(dir, '0'))).toEqual(intact)
})

it('the search index does not report damage when another process replaced an open segment', async () => {
  const { ledger, rows, random } = await ledgerOf(8)
  const first = openIndex(ledger, DECLARED)
  await caughtUp(ledger, first)
  const other = openIndex(ledger, [ID])
  await caughtUp(ledger, other)
  await check(ledger, other, rows, [ID], random)
  // Another process with other fields writes the segments again, while `first` has the heads of the earlier ones.
  for (const name of await readdir(dir)) await rm(join(dir, name))
  const third = openIndex(ledger, [ID])
  await caughtUp(ledger, third)
  await check(ledger, first, rows, DECLARED, random)
  expect(reports).toEqual([])
})

it.each([62_000, 130_000, 1_000_000])(
  'the search index finds records of %i bytes, wherever they begin in a bundle',
  async (length) => {
    const ledger = await openTestLedger({ runtime: new TestRuntime() })
    const rows: number[] = []
    const parts = Math.ceil(length / 61_440)
    for (let i = 0; i < 3; i++) {
      // The first record begins where it just fits, the others begin before the end of a bundle.
      const fill = 512 - (ledger.size % 256) - Math.ceil(parts / (i + 1))
      const batch = Array.from({ length: fill }, (_, j) => ({
        id: `f${i}-${j}`,
        type: JSON_TYPE,
        payload: bytesOf('{"customer":{"id":1}}'),
      }))
      await ledger.append(batch)
      const document = { customer: { id: 'long' }, padding: 'x'.repeat(length) }
      const record = { id: `long-${i}`, type: JSON_TYPE, payload: bytesOf(JSON.stringify(document)) }
      const { entries } = await ledger.append([record])
      rows.push(entries[0]?.index ?? -1)
    }
    const index = openIndex(ledger, [ID])
    const query = { where: ['/customer/id=long'] }
    expect((await found(ledger, index, [ID], query)).hits).toEqual(rows)
    await caughtUp(ledger, index)
    expect((await found(ledger, index, [ID], query)).hits).toEqual(rows)
  },
)
