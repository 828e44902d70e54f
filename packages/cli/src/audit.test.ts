import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { RecordContent } from '@service-fs/format/entry'
import { nativeHasher } from '@service-fs/native/native'
import { entriesOf } from '@service-fs/format/entry'
import { sha256Hex } from '@service-fs/native/native'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { canonicalJson } from '@service-fs/client/read'
import { READ_TYPE, matches, momentOf, readText, spansOf, type Read } from '@service-fs/client/reads'
import { cli, type TestIo } from './testing.ts'
import {
  TEST_ORIGIN,
  checkpointOf,
  makeLedger,
  remove,
  serveDirectory,
  temporary,
  testRecords,
  testSigner,
} from '@service-fs/client/testing'

const AUDIT = `${TEST_ORIGIN}/audit`
const START = Date.UTC(2026, 10, 22)

let dir = ''
let records: RecordContent[] = []

/** Returns the record of one read. There is one read per second. */
function readRecord(i: number, members: Partial<Read> = {}): RecordContent {
  const when = new Date(START + i * 1000).toISOString()
  const read = {
    subject: i % 3 === 0 ? 'alice' : 'bob',
    request_id: `q${i}`,
    method: 'GET',
    route: '/v1/checkpoint',
    entries: 0,
    bytes: 10,
    outcome: 'shown',
    when,
    ...members,
  }
  return { id: `read-q${i}-u${i}`, type: READ_TYPE, time: when, payload: Buffer.from(canonicalJson(read)) }
}

const LARGE: RecordContent = {
  id: 'large',
  type: 'text/plain',
  time: '2026-11-23T00:00:00.000Z',
  payload: Buffer.alloc(150_000, 'x'),
}

beforeEach(async () => {
  dir = await temporary()
  records = Array.from({ length: 600 }, (_, i) => readRecord(i))
  // The ledger under test: 700 records of one entry, then one record of three entries.
  records[300] = readRecord(300, { route: '/v1/entries/{cursor}', cursor: 18, entries: 1 })
  records[301] = readRecord(301, { route: '/v1/entries', since: 0, limit: 100, next_cursor: 17, entries: 17 })
  records[302] = readRecord(302, { route: '/v1/entries', since: 17, limit: 2, next_cursor: 19, entries: 2 })
  records[303] = readRecord(303, { route: '/tile/{path...}', tile: 'tile/entries/000.p/40', entries: 40 })
  records[304] = readRecord(304, { route: '/tile/{path...}', tile: 'tile/0/000', entries: 0 })
  records[305] = readRecord(305, { route: '/v1/proof/inclusion', index: 17, size: 20 })
  records[306] = readRecord(306, { route: '/audit/v1/entries/{cursor}', cursor: 18, entries: 1 })
  records[307] = readRecord(307, {
    route: '/v1/records/{payload_id}',
    payload_id: 'large',
    cursor: 701,
    entries: 1,
  })
  records[308] = readRecord(308, { route: '/tile/{path...}', tile: 'tile/entries/002.p/191', entries: 191 })
  await makeLedger(dir, { records: [...testRecords(700), LARGE] })
  await makeLedger(join(dir, 'audit'), { origin: AUDIT, records })
})
afterEach(() => remove(dir))

async function listed(...args: string[]): Promise<number[]> {
  const io = await cli('audit', 'ls', dir, '--json', ...args)
  expect([io.code, io.errors]).toEqual([0, []])
  const lines = io.text().split('\n').slice(0, -1)
  return lines.map((line) => (JSON.parse(line) as { index: number }).index)
}

