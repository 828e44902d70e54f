import type { RecordContent } from '@service-fs/format/entry'
import {
  makeLedger,
  remove,
  serveDirectory,
  startServer,
  temporary,
  testRecords,
  type TestServer,
} from '@service-fs/client/testing'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { cli } from './testing.ts'

interface Hit {
  cursor: number
  payload_id: string
  type: string
  time: string
}

const LARGE: RecordContent = {
  id: 'record/large',
  type: 'x/large',
  time: '2026-11-22T00:05:00.000Z',
  payload: Buffer.alloc(150_000, 'x'),
}

/** A record of two parts. */
const DOCUMENT: RecordContent = {
  id: 'document',
  type: 'application/json',
  time: LARGE.time,
  payload: Buffer.from(JSON.stringify({ customer: { id: 4711 }, 'a/b': 'x=y', padding: 'x'.repeat(80_000) })),
}

let dir = ''
let files: TestServer
let server: TestServer
/** The server's answers, by `after`. */
let pages: Record<string, { hits: Hit[]; next_cursor: number }> = {}

beforeEach(async () => {
  dir = await temporary()
  await makeLedger(dir, {
    records: [...testRecords(300), LARGE, { ...LARGE, id: 'last', payload: Buffer.of(1) }],
  })
  files = await serveDirectory(dir)
  server = await startServer(async (request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? '', 'http://localhost')
    if (pathname === '/v1/search') {
      const page = pages[searchParams.get('after') ?? '']
      response.writeHead(page === undefined ? 404 : 200, { 'content-type': 'application/json' })
      response.end(JSON.stringify(page ?? {}))
      return
    }
    const answer = await fetch(new URL(request.url ?? '', files.url))
    response.writeHead(answer.status).end(Buffer.from(await answer.arrayBuffer()))
  })
})
afterEach(async () => {
  await server.close()
  await files.close()
  await remove(dir)
})

function hit(i: number): Hit {
  const time = new Date(Date.UTC(2026, 10, 22) + i * 1000).toISOString()
  return { cursor: i + 1, payload_id: `record/${i}`, type: 'text/plain', time }
}

async function found(...args: string[]): Promise<Hit[]> {
  const io = await cli('search', ...args, '--json')
  expect(io.errors).toEqual([])
  return io
    .text()
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Hit)
}

it('search finds the records of a directory by time, type and prefix', async () => {
  const all = Array.from({ length: 300 }, (_, i) => hit(i))
  const large = { cursor: 301, payload_id: 'record/large', type: 'x/large', time: LARGE.time }
  const last = { ...large, cursor: 304, payload_id: 'last' }
  expect(await found(dir)).toEqual([...all, large, last])
  expect(await found(dir, '--type', 'x/large')).toEqual([large, last])
  expect(await found(dir, '--prefix', 'record/29')).toEqual([hit(29), ...all.slice(290)])
  const time = ['--from', '2026-11-22T00:00:10.000Z', '--to', '2026-11-22T00:00:12.000Z']
  expect(await found(dir, ...time)).toEqual([hit(10), hit(11)])
  expect(await found(dir, ...time, '--type', 'x/large')).toEqual([])
  expect((await cli('search', dir, '--prefix', 'last')).text()).toBe(
    `     304 ${LARGE.time} ${'x/large'.padEnd(24)} last\n`,
  )
})

it('search follows the pages of a server, and verifies each record', async () => {
  pages = {
    0: { hits: [hit(1), hit(7)], next_cursor: 8 },
    8: { hits: [], next_cursor: 200 },
    200: { hits: [hit(290)], next_cursor: 304 },
  }
  expect(await found(server.url)).toEqual([hit(1), hit(7), hit(290)])
  const searches = server.asked.filter((path) => path.startsWith('/v1/search'))
  expect(searches).toEqual(['0', '8', '200'].map((after) => `/v1/search?after=${after}&limit=1000`))
})

