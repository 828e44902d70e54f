import { parseEntry } from '@service-fs/format/entry'
import type { Ledger } from '@service-fs/ledger/ledger'
import { openTestLedger, TestRuntime } from '@service-fs/ledger/testing-native'
import type { NewRecord } from '@service-fs/ledger/record'
import { MemoryStorage } from '@service-fs/storage/memory'
import { Random } from '@service-fs/storage/random'
import { describe, expect, it } from 'vitest'
import type { EntryRange, Places, SearchIndex } from './search-page.ts'
import { harness, type Harness } from './testing.ts'

interface Row {
  cursor: number
  payload_id: string
  type: string
  time: string
  index: number
}
interface Conditions {
  from?: string | undefined
  to?: string | undefined
  type?: string | undefined
  prefix?: string | undefined
}

const TYPES = ['text/plain', 'text/plain; charset=utf-8', 'application/json', 'x/y']
const IDS = ['inv-', 'inv/2026/', 'ä', '😀-', 'note ']

/** Returns a ledger of random records: some share a time, some are split, and the clock was corrected once. */
async function randomLedger(seed: number, records: number): Promise<{ ledger: Ledger; rows: Row[] }> {
  const random = new Random(seed)
  const runtime = new TestRuntime()
  const ledger = await openTestLedger({ runtime })
  const pick = <T>(values: readonly T[]): T => values[random.below(values.length)] as T
  let batch: NewRecord[] = []
  const append = async (): Promise<void> => {
    const together = batch
    batch = []
    if (together.length > 0) await ledger.append(together)
  }
  for (let i = 0; i < records; i++) {
    if (random.below(3) === 0) {
      await append()
      runtime.advance(random.below(5_000))
    }
    if (i === Math.floor(records / 2)) {
      await append()
      const { newest = '' } = await ledger.clock()
      runtime.time -= 60_000
      await ledger.correctClock('correction', { newest, reason: 'test', subject: 't', request_id: 'r' })
    }
    const bytes = random.below(60) === 0 ? 70_000 + random.below(130_000) : random.below(40)
    batch.push({ id: `${pick(IDS)}${i}`, type: pick(TYPES), payload: new Uint8Array(bytes) })
  }
  await append()
  const rows: Row[] = []
  for (let index = 0; index < ledger.size; index++) {
    const { header, continuation } = parseEntry(await ledger.entry(index))
    const { id, type, time } = header
    if (continuation === undefined) rows.push({ cursor: index + 1, payload_id: id, type, time, index })
  }
  return { ledger, rows }
}

/** The model: a plain filter over all records. */
function expected(rows: readonly Row[], { from, to, type, prefix }: Conditions): Row[] {
  const start = Buffer.from(prefix ?? '')
  return rows.filter(
    (row) =>
      (from === undefined || Date.parse(row.time) >= Date.parse(from)) &&
      (to === undefined || Date.parse(row.time) < Date.parse(to)) &&
      (type === undefined || row.type === type) &&
      Buffer.from(row.payload_id).subarray(0, start.length).equals(start),
  )
}

function target(conditions: Conditions, more: Readonly<Record<string, number>> = {}): string {
  const query = new URLSearchParams()
  for (const [name, value] of Object.entries({ ...conditions, ...more }))
    if (value !== undefined) query.set(name, value)
  return `/v1/search?${query.toString().replaceAll('+', '%20')}`
}

/** Follows the pages to the end, and checks each of them. */
async function everyHit(
  h: Harness,
  conditions: Conditions,
  limit: number,
): Promise<{ hits: Row[]; pages: number }> {
  const hits: Row[] = []
  let after = 0
  for (let pages = 1; ; pages++) {
    const { status, json } = await h.ask(target(conditions, { after, limit }))
    expect(status).toBe(200)
    expect(json.hits.length).toBeLessThanOrEqual(limit)
    for (const hit of json.hits) {
      expect(hit.cursor).toBeGreaterThan(after)
      expect(hit.cursor).toBeLessThanOrEqual(json.next_cursor)
    }
    hits.push(...json.hits)
    if (json.complete === true) return { hits, pages }
    expect(json.next_cursor).toBeGreaterThan(after)
    after = json.next_cursor
  }
}