it('audit ls lists all reads, and filters them by subject, route and time', async () => {
  expect(await listed()).toEqual([...records.keys()])
  expect(await listed('--subject', 'alice')).toHaveLength(200)
  expect(await listed('--subject', 'carol')).toEqual([])
  expect(await listed('--route', '/v1/entries')).toEqual([300, 301, 302])
  expect(await listed('--route', '/audit/')).toEqual([306])
  expect(await listed('--request-id', 'q42')).toEqual([42])
  expect(await listed('--from', '510', '--to', '515')).toEqual([510, 511, 512, 513, 514])
  expect(await listed('--from', '600')).toEqual([])
  const since = '2026-11-22T00:08:20Z'
  expect(await listed('--since', since, '--until', '2026-11-22T00:08:22Z')).toEqual([500, 501])
  expect(await listed('--since', since, '--to', '501')).toEqual([500])
  expect(await listed('--until', '2026-11-22')).toEqual([])
  expect(await listed('--since', '2026-11-23')).toEqual([])
  expect(await listed('--since', '2026-11-21T23:00:00-02:00', '--to', '2')).toEqual([])
})

it('audit ls finds every read that showed a record, alone or in a batch', async () => {
  expect(await listed('--cursor', '18')).toEqual([300, 302, 303, 305])
  expect(await listed('--payload-id', 'record/17', '--subject', 'alice')).toEqual([300, 303])
  // The bundle holds only the last of the record's three parts.
  expect(await listed('--payload-id', 'large')).toEqual([307, 308])
  const { code, errors } = await cli('audit', 'ls', dir, '--cursor', '702')
  expect([code, errors[0]]).toEqual([3, expect.stringContaining('part 2/3 of "large"')])
})

it('audit ls lists the same reads over HTTP as from files, with a pinned key', async () => {
  const server = await serveDirectory(dir)
  try {
    const { vkey } = testSigner(AUDIT)
    const there = await cli('audit', 'ls', server.url, '--vkey', vkey)
    const here = await cli('audit', 'ls', dir, '--vkey', vkey)
    expect(there.errors).toEqual([])
    expect(there.text()).toBe(here.text())
    expect(here.text().split('\n')[302]).toBe(
      '     302 2026-11-22T00:05:02.000Z bob GET /v1/entries limit=2 next_cursor=19 since=17 (2 entries, 10 bytes)',
    )
    const other = await cli('audit', 'ls', server.url, '--vkey', testSigner().vkey)
    expect([other.code, other.errors[0]]).toEqual([2, expect.stringContaining(AUDIT)])
    expect((await cli('audit', 'verify', server.url, '--vkey', vkey)).text()).toMatch(
      /^true .*\/audit: 600 entries/,
    )
    const wrong = await cli('audit', 'ls', server.url, '--vkey', testSigner(AUDIT, 8).vkey)
    expect(wrong.code).toBe(1)
  } finally {
    await server.close()
  }
})

it('audit prove proves one read, and verify-proof verifies the proof offline', async () => {
  const [out, record] = [join(dir, 'p'), join(dir, 'r')]
  const { vkey } = testSigner(AUDIT)
  const made = await cli(
    'audit',
    'prove',
    dir,
    '--index',
    '300',
    '--out',
    out,
    '--record',
    record,
    '--vkey',
    vkey,
  )
  expect([made.code, made.errors]).toEqual([0, []])
  expect(made.text()).toContain('true: entry 300 of 600')
  expect(made.text()).toContain('alice GET /v1/entries/{cursor} cursor=18')
  const checked = await cli('verify-proof', out, '--record', record, '--vkey', vkey)
  expect([checked.code, checked.text()]).toEqual([0, expect.stringContaining('is entry 300 of 600')])
  const json = await cli('audit', 'prove', dir, '--index', '0', '--json')
  expect(JSON.parse(json.text())).toMatchObject({ index: 0, read: { subject: 'alice' }, pinned: false })
  expect((await cli('audit', 'prove', dir, '--index', '600')).code).toBe(3)
  expect((await cli('audit', 'prove', dir)).code).toBe(2)
})

