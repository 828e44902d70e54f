import { beforeEach, describe, expect, it } from 'vitest'

import type { Call } from './call.ts'
import { harness, type AskOptions, type Harness } from './testing.ts'

let h: Harness
beforeEach(async () => {
  h = await harness()
})

const post = (body: string | Uint8Array, headers: AskOptions['headers'] = {}): AskOptions => ({
  method: 'POST',
  body,
  headers,
})

const lines = (n: number): string =>
  Array.from({ length: n }, (_, i) => `{"payload_id":"r${i}","payload":0}\n`).join('')

const payloadOf = async (index: number): Promise<Record<string, unknown>> => {
  const { payload } = await h.audit.record(index)
  return JSON.parse(Buffer.from(payload).toString()) as Record<string, unknown>
}

describe('the tenant', () => {
  it('is required: 400', async () => {
    const got = await h.ask('/v1/checkpoint', { headers: { 'x-foundry-module-id': undefined } })
    expect(got.status).toBe(400)
    expect(got.json.code).toBe('module-id-missing')
    expect(got.headers['content-type']).toBe('application/problem+json')
  })

  it('must be that of the server: 403 with expected and supplied', async () => {
    const got = await h.ask('/v1/checkpoint', { headers: { 'x-foundry-module-id': 'globex' } })
    expect(got.status).toBe(403)
    expect(got.json).toMatchObject({ code: 'module-id-mismatch', expected: 'acme', supplied: 'globex' })
    const path = await h.ask('/t/globex/checkpoint', { headers: { 'x-foundry-module-id': undefined } })
    expect(path.json).toMatchObject({ status: 403, expected: 'acme', supplied: 'globex' })
  })

  it('may be in the path', async () => {
    const got = await h.ask('/t/acme/checkpoint', { headers: { 'x-foundry-module-id': undefined } })
    expect(got.status).toBe(200)
    const both = await h.ask('/t/acme/checkpoint')
    expect(both.status).toBe(200)
  })

  it('must not be ambiguous: 400', async () => {
    const got = await h.ask('/t/acme/checkpoint', { headers: { 'x-foundry-module-id': 'globex' } })
    expect(got.json).toMatchObject({ status: 400, code: 'module-id-ambiguous' })
  })

  it('is not required for health checks', async () => {
    for (const path of ['/healthz', '/readyz']) {
      const got = await h.ask(path, { headers: { 'x-foundry-module-id': undefined } })
      expect(got.status).toBe(200)
      expect(got.headers['x-audit-index']).toBeUndefined()
    }
    expect(h.audit.size).toBe(0)
  })
})

describe('routes', () => {
  it('rejects an unknown path: 404', async () => {
    for (const path of [
      '/',
      '/nothing',
      '/v1',
      '/v1/entries/1/proof/more',
      '/audit',
      '/audit/healthz',
      '/audit/v1/append',
      '/v1/records/a/b',
      '/tile',
      '*',
    ]) {
      const got = await h.ask(path)
      expect([path, got.status, got.json.code]).toEqual([path, 404, 'no-route'])
    }
  })

  it('rejects another method: 405 with Allow', async () => {
    const got = await h.ask('/v1/append')
    expect([got.status, got.headers['allow']]).toEqual([405, 'POST'])
    const other = await h.ask('/v1/entries', { method: 'DELETE' })
    expect([other.status, other.headers['allow']]).toEqual([405, 'GET, HEAD'])
  })

  it('rejects unknown, repeated and malformed query parameters: 400 that names them', async () => {
    for (const [target, field] of [
      ['/v1/entries?sinse=1', 'sinse'],
      ['/v1/entries?since=1&since=2', 'since'],
      ['/v1/entries?since=%zz', 'since'],
      ['/v1/entries?since=-1', 'since'],
      ['/v1/entries?since=1.5', 'since'],
      ['/v1/entries?since=', 'since'],
      ['/v1/entries?since=01', 'since'],
      ['/v1/entries?since=9007199254740992', 'since'],
      ['/v1/entries?limit=0', 'limit'],
      ['/v1/entries?limit=1001', 'limit'],
      ['/v1/entries/x', 'cursor'],
      ['/v1/records/%ff', 'payload_id'],
      ['/v1/records/a%00b', 'payload_id'],
      ['/v1/proof/inclusion', 'index'],
      ['/v1/proof/consistency?to=1', 'from'],
    ] as const) {
      const got = await h.ask(target)
      expect([target, got.status, got.json.field]).toEqual([target, 400, field])
    }
  })

  it('accepts a URL as the target', async () => {
    expect((await h.ask('http://example.org/healthz')).status).toBe(200)
  })

  it('returns the request id, the client’s or a new one', async () => {
    expect((await h.ask('/healthz')).headers['x-foundry-request-id']).toBe('r1')
    const got = await h.ask('/healthz', { headers: { 'x-foundry-request-id': 'mine' } })
    expect(got.headers['x-foundry-request-id']).toBe('mine')
    const bad = await h.ask('/healthz', { headers: { 'x-foundry-request-id': 'a b' } })
    expect(bad.json).toMatchObject({ status: 400, field: 'X-Foundry-Request-ID' })
  })
})