/** Asks for the pages of a search for a field, until the last one or an error. */
async function everyPage(h: Harness, from: number): Promise<Awaited<ReturnType<Harness['ask']>>[]> {
  const pages = []
  for (let after = from; ;) {
    const page = await h.ask(`/v1/search?where=/a=1&limit=1000&after=${after}`)
    pages.push(page)
    if (page.status !== 200 || page.json.complete === true) return pages
    after = page.json.next_cursor
  }
}

function someConditions(rows: readonly Row[], random: Random): Conditions {
  const time = (): string => rows[random.below(rows.length)]?.time ?? ''
  const maybe = <T>(value: T): T | undefined => (random.below(2) === 0 ? value : undefined)
  const [a, b] = [time(), time()].sort((one, other) => (one < other ? -1 : 1))
  const id = rows[random.below(rows.length)]?.payload_id ?? ''
  return {
    from: maybe(a),
    to: maybe(b),
    type: maybe(TYPES[random.below(TYPES.length)]),
    prefix: maybe(
      Array.from(id)
        .slice(0, 1 + random.below(8))
        .join(''),
    ),
  }
}

/** A correct index that names more places than necessary, and covers only a part of the ledger. */
function vagueIndex(rows: readonly Row[], random: Random): SearchIndex {
  return {
    async places(selection, from, to): Promise<Places | undefined> {
      if (random.below(4) === 0) return undefined
      const end = Math.min(to, from + 1 + random.below(200))
      const ranges: EntryRange[] = []
      for (const { index, payload_id: id, type, time } of rows)
        if (index >= from && index < end && (random.below(9) === 0 || selection.selects({ id, type, time })))
          ranges.push([index, index + 1])
      return { ranges, end }
    },
  }
}