it('audit verify verifies the sub-ledger and its consistency with an earlier checkpoint', async () => {
  const leaves = records.flatMap((one) => entriesOf(one, sha256Hex)).map((entry) => nativeHasher.leaf(entry))
  const kept = join(dir, 'kept')
  const verify = (): Promise<TestIo> => cli('audit', 'verify', dir, '--checkpoint', kept)
  for (const size of [0, 1, 256, 599, 600]) {
    await writeFile(kept, await checkpointOf(leaves, size, AUDIT))
    const io = await verify()
    expect([io.code, io.errors]).toEqual([0, []])
    expect(io.text()).toContain('extends the checkpoint')
  }
  const others = [...leaves.slice(1), ...leaves]
  for (const [size, why] of [
    [300, "expected a tree that extends the earlier checkpoint's, found another"],
    [601, 'expected at least the 601 entries of the earlier checkpoint, found 600'],
  ] as const) {
    await writeFile(kept, await checkpointOf(others, size, AUDIT))
    const io = await verify()
    expect([io.code, io.text()]).toEqual([1, expect.stringMatching(/^FALSE/)])
    expect(io.errors[0]).toContain(why)
  }
  await writeFile(kept, await checkpointOf(leaves, 9))
  expect((await verify()).code).toBe(1)
})

it('audit verify reports an entry that records no read, and a missing audit sub-ledger', async () => {
  const bad: [Partial<Read> | RecordContent, string][] = [
    [testRecords(1)[0] as RecordContent, 'expected application/vnd.service-fs.read+json, found text/plain'],
    [{ subject: undefined as unknown as string }, 'subject'],
    [{ entries: -1 }, 'entries'],
    [{ entries: 3, since: 5, next_cursor: 7 }, 'at most 2 entries'],
    [{ next_cursor: 4, since: 5 }, 'next_cursor'],
    [{ tile: 'tile/entries/000', entries: 255 }, '256 entries'],
    [{ outcome: 'refused' }, 'outcome'],
    [{ outcome: 'duplicate', cursors: '1-2', entries: 3, records: 2 }, 'cursors of 3 records'],
    [{ outcome: 'duplicate', cursors: '3-1', entries: 1, records: 2 }, 'cursors such as 1-3,7'],
    [{ outcome: 'duplicate', cursors: 'all', entries: 1, records: 2 }, 'cursors such as 1-3,7'],
    [{ outcome: 'conflict', cursor: 1, entries: 1, records: -1 }, 'records as a non-negative integer'],
    [{ when: '2026-11-22' }, 'when'],
    [{ request_id: 'other' }, 'an id with other'],
  ]
  for (const [what, why] of bad) {
    const one =
      'payload' in what ? { ...(what as RecordContent), time: records[0]?.time ?? '' } : readRecord(0, what)
    const place = await temporary()
    await makeLedger(place, { records: testRecords(2) })
    await makeLedger(join(place, 'audit'), { origin: AUDIT, records: [one, readRecord(1)] })
    const verified = await cli('audit', 'verify', place)
    expect([verified.code, verified.errors.length], why).toEqual([1, 1])
    expect(verified.errors[0]).toContain('(entry 0): expected ')
    expect(verified.errors[0]).toContain(why)
    const list = await cli('audit', 'ls', place)
    expect([list.code, list.text().split('\n').length], why).toEqual([1, 2])
    expect((await cli('audit', 'prove', place, '--index', '0')).code).toBe(1)
    await remove(place)
  }
  await remove(join(dir, 'audit'))
  expect((await cli('audit', 'verify', dir)).errors[0]).toContain('there is no audit sub-ledger')
})