describe('append', () => {
  it('accepts JSON', async () => {
    const got = await h.append('a', { total: 12, b: [1, 'é'] })
    expect(got.status).toBe(200)
    expect(got.json).toMatchObject({ cursor: 1, payload_id: 'a', index: 0, parts: 1, duplicate: false })
    expect(Object.keys(got.json)).toEqual([
      'cursor',
      'payload_id',
      'index',
      'parts',
      'leaf_hash',
      'time',
      'duplicate',
      'checkpoint',
    ])
    expect(got.json.checkpoint).toBe(h.ledger.checkpoint())
    const read = await h.ask('/v1/records/a')
    expect(read.text).toContain('"payload":{"b":[1,"é"],"total":12}')
  })

  it('accepts null as a payload', async () => {
    expect((await h.append('n', null)).status).toBe(200)
    expect((await h.ask('/v1/records/n')).json.payload).toBeNull()
  })

  it('reports a duplicate, and a conflict with its cursor', async () => {
    await h.append('a', { x: 1, y: 2 })
    const again = await h.ask('/v1/append', post('{"payload":{"y":2,"x":1},"payload_id":"a"}'))
    expect(again.json).toMatchObject({ cursor: 1, duplicate: true })
    const other = await h.append('a', 3)
    expect(other.json).toMatchObject({ status: 409, code: 'conflict', cursor: 1 })
  })

  it('returns raw bytes of any type unchanged', async () => {
    const bytes = Uint8Array.of(0, 255, 10, 13)
    const got = await h.ask(
      '/v1/append',
      post(bytes, { 'x-payload-id': 'raw', 'content-type': 'application/pdf' }),
    )
    expect(got.json).toMatchObject({ payload_id: 'raw', index: 0 })
    expect((await h.ask('/v1/entries/1')).json).toMatchObject({
      type: 'application/pdf',
      payload_base64: 'AP8KDQ==',
    })
    await h.ask(
      '/v1/append',
      post('{"a": 1}', { 'x-payload-id': 'loose', 'content-type': 'application/json' }),
    )
    expect((await h.ask('/v1/entries/2')).json).toMatchObject({
      type: 'application/json',
      payload_base64: 'eyJhIjogMX0=',
    })
  })

  it('decodes X-Payload-ID as UTF-8', async () => {
    const latin1 = Buffer.from('rechnung-ü').toString('latin1')
    await h.ask('/v1/append', post('x', { 'x-payload-id': latin1, 'content-type': undefined }))
    expect((await h.ask(`/v1/records/${encodeURIComponent('rechnung-ü')}`)).json).toMatchObject({
      payload_id: 'rechnung-ü',
      type: 'application/octet-stream',
    })
  })

  it('appends NDJSON in one commit, with one checkpoint', async () => {
    const body = '{"payload_id":"a","payload":1}\n{"payload_id":"b","payload_base64":"AP8=","type":"x/y"}\n'
    const got = await h.ask('/v1/append', post(body, { 'content-type': 'application/x-ndjson' }))
    expect(got.json.entries.map((e: { payload_id: string }) => e.payload_id)).toEqual(['a', 'b'])
    expect(got.json.checkpoint).toBe(h.ledger.checkpoint())
    expect(got.json.entries[1]).not.toHaveProperty('checkpoint')
  })

  it('returns a receipt on request', async () => {
    const got = await h.ask(
      '/v1/append',
      post('{"payload_id":"a","payload":1}', { accept: 'text/x.tlog-proof' }),
    )
    expect(got.headers['content-type']).toBe('text/x.tlog-proof; charset=utf-8')
    expect(got.text).toMatch(/^c2sp\.org\/tlog-proof@v1\n/)
  })
})