describe('a search', () => {
  it.each([1, 2, 3])('finds the same records as a plain filter over all records: ledger %i', async (seed) => {
    const { ledger, rows } = await randomLedger(seed, 500)
    const random = new Random(seed + 100)
    const index = vagueIndex(rows, random)
    const plain = await harness(() => ({ ledger, audit: undefined, limits: { searchEntries: 100 } }))
    const indexed = await harness(() => ({
      ledger,
      audit: undefined,
      limits: { searchEntries: 300 },
      search: { ledger: index, audit: index },
    }))
    for (let i = 0; i < 15; i++) {
      const conditions = someConditions(rows, random)
      const wanted = expected(rows, conditions)
      const limit = 5 + random.below(50)
      expect((await everyHit(plain, conditions, limit)).hits).toEqual(wanted)
      expect((await everyHit(indexed, conditions, limit)).hits).toEqual(wanted)
    }
  })

  it('ignores the other records at the places that the index names', async () => {
    const { ledger, rows } = await randomLedger(4, 60)
    const wrong: SearchIndex = {
      places: async (_, from, to) => ({ ranges: [[from, to]], end: to }),
    }
    const h = await harness(() => ({ ledger, search: { ledger: wrong, audit: wrong } }))
    const { hits } = await everyHit(h, { type: 'x/y' }, 100)
    expect(hits).toEqual(rows.filter(({ type }) => type === 'x/y'))
  })

  it('reads a bounded number of entries for each request', async () => {
    const { ledger } = await randomLedger(5, 300)
    let read = 0
    const counted = new Proxy(ledger, {
      get(of, name) {
        if (name === 'entries')
          return async (from: number, to: number) => {
            const entries = await of.entries(from, to)
            read += entries.length
            return entries
          }
        const value: unknown = Reflect.get(of, name, of)
        return typeof value === 'function' ? value.bind(of) : value
      },
    })
    const h = await harness(() => ({ ledger: counted, audit: undefined, limits: { searchEntries: 10 } }))
    const { json } = await h.ask(target({ prefix: 'nothing' }))
    expect(json).toMatchObject({ hits: [], complete: false, next_cursor: 10 })
    expect(read).toBe(10)
    expect((await everyHit(h, { prefix: 'nothing' }, 5)).hits).toEqual([])
  })

  it('ends a page before a damaged entry, and fails on the next one', async () => {
    const storage = new MemoryStorage()
    const intact = await openTestLedger({ storage })
    await intact.append(
      Array.from({ length: 300 }, (_, i) => ({ id: `r${i}`, type: 'x/y', payload: new Uint8Array(1) })),
    )
    await intact.close()
    const files = storage.dump()
    const bundle = Buffer.from(files.get('tile/entries/000.b64') ?? []).toString('latin1')
    const lines = bundle.split('\n')
    lines[20] = Buffer.from('another entry').toString('base64')
    files.set('tile/entries/000.b64', Buffer.from(lines.join('\n'), 'latin1'))
    const damaged = new MemoryStorage({ files })
    const again = await openTestLedger({ storage: damaged })
    const h = await harness(() => ({ ledger: again }))
    const first = await h.ask(target({ type: 'x/y' }, { limit: 1000 }))
    expect(first.status).toBe(200)
    expect(first.json).toMatchObject({ complete: false, next_cursor: 20 })
    expect(first.json.hits).toHaveLength(20)
    expect(await h.ask(target({ type: 'x/y' }, { after: 20 }))).toMatchObject({
      status: 500,
      json: { code: 'corrupt' },
    })
    const later = await h.ask(target({ type: 'x/y' }, { after: 21, limit: 1000 }))
    expect(later.json).toMatchObject({ complete: true, next_cursor: 300 })
    expect(later.json.hits).toHaveLength(279)
  })

  it('records in the audit the hits that it showed', async () => {
    const h = await harness()
    for (const id of ['a1', 'b1', 'a2', 'a3']) await h.append(id, id)
    const time = '2026-11-22T18:43:00.000Z'
    const conditions = { from: time, to: '2027-01-01T00:00:00.000Z', type: 'application/json', prefix: 'a' }
    const { headers, json } = await h.ask(target(conditions, { limit: 2 }))
    expect(json).toEqual({
      module_id: 'acme',
      size: 4,
      next_cursor: 3,
      complete: false,
      hits: [
        { cursor: 1, payload_id: 'a1', type: 'application/json', time, index: 0 },
        { cursor: 3, payload_id: 'a2', type: 'application/json', time, index: 2 },
      ],
    })
    const { payload } = await h.audit.record(Number(headers['x-audit-index']))
    expect(JSON.parse(Buffer.from(payload).toString())).toMatchObject({
      route: '/v1/search',
      after: 0,
      limit: 2,
      next_cursor: 3,
      time_from: time,
      time_to: '2027-01-01T00:00:00.000Z',
      type: 'application/json',
      prefix: 'a',
      cursors: '1,3',
      entries: 2,
    })
    const none = await h.ask('/v1/search?prefix=c')
    const read = await h.audit.record(Number(none.headers['x-audit-index']))
    expect(JSON.parse(Buffer.from(read.payload).toString())).not.toHaveProperty('cursors')
    expect((await h.ask('/audit/v1/search?prefix=read-')).json.hits).toHaveLength(2)
  })

  it('finds records by declared fields of their JSON', async () => {
    const h = await harness(() => ({
      searchFields: [
        { type: 'application/json', pointer: '/customer/id' },
        { type: 'application/json', pointer: '/paid' },
        { type: 'x/y', pointer: '/customer/id' },
      ],
    }))
    const append = (id: string, type: string, payload: unknown): Promise<unknown> =>
      h.ask('/v1/append', {
        method: 'POST',
        headers: { 'x-payload-id': id, 'content-type': type },
        body: JSON.stringify(payload),
      })
    await h.append('a', { customer: { id: 4711 }, paid: true })
    await h.append('b', { customer: { id: '4711' }, paid: false })
    await append('c', 'x/y', { customer: { id: 4711 } })
    await append('d', 'text/plain', { customer: { id: 4711 } })
    await h.append('e', { customer: { id: '4711' }, paid: true, padding: 'x'.repeat(100_000) })
    await h.append('f', { customer: { id: 4712 }, paid: null })
    const ids = async (query: string): Promise<string> => {
      const { status, json } = await h.ask(`/v1/search?${query}`)
      expect([query, status]).toEqual([query, 200])
      return json.hits.map((hit: Row) => hit.payload_id).join()
    }
    expect(await ids('where=/customer/id=4711')).toBe('a,b,c,e')
    expect(await ids('where=%2Fcustomer%2Fid%3D4711&type=x%2Fy')).toBe('c')
    expect(await ids('where=/customer/id=4711&where=/paid=true')).toBe('a,e')
    expect(await ids('where=/paid=null')).toBe('f')
    expect(await ids('where=/customer/id=4711&prefix=b&where=/paid=true')).toBe('')
    expect(await ids('where=/customer/id=4711&limit=2&after=1')).toBe('b,c')
  })

  it('names the declared fields when a condition is about another field', async () => {
    const h = await harness(() => ({
      searchFields: [
        { type: 'application/json', pointer: '/a' },
        { type: 'x/y', pointer: '/b' },
      ],
    }))
    for (const [query, found, declared] of [
      ['where=/c=1', '/c', 'declared fields of one type (application/json:/a, x/y:/b)'],
      ['where=/a=1&where=/b=1', '/a and /b', 'declared fields of one type (application/json:/a, x/y:/b)'],
      ['where=/b=1&type=application%2Fjson', '/b', 'declared fields of one type (/a)'],
      ['where=/b=1&type=z%2Fz', '/b', 'nothing, because no field of the type z/z is declared'],
    ] as const)
      expect(await h.ask(`/v1/search?${query}`)).toMatchObject({
        status: 400,
        json: { code: 'bad-request', field: 'where', expected: declared, supplied: found },
      })
    const nothing = await harness(() => ({ searchFields: [] }))
    expect((await nothing.ask('/v1/search?where=/a=1')).json).toMatchObject({
      code: 'bad-request',
      expected: 'nothing, because no field is declared',
    })
    const none = await harness()
    expect(await none.ask('/v1/search?where=/a=1')).toMatchObject({
      status: 501,
      json: { code: 'not-implemented' },
    })
  })

  it('records in the audit the conditions on fields', async () => {
    const h = await harness(() => ({ searchFields: [{ type: 'application/json', pointer: '/a' }] }))
    await h.append('r', { a: 'ü&=1' })
    const { headers, json } = await h.ask('/v1/search?where=/a=%C3%BC%26=1')
    expect(json.hits).toHaveLength(1)
    const { payload } = await h.audit.record(Number(headers['x-audit-index']))
    expect(JSON.parse(Buffer.from(payload).toString())).toMatchObject({ where: ['/a=ü&=1'], cursors: '1' })
  })

  it('ends a page before a record that has a damaged later part', async () => {
    const storage = new MemoryStorage()
    const intact = await openTestLedger({ storage })
    const payload = new Uint8Array(Buffer.from(JSON.stringify({ a: 1, b: 'x'.repeat(100_000) })))
    const type = 'application/json'
    await intact.append(Array.from({ length: 150 }, (_, i) => ({ id: `r${i}`, type, payload })))
    await intact.close()
    const files = storage.dump()
    const lines = Buffer.from(files.get('tile/entries/000.b64') ?? [])
      .toString('latin1')
      .split('\n')
    lines[255] = Buffer.from('another entry').toString('base64')
    files.set('tile/entries/000.b64', Buffer.from(lines.join('\n'), 'latin1'))
    const ledger = await openTestLedger({ storage: new MemoryStorage({ files }) })
    const h = await harness(() => ({ ledger, searchFields: [{ type, pointer: '/a' }] }))
    const first = await everyPage(h, 0)
    expect(first.at(-1)).toMatchObject({ status: 500, json: { code: 'corrupt' } })
    expect(first.at(-2)?.json.next_cursor).toBe(254)
    const later = await everyPage(h, 256)
    expect(later.at(-1)?.json).toMatchObject({ complete: true, next_cursor: 300 })
    const hits = [...first, ...later].flatMap(({ json }) => json.hits ?? [])
    expect(hits).toHaveLength(149)
  })

  it('answers an empty page beyond the end', async () => {
    const h = await harness()
    await h.append('a', 1)
    expect((await h.ask('/v1/search?after=9')).json).toMatchObject({
      next_cursor: 9,
      complete: true,
      hits: [],
    })
    expect((await (await harness()).ask('/v1/search')).json).toMatchObject({
      size: 0,
      complete: true,
      hits: [],
    })
  })
})