it('audit reports the entry from which reads are public, and lists the notices', async () => {
  const notice = (n: number, reads: string): RecordContent => ({
    id: `reads-${n}`,
    type: 'application/vnd.service-fs.reads+json',
    time: records[0]?.time ?? '',
    payload: Buffer.from(`{"reads":"${reads}","when":"2026-11-22T00:00:00.000Z"}`),
  })
  const place = await temporary()
  await makeLedger(place, { records: testRecords(2) })
  const some = [notice(1, 'public'), notice(2, 'recorded'), readRecord(1)]
  await makeLedger(join(place, 'audit'), { origin: AUDIT, records: some })
  const time = records[0]?.time
  const said = [
    `no reads of the ledger are recorded from entry 0 (${time}) on: they are public`,
    `reads of the ledger are recorded again from entry 1 (${time}) on`,
  ]
  const verified = await cli('audit', 'verify', place)
  expect(verified.code).toBe(0)
  for (const text of said) expect(verified.text()).toContain(text)
  const list = await cli('audit', 'ls', place)
  expect([list.code, list.text().split('\n').length]).toEqual([0, 2])
  expect(list.errors).toEqual(said.map((text) => `service-fs: ${text}`))
  expect((await cli('audit', 'prove', place, '--index', '0')).code).toBe(1)
  const bad = { ...notice(1, 'public'), payload: Buffer.from('{"reads":"some"}') }
  await makeLedger(join(place, 'bad/audit'), { origin: AUDIT, records: [bad] })
  await makeLedger(join(place, 'bad'), { records: testRecords(2) })
  expect((await cli('audit', 'verify', join(place, 'bad'))).code).toBe(1)
  await remove(place)
})

it('audit verify finds a changed byte', async () => {
  const file = join(dir, 'audit/tile/entries/001.b64')
  const lines = (await readFile(file, 'latin1')).split('\n')
  lines[3] = Buffer.from(
    Buffer.from(lines[3] ?? '', 'base64')
      .toString()
      .replace('bob', 'eve'),
  ).toString('base64')
  await writeFile(file, lines.join('\n'))
  expect((await cli('audit', 'verify', dir)).code).toBe(1)
  const { code, errors } = await cli('audit', 'ls', dir)
  expect([code, errors[0]]).toEqual([1, expect.stringContaining('entry 259: expected leaf hash')])
})

it('audit exits with status 2 on wrong usage', async () => {
  for (const args of [
    ['--cursor', '1', '--payload-id', 'a'],
    ['--cursor', '0'],
    ['--since', 'yesterday'],
    ['--until', '2026-13-01'],
    ['--from', '-1'],
  ])
    expect((await cli('audit', 'ls', dir, ...args)).code, args.join(' ')).toBe(2)
})

it('audit parses times, and prints text that is safe on a terminal', () => {
  expect(momentOf('2026-11-23')).toBe('2026-11-23T00:00:00.000Z')
  expect(momentOf('2026-11-23T08:00:00.5+01:00')).toBe('2026-11-23T07:00:00.500Z')
  for (const text of ['2026-02-30', '23.11.2026', '2026-11-23 08:00', '2026-11-23T08:00'])
    expect(momentOf(text)).toBeUndefined()
  const read = { ...JSON.parse(readRecord(1).payload.toString()), subject: 'a\u001b[2J\u009b b' } as Read
  expect(readText(read)).toContain('"a\\u001b[2J\\u009b b" GET /v1/checkpoint (0 entries')
})

it('audit ls finds and prints the existing records that an append revealed', () => {
  const read: Read = {
    subject: 'token:spy',
    request_id: 'q',
    method: 'POST',
    route: '/v1/append',
    entries: 4,
    bytes: 90,
    outcome: 'duplicate',
    when: '2026-11-22T00:00:00.000Z',
    cursors: '1-3,7',
    records: 5,
  }
  expect(readText(read)).toBe(
    'token:spy POST /v1/append outcome=duplicate cursors=1-3,7 records=5 (4 entries, 90 bytes)',
  )
  expect(spansOf(read)).toEqual([
    { first: 0, end: 3 },
    { first: 6, end: 7 },
  ])
  const finds = (index: number): boolean => matches(read, { span: { first: index, end: index + 1 } })
  expect([0, 2, 3, 5, 6, 7].map(finds)).toEqual([true, true, false, false, true, false])
})