describe('a record larger than an entry', () => {
  it('has several parts and one cursor', async () => {
    const bytes = new Uint8Array(150_000).fill(7)
    const got = await h.ask('/v1/append', post(bytes, { 'x-payload-id': 'big', 'content-type': 'a/b' }))
    expect(got.json).toMatchObject({ cursor: 1, parts: 3 })
    await h.append('next', 1)
    const all = await h.ask('/v1/entries')
    expect(all.json.entries.map((e: { cursor: number }) => e.cursor)).toEqual([1, 4])
    expect(all.json.entries[0].payload_base64).toBe(Buffer.from(bytes).toString('base64'))
    expect((await h.ask('/v1/entries?since=1')).json.entries).toHaveLength(1)
    expect((await h.ask('/v1/entries/2')).json).toMatchObject({
      status: 404,
      code: 'not-a-record',
      cursor: 1,
    })
  })
})

describe('append of invalid input', () => {
  it.each([
    ['malformed JSON', '{"payload_id":', { field: 'body' }],
    ['not an object', '[]', { field: 'body' }],
    ['a string', '"x"', { field: 'body' }],
    ['an unknown field', '{"payload_id":"a","payload":1,"paylaod":2}', { field: 'paylaod' }],
    ['__proto__', '{"payload_id":"a","payload":1,"__proto__":2}', { field: '__proto__' }],
    ['a field twice', '{"payload_id":"a","payload":1,"payload_id":"b"}', { field: 'body' }],
    ['no id', '{"payload":1}', { field: 'payload_id' }],
    ['an id that is no text', '{"payload_id":7,"payload":1}', { field: 'payload_id' }],
    ['an empty id', '{"payload_id":"","payload":1}', { field: 'payload_id' }],
    ['a long id', JSON.stringify({ payload_id: 'é'.repeat(129), payload: 1 }), { field: 'payload_id' }],
    ['a control character in the id', '{"payload_id":"a\\nb","payload":1}', { field: 'payload_id' }],
    ['a lone surrogate in the id', '{"payload_id":"\\ud800","payload":1}', { field: 'payload_id' }],
    ['no payload', '{"payload_id":"a"}', { field: 'payload', supplied: 'none' }],
    [
      'two payloads',
      '{"payload_id":"a","payload":null,"payload_base64":""}',
      { field: 'payload', supplied: 'both' },
    ],
    ['base64 without padding', '{"payload_id":"a","payload_base64":"AA"}', { field: 'payload_base64' }],
    ['base64 with stray bits', '{"payload_id":"a","payload_base64":"AB=="}', { field: 'payload_base64' }],
    ['URL base64', '{"payload_id":"a","payload_base64":"_-8="}', { field: 'payload_base64' }],
    ['base64 with a line feed', '{"payload_id":"a","payload_base64":"AA==\\n"}', { field: 'payload_base64' }],
    ['base64 that is no text', '{"payload_id":"a","payload_base64":1}', { field: 'payload_base64' }],
    ['a lone surrogate', '{"payload_id":"a","payload":"\\ud800"}', { field: 'payload' }],
    ['a number too large', '{"payload_id":"a","payload":1e999}', { field: 'body' }],
    ['a type that is not a media type', '{"payload_id":"a","payload":1,"type":"json"}', { field: 'type' }],
    ['a type with a line feed', '{"payload_id":"a","payload":1,"type":"a/b\\nc: d"}', { field: 'type' }],
    [
      'a long type',
      JSON.stringify({ payload_id: 'a', payload: 1, type: `a/${'b'.repeat(254)}` }),
      { field: 'type' },
    ],
  ])('%s: 400', async (_, body, members) => {
    const got = await h.ask('/v1/append', post(body))
    expect(got.status).toBe(400)
    expect(got.json).toMatchObject(members)
    expect(got.json.detail).not.toBe('')
    expect(h.ledger.size).toBe(0)
    const line = await h.ask(
      '/v1/append',
      post(`{"payload_id":"fine","payload":0}\n${body}\n`, { 'content-type': 'application/x-ndjson' }),
    )
    expect(line.json).toMatchObject({ ...members, status: 400, line: 2 })
    expect(h.ledger.size).toBe(0)
  })

  it('rejects invalid UTF-8: 400', async () => {
    expect((await h.ask('/v1/append', post(Uint8Array.of(0x22, 0xff, 0x22)))).json).toMatchObject({
      status: 400,
      field: 'body',
    })
  })

  it('rejects another content type without X-Payload-ID: 400', async () => {
    const got = await h.ask('/v1/append', post('hello', { 'content-type': 'text/plain' }))
    expect(got.json).toMatchObject({ status: 400, field: 'Content-Type', supplied: 'text/plain' })
    // A browser sends this without a preflight request, so it must not append.
    const none = await h.ask(
      '/v1/append',
      post('{"payload_id":"a","payload":1}', { 'content-type': undefined }),
    )
    expect(none.json).toMatchObject({ status: 400, field: 'Content-Type', supplied: 'nothing' })
  })

  it('rejects invalid headers of raw bytes: 400', async () => {
    const id = await h.ask('/v1/append', post('x', { 'x-payload-id': '' }))
    expect(id.json).toMatchObject({ status: 400, field: 'X-Payload-ID' })
    const utf8 = await h.ask('/v1/append', post('x', { 'x-payload-id': '\u00ff' }))
    expect(utf8.json).toMatchObject({ status: 400, field: 'X-Payload-ID' })
    const type = await h.ask('/v1/append', post('x', { 'x-payload-id': 'a', 'content-type': 'nonsense' }))
    expect(type.json).toMatchObject({ status: 400, field: 'Content-Type' })
  })

  it('rejects an empty batch and an empty line: 400', async () => {
    const ndjson = { 'content-type': 'application/x-ndjson' }
    expect((await h.ask('/v1/append', post('', ndjson))).status).toBe(400)
    const got = await h.ask(
      '/v1/append',
      post('{"payload_id":"a","payload":1}\n\n{"payload_id":"b","payload":1}', ndjson),
    )
    expect(got.json).toMatchObject({ status: 400, line: 2 })
  })

  it('rejects more than 4,096 lines: 413', async () => {
    const ndjson = { 'content-type': 'application/x-ndjson' }
    const got = await h.ask('/v1/append', post(lines(4097), ndjson))
    expect(got.json).toMatchObject({ status: 413, code: 'too-large', expected: 4096, supplied: 4097 })
    expect(h.ledger.size).toBe(0)
    expect((await h.ask('/v1/append', post(lines(4096), ndjson))).status).toBe(200)
  })

  it('rejects a payload over the limit: 413', async () => {
    const small = await harness(() => ({ limits: { maxPayload: 10 } }))
    const json = await small.append('a', 'x'.repeat(9))
    expect(json.json).toMatchObject({ status: 413, code: 'too-large', expected: 10, supplied: 11 })
    const raw = await small.ask('/v1/append', post('x'.repeat(11), { 'x-payload-id': 'a' }))
    expect(raw.status).toBe(413)
    const base64 = await small.ask(
      '/v1/append',
      post(`{"payload_id":"a","payload_base64":"${'AAAA'.repeat(4)}"}`),
    )
    expect(base64.status).toBe(413)
    expect((await small.append('a', 'x'.repeat(8))).status).toBe(200)
    const head = (headers: Record<string, string>): number =>
      small.wire.bodyLimit({ method: 'POST', target: '/v1/append', header: (name) => headers[name] })
    expect(head({ 'x-payload-id': 'a' })).toBe(10)
    expect(small.wire.bodyLimit({ method: 'GET', target: '/', header: () => undefined })).toBe(0)
  })

  it.each([
    ['busy', 503, '1'],
    ['clock-behind', 503, '10'],
    ['stopped', 500, undefined],
    ['full', 507, undefined],
    ['signer', 500, undefined],
    ['corrupt', 500, undefined],
  ])('maps the ledger error %s to the status %i', async (code, status, retryAfter) => {
    const broken = await harness(({ ledger }) => ({ ledger: refusing(ledger, ledgerError(code)) }))
    const got = await broken.append('a', 1)
    expect([got.status, got.json.code, got.headers['retry-after']]).toEqual([status, code, retryAfter])
    expect(got.text).not.toContain('/srv')
    expect(broken.reports).toHaveLength(code === 'busy' ? 0 : 1)
  })

  it('reports an unexpected error as 500 without its message', async () => {
    const broken = await harness(({ ledger }) => ({
      ledger: refusing(ledger, new Error('at /srv/secret.ts:1')),
    }))
    const got = await broken.append('a', 1)
    expect([got.status, got.json.code]).toEqual([500, 'internal'])
    expect(got.text).not.toContain('secret')
    expect(broken.reports).toHaveLength(1)
  })
})