describe('a search by fields', () => {
  const found4711 = { cursor: 305, payload_id: 'document', type: 'application/json', time: LARGE.time }

  beforeEach(async () => {
    await remove(dir)
    const last = { ...LARGE, id: 'last', payload: Buffer.of(1) }
    await makeLedger(dir, { records: [...testRecords(300), LARGE, last, DOCUMENT] })
  })

  it.each([
    [['/customer/id=4711'], true],
    [['/customer/id=4711', '/a~1b=x=y'], true],
    [['/customer/id=4711', '/a~1b=x'], false],
    [['/customer=4711'], false],
  ])('search finds by fields the records of a directory and of a server: %j', async (where, isFound) => {
    const args = where.flatMap((condition) => ['--where', condition])
    const expected = isFound ? [found4711] : []
    expect(await found(dir, ...args)).toEqual(expected)
    pages = { 0: { hits: expected, next_cursor: 306 } }
    expect(await found(server.url, ...args)).toEqual(expected)
    const asked = server.asked.find((path) => path.startsWith('/v1/search')) ?? ''
    expect(new URL(asked, server.url).searchParams.getAll('where')).toEqual(where)
  })

  it('search exits with status 1 when a server shows a record with another value', async () => {
    pages = { 0: { hits: [found4711], next_cursor: 306 } }
    const io = await cli('search', server.url, '--where', '/customer/id=4712')
    expect([io.code, io.errors.length]).toEqual([1, 1])
    expect(io.errors[0]).toContain('is not the record "document" of the selection')
  })
})

it('search sends the conditions', async () => {
  pages = { 0: { hits: [], next_cursor: 304 } }
  const time = ['--from', '2026-11-22T00:00:10.000Z', '--to', '2026-11-22T00:00:12.000Z']
  await found(server.url, ...time, '--type', 'a/b; c=d', '--prefix', 'ä/&')
  const { searchParams } = new URL(
    server.asked.find((path) => path.startsWith('/v1/search')) ?? '',
    server.url,
  )
  expect(Object.fromEntries(searchParams)).toEqual({
    after: '0',
    limit: '1000',
    from: '2026-11-22T00:00:10.000Z',
    to: '2026-11-22T00:00:12.000Z',
    type: 'a/b; c=d',
    prefix: 'ä/&',
  })
})

it.each<[string, { hits: Hit[]; next_cursor: number }, string[]]>([
  ['another identifier', { hits: [{ ...hit(3), payload_id: 'record/4' }], next_cursor: 304 }, []],
  ['another time', { hits: [{ ...hit(3), time: hit(4).time }], next_cursor: 304 }, []],
  ['a record outside the selection', { hits: [hit(3)], next_cursor: 304 }, ['--prefix', 'record/4']],
  ['a later part', { hits: [{ ...hit(0), cursor: 302, payload_id: 'record/large' }], next_cursor: 304 }, []],
  ['a cursor beyond the page', { hits: [hit(3)], next_cursor: 2 }, []],
  ['records in another order', { hits: [hit(3), hit(2)], next_cursor: 304 }, []],
  ['no progress', { hits: [], next_cursor: 0 }, []],
])('search exits with status 1 when a server shows %s', async (_, page, args) => {
  pages = { 0: page }
  const io = await cli('search', server.url, ...args)
  expect([io.code, io.errors.length]).toEqual([1, 1])
})

it('search ignores records that were appended after the search began', async () => {
  pages = { 0: { hits: [hit(3), { ...hit(3), cursor: 305 }], next_cursor: 400 } }
  expect(await found(server.url)).toEqual([hit(3)])
})

it.each([
  ['--from', '2026-11-22'],
  ['--to', 'yesterday'],
  ['--prefix', ''],
  ['--type', ''],
  ['--where', '/a'],
  ['--where', 'a=1'],
])('search rejects an invalid %s', async (option, value) => {
  const io = await cli('search', dir, option, value)
  expect(io.code).toBe(2)
  expect(io.errors.join()).toContain(`${option}: expected`)
})