function ledgerError(code: string): Error {
  const message = code === 'busy' || code === 'clock-behind' ? 'why' : 'at /srv/secret'
  return Object.assign(new Error(message), { name: 'LedgerError', code })
}

function refusing(ledger: Harness['ledger'], error: Error): Harness['ledger'] {
  return new Proxy(ledger, {
    get(target, name) {
      if (name === 'append' || name === 'appendFresh') return () => Promise.reject(error)
      const value: unknown = Reflect.get(target, name)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}

describe('reading', () => {
  beforeEach(async () => {
    for (const id of ['a', 'b', 'c', 'd', 'e']) await h.append(id, { id })
  })

  it('lists entries in order, and resumes from next_cursor', async () => {
    const all = await h.ask('/v1/entries')
    expect(Object.keys(all.json)).toEqual(['module_id', 'next_cursor', 'entries'])
    expect(all.json).toMatchObject({ module_id: 'acme', next_cursor: 5 })
    expect(all.json.entries.map((e: { payload_id: string }) => e.payload_id)).toEqual([
      'a',
      'b',
      'c',
      'd',
      'e',
    ])
    expect(Object.keys(all.json.entries[0])).toEqual(['cursor', 'payload_id', 'type', 'time', 'payload'])
    const some = await h.ask('/v1/entries?since=1&limit=2')
    expect(some.json.next_cursor).toBe(3)
    expect(some.json.entries.map((e: { cursor: number }) => e.cursor)).toEqual([2, 3])
    expect((await h.ask('/v1/entries?since=5')).json).toMatchObject({ next_cursor: 5, entries: [] })
    expect((await h.ask('/v1/entries?since=7')).json).toMatchObject({ next_cursor: 7, entries: [] })
  })

  it('lists entries as NDJSON', async () => {
    const got = await h.ask('/v1/entries?limit=2', { headers: { accept: 'application/x-ndjson' } })
    expect(got.headers['content-type']).toBe('application/x-ndjson')
    expect(got.headers['x-next-cursor']).toBe('2')
    expect(got.text.split('\n')).toHaveLength(3)
  })

  it('ends a page at its size limit, after at least one record', async () => {
    const small = await harness(() => ({ limits: { maxEntriesBytes: 200 } }))
    for (const id of ['a', 'b', 'c']) await small.append(id, 'x'.repeat(50))
    expect((await small.ask('/v1/entries')).json).toMatchObject({ next_cursor: 2 })
    expect((await small.ask('/v1/entries')).json.entries).toHaveLength(2)
  })

  it('returns one record by cursor and by identifier', async () => {
    const one = await h.ask('/v1/entries/3')
    expect(one.json).toMatchObject({ cursor: 3, payload_id: 'c', payload: { id: 'c' } })
    expect((await h.ask('/v1/records/c')).json).toEqual(one.json)
    for (const path of ['/v1/entries/0', '/v1/entries/6', '/v1/entries/6/proof']) {
      expect((await h.ask(path)).json).toMatchObject({ status: 404, code: 'not-found', size: 5 })
    }
    expect((await h.ask('/v1/records/nobody')).json).toMatchObject({ status: 404, code: 'not-found' })
  })

  it('rejects proofs beyond the tree: 400 with the size', async () => {
    for (const target of [
      '/v1/proof/inclusion?index=5',
      '/v1/proof/inclusion?index=1&size=6',
      '/v1/proof/inclusion?index=3&size=3',
      '/v1/proof/consistency?from=1&to=6',
      '/v1/proof/consistency?from=4&to=3',
    ]) {
      expect((await h.ask(target)).json).toMatchObject({ status: 400, code: 'range', size: 5 })
    }
    expect((await h.ask('/v1/proof/consistency?from=0&to=5')).json).toEqual({ from: 0, to: 5, hashes: [] })
    expect(Object.keys((await h.ask('/v1/proof/inclusion?index=1&size=5')).json)).toEqual([
      'index',
      'size',
      'leaf_hash',
      'root_hash',
      'hashes',
    ])
  })

  it('returns the checkpoint as text and as JSON', async () => {
    const text = await h.ask('/v1/checkpoint')
    expect(text.text).toBe(h.ledger.checkpoint())
    const json = await h.ask('/v1/checkpoint', { headers: { accept: 'application/json' } })
    expect(json.json).toMatchObject({ origin: 'example.org/ledger/acme', size: 5, checkpoint: text.text })
  })

  it('returns the contract', async () => {
    expect((await h.ask('/v1/contract')).json).toMatchObject({
      version: '0.0.0',
      module_id: 'acme',
      origin: 'example.org/ledger/acme',
      hash_algorithms: ['sha-256'],
      reads: 'recorded',
      audit: { origin: 'example.org/ledger/acme/audit' },
      limits: { payload_bytes: 16 * 2 ** 20, append_lines: 4096 },
    })
  })

  it('returns tiles', async () => {
    const tile = await h.ask('/tile/0/000.p/5')
    expect(tile.headers).toMatchObject({
      'content-type': 'application/octet-stream',
      'cache-control': 'private, max-age=31536000, immutable',
    })
    expect(tile.bytes).toHaveLength(160)
    expect((await h.ask('/tile/0/000.p/2')).bytes).toEqual(tile.bytes.subarray(0, 64))
    const text = await h.ask('/tile/0/000.p/5.b64')
    expect(text.text.split('\n')).toHaveLength(6)
    const bundle = await h.ask('/tile/entries/000.p/5')
    const length = bundle.bytes[1] as number
    expect(bundle.bytes[0]).toBe(0)
    expect(Buffer.from(bundle.bytes.subarray(2, 2 + length)).toString()).toContain('{"id":"a"}')
    const line = (await h.ask('/tile/entries/000.p/5.b64')).text.split('\n')[0] as string
    expect(Buffer.from(line, 'base64').toString()).toContain('{"id":"a"}')
    const checkpoint = await h.ask('/checkpoint')
    expect(checkpoint.headers).toMatchObject({
      'content-type': 'text/plain; charset=utf-8',
      'cache-control': 'no-store',
    })
  })

  it.each([
    '/tile/0/000',
    '/tile/0/000.p/6',
    '/tile/0/001.p/1',
    '/tile/1/000.p/1',
    '/tile/63/000.p/1',
    '/tile/entries/000',
    '/tile/entries/000.b64',
    '/tile/entries/000.p/0',
    '/tile/entries/000.p/256',
    '/tile/0/0',
    '/tile/00/000.p/1',
    '/tile/0/x000/000.p/1',
    '/tile/64/000.p/1',
    '/tile/0/000.p/05',
    '/tile/../origin',
    '/tile/%2e%2e/origin',
    '/tile/0/000.p/1.b64.b64',
    '/tile/-1/000',
  ])('%s: 404', async (path) => {
    const before = h.audit.size
    expect((await h.ask(path)).status).toBe(404)
    expect(h.audit.size).toBe(before)
  })
})

describe('the audit sub-ledger', () => {
  beforeEach(async () => {
    for (const id of ['a', 'b', 'c']) await h.append(id, id)
  })

  it('has an entry for every read', async () => {
    const targets = h.wire.routes
      .filter((route) => route.recorded && !route.audit && route.streams !== true)
      .map(({ pattern }) =>
        pattern
          .replace('{cursor}', '2')
          .replace('{payload_id}', 'b')
          .replace('{path...}', 'entries/000.p/3')
          .replace('inclusion', 'inclusion?index=1')
          .replace('consistency', 'consistency?from=1'),
      )
    expect(targets.length).toBeGreaterThan(9)
    for (const target of targets) {
      for (const method of ['GET', 'HEAD']) {
        const index = h.audit.size
        const got = await h.ask(target, { method })
        expect([target, got.status, got.headers['x-audit-index']]).toEqual([target, 200, String(index)])
        expect(await payloadOf(index)).toMatchObject({
          method,
          subject: 'anonymous',
          outcome: 'shown',
          bytes: method === 'HEAD' ? 0 : got.bytes.length,
          when: '2027-01-15T08:00:00.000Z',
        })
      }
    }
  })

  it('records the subject, and the protocol on top of HTTP', async () => {
    const request = {
      method: 'GET',
      target: '/t/acme/v1/checkpoint',
      header: () => undefined,
      body: new Uint8Array(),
    }
    await h.wire.handle({ ...request, subject: 'alice', via: 'mcp' })
    await h.wire.handle(request)
    expect(await payloadOf(0)).toMatchObject({ subject: 'alice', via: 'mcp' })
    expect(await payloadOf(1)).not.toHaveProperty('via')
  })

  it('records the content of the response', async () => {
    await h.ask('/v1/entries?since=1', { headers: { 'x-foundry-request-id': 'q' } })
    expect(await payloadOf(0)).toMatchObject({
      route: '/v1/entries',
      request_id: 'q',
      since: 1,
      limit: 100,
      next_cursor: 3,
      entries: 2,
    })
    await h.ask('/tile/entries/000.p/3')
    expect(await payloadOf(1)).toMatchObject({
      route: '/tile/{path...}',
      tile: 'tile/entries/000.p/3',
      entries: 3,
    })
    const record = await h.audit.record(0)
    expect(record.type).toBe('application/vnd.service-fs.read+json')
    expect(record.id).toMatch(/^read-q-/)
  })

  it('records each of two reads with the same request id', async () => {
    const headers = { 'x-foundry-request-id': 'same' }
    expect((await h.ask('/v1/entries/1', { headers })).headers['x-audit-index']).toBe('0')
    expect((await h.ask('/v1/entries/1', { headers })).headers['x-audit-index']).toBe('1')
  })

  it('is read by the same routes, and records those reads', async () => {
    await h.ask('/v1/entries/1')
    const got = await h.ask('/audit/v1/entries')
    expect(got.json.entries).toHaveLength(1)
    expect(got.json.entries[0].payload).toMatchObject({ route: '/v1/entries/{cursor}', cursor: 1 })
    expect(got.headers['x-audit-index']).toBe('1')
    expect((await payloadOf(1))['route']).toBe('/audit/v1/entries')
    expect((await h.ask('/t/acme/audit/checkpoint')).text).toMatch(/^example\.org\/ledger\/acme\/audit\n2\n/)
  })

  it('does not record failed requests', async () => {
    await h.ask('/v1/entries/9')
    await h.ask('/v1/entries?since=x')
    await h.ask('/v1/entries', { headers: { 'x-foundry-module-id': 'globex' } })
    expect(h.audit.size).toBe(0)
  })

  it.each([
    ['full', 507],
    ['busy', 503],
    ['clock-behind', 503],
    ['stopped', 500],
  ])('a read that cannot be recorded (%s) is not answered: %i', async (code, status) => {
    const broken = await harness(({ audit }) => ({
      audit: refusing(audit as Harness['audit'], ledgerError(code)),
    }))
    await broken.append('a', 'secret-payload')
    for (const target of [
      '/v1/entries',
      '/checkpoint',
      '/tile/0/000.p/1',
      '/v1/contract',
      '/audit/v1/checkpoint',
    ]) {
      const got = await broken.ask(target)
      expect([target, got.status, got.json.code]).toEqual([target, status, code])
      expect(got.text).not.toContain('secret-payload')
      expect(got.headers).not.toHaveProperty('x-audit-index')
    }
    expect((await broken.ask('/healthz')).status).toBe(200)
  })

  it('is absent for a public ledger', async () => {
    const open = await harness(() => ({ audit: undefined }))
    await open.append('a', 1)
    const tile = await open.ask('/tile/0/000.p/1')
    expect(tile.headers['cache-control']).toBe('public, max-age=31536000, immutable')
    expect(tile.headers).not.toHaveProperty('x-audit-index')
    expect((await open.ask('/v1/contract')).json.audit).toBeNull()
    expect((await open.ask('/audit/checkpoint')).json).toMatchObject({ status: 404, code: 'audit-off' })
  })
})

describe('readiness and metrics', () => {
  it('reports why the server is not ready', async () => {
    const sick = await harness(() => ({ ready: async () => ({ ready: false, reason: 'the disk is full' }) }))
    expect((await sick.ask('/readyz')).json).toMatchObject({
      status: 503,
      code: 'not-ready',
      detail: 'the disk is full',
    })
  })

  it('report the protections of the ledger, if known', async () => {
    const protections = { sealed: '0444', immutable: false }
    const known = await harness(() => ({ ready: async () => ({ ready: true, protections }) }))
    expect((await known.ask('/readyz')).text).toBe(
      '{"ready":true,"protections":{"sealed":"0444","immutable":false}}',
    )
    expect((await h.ask('/readyz')).text).toBe('{"ready":true}')
  })

  it('return metrics, if there are any', async () => {
    expect((await h.ask('/metrics')).status).toBe(404)
    const measured = await harness(() => ({
      metrics: async () => ({ contentType: 'text/plain', text: 'up 1\n' }),
    }))
    expect((await measured.ask('/metrics', { headers: {} })).text).toBe('up 1\n')
  })
})

describe('/mcp', () => {
  it('is 404 without an MCP server, for every method', async () => {
    for (const method of ['POST', 'GET', 'DELETE'])
      expect((await h.ask('/mcp', { method })).json).toMatchObject({ status: 404, code: 'no-route' })
    expect(h.wire.routes.map(({ pattern }) => pattern)).not.toContain('/mcp')
  })

  it('passes the call to the MCP server, records nothing, and returns its answer', async () => {
    const calls: Call[] = []
    const served = await harness(() => ({
      mcp: async (call) => {
        calls.push(call)
        return { status: 202, headers: { 'x-audit-index': '7' }, body: '' }
      },
    }))
    const got = await served.ask('/t/acme/mcp', { method: 'POST', body: '{"jsonrpc":"2.0"}' })
    expect([got.status, got.headers['x-audit-index'], served.audit.size]).toEqual([202, '7', 0])
    expect(calls.map(({ request }) => [request.method, request.target, request.body.length])).toEqual([
      ['POST', '/t/acme/mcp', 17],
    ])
    const other = { method: 'POST', headers: { 'x-foundry-module-id': 'globex' } }
    expect((await served.ask('/mcp', other)).json.code).toBe('module-id-mismatch')
    expect((await served.ask('/mcp')).headers['allow']).toBe('POST')
    expect(calls).toHaveLength(1)
  })
})
