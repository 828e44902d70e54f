/** The conformance suite of the wire protocol, over any transport: every route, and every error that a client can cause. */
import { parseEntry } from '@service-fs/format/entry'
import { pureCodec } from '@service-fs/tlog/codec'
import { verifyConsistency, verifyInclusion } from '@service-fs/tlog/proof'
import { bundleFromBinary, hashTileFromBinary } from '@service-fs/tlog/tile-text'
import { parseTlogProof } from '@service-fs/tlog/tlog-proof'
import { ROUTES } from './routes.ts'
import { following } from './conformance-follow.ts'
import { framedBatches } from './conformance-framed.ts'
import { retention } from './conformance-retention.ts'
import { signedRecords } from './conformance-signed.ts'
import {
  JSON_TYPE,
  NDJSON,
  tools,
  type Answer,
  type Json,
  type Tools,
  type WireConformanceOptions,
  type WirePart,
} from './conformance-tools.ts'

const PARTS: Readonly<Record<WirePart, (t: Tools) => void>> = {
  routes: tenantsAndRoutes,
  appends: appending,
  'bad appends': badAppends,
  'framed batches': framedBatches,
  retention,
  signatures: signedRecords,
  'coded bodies': codedBodies,
  limits,
  reads: reading,
  proofs,
  tiles,
  streams: following,
  audit,
  restarts: restarting,
  clock: clocks,
}

/** The names of the suite's parts. */
export const WIRE_PARTS: readonly WirePart[] = Object.keys(PARTS) as WirePart[]

/** Adds the tests that every server of the wire protocol must pass. */
export function wireConformance(options: WireConformanceOptions): void {
  const { name, clock = false, parts = WIRE_PARTS } = options
  const t = tools(options)
  options.test.describe(`the wire protocol of ${name} conforms`, () => {
    for (const part of parts) if (part !== 'clock' || clock) PARTS[part](t)
  })
}

function tenantsAndRoutes({ it, same, like, refused }: Tools): void {
  it('requires the tenant in the header or in the path', async (w) => {
    const { moduleId } = w
    for (const target of ['/v1/checkpoint', '/checkpoint', '/v1/entries', '/audit/v1/contract']) {
      refused(await w.ask(target, { tenant: undefined }), 'module-id-missing', { expected: moduleId })
      same((await w.ask(`/t/${moduleId}${target}`, { tenant: undefined })).status, 200)
      same((await w.ask(`/t/${moduleId}${target}`)).status, 200)
      same((await w.ask(`http://localhost${target}`)).status, 200)
      const other = { expected: moduleId, supplied: 'globex' }
      refused(await w.ask(target, { tenant: 'globex' }), 'module-id-mismatch', other)
      refused(await w.ask(`/t/globex${target}`, { tenant: undefined }), 'module-id-mismatch', other)
      refused(await w.ask(`/t/${moduleId}${target}`, { tenant: 'globex' }), 'module-id-ambiguous', {})
    }
    refused(await w.append('a', 1, { tenant: undefined }), 'module-id-missing', {})
    refused(await w.append('a', 1, { tenant: 'globex' }), 'module-id-mismatch', {})
    same((await w.ask('/v1/entries')).json.entries, [])
  })

  it('answers health checks without a tenant, and does not record them', async (w) => {
    await w.ready()
    for (const tenant of [w.moduleId, undefined]) {
      const alive = await w.ask('/healthz', { tenant })
      same([alive.status, alive.text, alive.headers['content-type']], [200, '{"alive":true}', JSON_TYPE])
      like((await w.ask('/readyz', { tenant })).json, { ready: true })
      const metrics = await w.ask('/metrics', { tenant })
      if (metrics.status !== 404) same(metrics.headers['content-type']?.startsWith('text/plain'), true)
      for (const { headers } of [alive, metrics]) same(headers['x-audit-index'], undefined)
    }
    same((await w.ask('/audit/v1/entries')).json.entries, [])
  })

  it('rejects other paths and other methods', async (w) => {
    for (const path of [
      '/',
      '/nothing',
      '/v1',
      '/v1/',
      '/v1/entries/1/proof/more',
      '/audit',
      '/audit/healthz',
      '/audit/v1/append',
      '/v1/records/a/b',
      '/tile',
      '/V1/checkpoint',
      '//v1/checkpoint',
      `/t/${w.moduleId}`,
    ]) {
      const { status, json } = await w.ask(path)
      same([path, status, json?.code], [path, 404, 'no-route'])
    }
    for (const { pattern, method, needs } of ROUTES) {
      const [path, allow] = [example(pattern), method === 'GET' ? 'GET, HEAD' : method]
      if (needs !== undefined && (await w.ask(path, { method: 'OPTIONS' })).status === 404) continue
      for (const other of method === 'GET' ? ['POST', 'PUT', 'DELETE'] : ['GET', 'HEAD', 'PATCH']) {
        const got = await w.ask(path, { method: other })
        same([path, other, got.status, got.headers['allow']], [path, other, 405, allow])
      }
    }
    same((await w.ask('/v1/checkpoint')).text, (await w.ask('/checkpoint')).text)
  })

  it('rejects unknown, repeated and malformed parameters, and names them', async (w) => {
    for (const [target, field] of [
      ['/v1/entries?sinse=1', 'sinse'],
      ['/v1/checkpoint?x=1', 'x'],
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
      ['/v1/search?from=2026-11-22', 'from'],
      ['/v1/search?to=2026-02-29T00:00:00.000Z', 'to'],
      ['/v1/search?from=2026-11-22T00:00:00.000Z&to=2026-11-21T00:00:00.000Z', 'to'],
      ['/v1/search?type=', 'type'],
      ['/v1/search?prefix=', 'prefix'],
      ['/v1/search?prefix=a%00b', 'prefix'],
      ['/v1/search?prefix=%ff', 'prefix'],
      ['/v1/search?after=-1', 'after'],
      ['/v1/search?limit=0', 'limit'],
      ['/v1/search?limit=1001', 'limit'],
      ['/v1/search?since=1', 'since'],
      ['/v1/search?where=', 'where'],
      ['/v1/search?where=/a', 'where'],
      ['/v1/search?where=a=1', 'where'],
      ['/v1/search?where=/a~2=1', 'where'],
      ['/v1/search?where=%2Fa=%ff', 'where'],
      ['/v1/search?prefix=a&prefix=b', 'prefix'],
      [`/v1/search?${'where=/a=1&'.repeat(9)}`, 'where'],
      ['/v1/records/%ff', 'payload_id'],
      ['/v1/records/a%00b', 'payload_id'],
      ['/v1/proof/inclusion', 'index'],
      ['/v1/proof/consistency?to=1', 'from'],
    ] as const) {
      refused(await w.ask(target), 'bad-request', { field })
      refused(await w.ask(`/audit${target}`), 'bad-request', { field })
    }
  })

  it('returns a request identifier, the client’s or a new one', async (w) => {
    const [one, two] = [await w.ask('/healthz'), await w.ask('/healthz')]
    const made = [one, two].map(({ headers }) => headers['x-foundry-request-id'] ?? '')
    same([new Set(made).size, made.every((id) => /^[\x21-\x7e]{1,64}$/.test(id))], [2, true])
    const ask = (id: string): Promise<Answer> =>
      w.ask('/healthz', { headers: { 'x-foundry-request-id': id } })
    same((await ask('mine/1')).headers['x-foundry-request-id'], 'mine/1')
    for (const bad of ['a b', 'x'.repeat(129), '\u00fc']) {
      refused(await ask(bad), 'bad-request', { field: 'X-Foundry-Request-ID' })
    }
    const missing = await w.ask('/nothing', { headers: { 'x-foundry-request-id': 'q' } })
    same(missing.headers['x-foundry-request-id'], 'q')
  })

  it('serves the contract', async (w) => {
    const { json } = await w.ask('/v1/contract')
    same(Object.keys(json), [
      'version',
      'module_id',
      'origin',
      'vkeys',
      'hash_algorithms',
      'reads',
      'audit',
      'limits',
    ])
    like(json, { module_id: w.moduleId, hash_algorithms: ['sha-256'], reads: 'recorded' })
    like(json.audit, { origin: `${json.origin}/audit` })
    same([json.vkeys.length, json.audit.vkeys.length], [1, 1])
    same(json.vkeys[0] === json.audit.vkeys[0], false)
    like(json.limits, { payload_id_bytes: 256, type_bytes: 255, entries_default: 100, entries_max: 1000 })
    same((await w.ask('/audit/v1/contract')).json.origin, json.audit.origin)
  })
}

function appending({ it, same, like, refused }: Tools): void {
  it('appends JSON as canonical text', async (w) => {
    const got = await w.post('{"payload":{"b":[1,"é"],"a":12.0},"payload_id":"ü/1"}')
    same(
      [got.status, got.headers['content-type'], got.headers['cache-control']],
      [200, JSON_TYPE, 'no-store'],
    )
    same(Object.keys(got.json), [
      'cursor',
      'payload_id',
      'index',
      'parts',
      'leaf_hash',
      'time',
      'duplicate',
      'checkpoint',
    ])
    like(got.json, { cursor: 1, payload_id: 'ü/1', index: 0, parts: 1, duplicate: false })
    const { time, leaf_hash: leafHash } = got.json
    const entry = `service-fs/entry/v1\nid: ü/1\ntype: application/json\ntime: ${time}\n\n{"a":12,"b":[1,"é"]}`
    same(leafHash, w.hasher.leaf(pureCodec.utf8Encode(entry)))
    like(await w.opened(got.json.checkpoint), { size: 1, root: leafHash })
    same(got.headers['x-audit-index'], undefined)
    same((await w.ask('/v1/records/%C3%BC%2F1')).text.includes('"payload":{"a":12,"b":[1,"é"]}'), true)
  })

  it('accepts every JSON value, and bytes as base64', async (w) => {
    const values = ['null', 'true', '0', '-1.5e-7', '""', '"\\u0000\\u20ac😀"', '[]', '{}', '[[{"":null}]]']
    for (const [i, value] of values.entries()) {
      same((await w.post(`{"payload_id":"v${i}","payload":${value}}`)).status, 200)
      same((await w.ask(`/v1/records/v${i}`)).json.payload, JSON.parse(value))
    }
    const base64 = await w.post('{"payload_id":"raw","payload_base64":"AP8KDQ==","type":"x/y; z=\\"1\\""}')
    like(base64.json, { index: values.length, duplicate: false })
    like((await w.ask('/v1/records/raw')).json, { type: 'x/y; z="1"', payload_base64: 'AP8KDQ==' })
    // A record is shown according to its stored bytes, not according to the form in which it was sent.
    await w.post('{"payload_id":"text","payload_base64":"eyJhIjoxfQ==","type":"text/plain"}')
    like((await w.ask('/v1/records/text')).json, { type: 'text/plain', payload: { a: 1 } })
  })

  it('stores numbers as RFC 8785 formats them: shortest, then closest', async (w) => {
    // Powers of two, for which engines differ: 2^-24, 2^-44, 2^89, −2^-1022. Then other notations of a decimal value.
    const numbers = [
      ['5.960464477539063e-8', '5.960464477539063e-8'],
      ['5.684341886080802e-14', '5.684341886080802e-14'],
      ['618970019642690137449562112e0', undefined],
      ['618970019642690100000000000', '6.189700196426901e+26'],
      ['-2.2250738585072014E-308', '-2.2250738585072014e-308'],
      ['1.10', '1.1'],
      ['1000000000000000000000', '1e+21'],
    ] as const
    for (const [i, [literal, text]] of numbers.entries()) {
      const { status } = await w.post(`{"payload_id":"n${i}","payload":${literal}}`)
      same([literal, status], [literal, text === undefined ? 400 : 200])
      if (text === undefined) continue
      same((await w.ask(`/v1/records/n${i}`)).text.includes(`"payload":${text}}`), true)
      like((await w.post(`{"payload_id":"n${i}","payload":${text}}`)).json, { duplicate: true })
    }
  })

  it('appends raw bytes of any type', async (w) => {
    const bytes = Uint8Array.of(0, 255, 10, 13)
    const raw = { 'x-payload-id': 'raw', 'content-type': 'application/pdf' }
    like((await w.post(bytes, raw)).json, { payload_id: 'raw', index: 0, parts: 1 })
    like((await w.ask('/v1/entries/1')).json, { type: 'application/pdf', payload_base64: 'AP8KDQ==' })
    await w.post('{"a": 1}', { 'x-payload-id': 'loose', 'content-type': JSON_TYPE })
    like((await w.ask('/v1/entries/2')).json, { type: JSON_TYPE, payload_base64: 'eyJhIjogMX0=' })
    await w.post('', { 'x-payload-id': 'rechnung-\u00c3\u00bc', 'content-type': undefined })
    like((await w.ask('/v1/records/rechnung-%c3%bc')).json, {
      payload_id: 'rechnung-ü',
      type: 'application/octet-stream',
      payload_base64: '',
    })
  })

  it('appends a batch atomically, in one commit', async (w) => {
    const body = '{"payload_id":"a","payload":1}\n{"payload_id":"b","payload_base64":"AP8=","type":"x/y"}\n'
    const got = await w.post(body, NDJSON)
    same(Object.keys(got.json), ['entries', 'checkpoint'])
    same(
      got.json.entries.map((e: Json) => [e.payload_id, e.index, e.duplicate]),
      [
        ['a', 0, false],
        ['b', 1, false],
      ],
    )
    like(await w.opened(got.json.checkpoint), { size: 2 })
    const second =
      '{"payload_id":"c","payload":1}\n{"payload_id":"a","payload":1}\n{"payload_id":"c","payload":1}'
    same(
      (await w.post(second, NDJSON)).json.entries.map((e: Json) => [e.index, e.duplicate]),
      [
        [2, false],
        [0, true],
        [2, true],
      ],
    )
    const conflict = '{"payload_id":"d","payload":1}\n{"payload_id":"b","payload":2}\n'
    refused(await w.post(conflict, NDJSON), 'conflict', { cursor: 2 })
    const twins = '{"payload_id":"e","payload":1}\n{"payload_id":"e","payload":2}\n'
    refused(await w.post(twins, NDJSON), 'conflict', { cursor: undefined })
    same((await w.ask('/v1/entries')).json.next_cursor, 3)
  })

  it('returns the place of a duplicate, and rejects another record with the same identifier', async (w) => {
    const first = await w.append('a', { x: 1, y: 2 })
    for (const how of [undefined, 'kill', 'stop'] as const) {
      if (how !== undefined) await w.reopen(how)
      const again = await w.post('{"payload":{"y":2,"x":1.0},"payload_id":"a"}')
      same(again.json, { ...first.json, duplicate: true })
      refused(await w.append('a', 3), 'conflict', { cursor: 1 })
      const typed = { 'x-payload-id': 'a', 'content-type': 'text/plain' }
      refused(await w.post('{"x":1,"y":2}', typed), 'conflict', { cursor: 1 })
    }
    const receipt = await w.post('{"payload_id":"a","payload":{"x":1,"y":2}}', { accept: PROOF })
    same(receipt.headers['content-type'], `${PROOF}; charset=utf-8`)
    same(receipt.text, (await w.ask('/v1/entries/1/proof')).text)
  })

  it('splits a large record into several entries with one cursor', async (w) => {
    const payload = new Uint8Array(150_000).fill(7)
    const raw = { 'x-payload-id': 'big', 'content-type': 'a/b' }
    like((await w.post(payload, raw)).json, { cursor: 1, parts: 3 })
    like((await w.append('next', 1)).json, { cursor: 4 })
    for (const how of [undefined, 'kill'] as const) {
      if (how !== undefined) await w.reopen(how)
      const all = (await w.ask('/v1/entries')).json
      same(
        all.entries.map((e: Json) => e.cursor),
        [1, 4],
      )
      same(all.entries[0].payload_base64, pureCodec.base64Encode(payload))
      same((await w.ask('/v1/entries?since=1')).json.entries.length, 1)
      for (const inside of [2, 3])
        refused(await w.ask(`/v1/entries/${inside}`), 'not-a-record', { cursor: 1 })
    }
    like((await w.post(payload, raw)).json, { cursor: 1, parts: 3, duplicate: true })
    payload[149_999] = 8
    refused(await w.post(payload, raw), 'conflict', { cursor: 1 })
  })

  it('accepts payloads nested 127 levels deep, and rejects deeper ones, with or without white space', async (w) => {
    for (const [i, space] of ['', ' '].entries()) {
      for (const type of ['application/json', 'application/x-ndjson']) {
        const headers = { 'content-type': type }
        same((await w.post(nestedRecord(`${type}-${i}`, 127, space), headers)).status, 200)
        refused(await w.post(nestedRecord('deep', 128, space), headers), 'bad-request', { field: 'body' })
      }
    }
  })

  it('appends many records concurrently, and returns to each a checkpoint that covers it', async (w) => {
    const got = await Promise.all(Array.from({ length: 64 }, (_, i) => w.append(`r${i}`, i)))
    const cursors = got.map(({ json }) => json.cursor as number).sort((a, b) => a - b)
    same(
      cursors,
      cursors.map((_, i) => i + 1),
    )
    for (const { json } of got) same((await w.opened(json.checkpoint)).size >= json.cursor, true)
    const { entries } = (await w.ask('/v1/entries')).json
    for (const { json } of got) same(entries[json.index].payload_id, json.payload_id)
  })
}

function nestedRecord(id: string, levels: number, space: string): string {
  return `{"payload_id":"${id}","payload":${space}${'['.repeat(levels)}${']'.repeat(levels)}}`
}

/** Bodies of a JSON append that are 400, and the field that the response names. */
export const BAD_RECORDS: readonly (readonly [body: string, field: string])[] = [
  ['', 'body'],
  ['{"payload_id":', 'body'],
  ['[]', 'body'],
  ['"x"', 'body'],
  ['null', 'body'],
  ['{"payload_id":"a","payload":1} x', 'body'],
  ['{"payload_id":"a","payload":1,"paylaod":2}', 'paylaod'],
  ['{"payload_id":"a","payload":1,"__proto__":2}', '__proto__'],
  ['{"payload_id":"a","payload":1,"payload_id":"b"}', 'body'],
  ['{"payload_id":"a","payload":{"x":1,"x":1}}', 'body'],
  ['{"payload":1}', 'payload_id'],
  ['{"payload_id":7,"payload":1}', 'payload_id'],
  ['{"payload_id":"","payload":1}', 'payload_id'],
  [JSON.stringify({ payload_id: 'é'.repeat(129), payload: 1 }), 'payload_id'],
  ['{"payload_id":"a\\nb","payload":1}', 'payload_id'],
  ['{"payload_id":"\\ud800","payload":1}', 'payload_id'],
  ['{"payload_id":"a"}', 'payload'],
  ['{"payload_id":"a","payload":null,"payload_base64":""}', 'payload'],
  ['{"payload_id":"a","payload_base64":"AA"}', 'payload_base64'],
  ['{"payload_id":"a","payload_base64":"AB=="}', 'payload_base64'],
  ['{"payload_id":"a","payload_base64":"_-8="}', 'payload_base64'],
  ['{"payload_id":"a","payload_base64":"AA==\\n"}', 'payload_base64'],
  ['{"payload_id":"a","payload_base64":1}', 'payload_base64'],
  ['{"payload_id":"a","payload":"\\ud800"}', 'payload'],
  ['{"payload_id":"a","payload":1e999}', 'body'],
  ['{"payload_id":"a","payload":9007199254740993}', 'body'],
  ['{"payload_id":"a","payload":9007199254740993.0}', 'body'],
  ['{"payload_id":"a","payload":[12345678901234567.89]}', 'body'],
  ['{"payload_id":"a","payload":{"b":1.000000000000000005}}', 'body'],
  ['{"payload_id":"a","payload":5.9604644775390625e-8}', 'body'],
  [`{"payload_id":"a","payload":${'['.repeat(200)}${']'.repeat(200)}}`, 'body'],
  ['{"payload_id":"a","payload":1,"type":"json"}', 'type'],
  ['{"payload_id":"a","payload":1,"type":""}', 'type'],
  ['{"payload_id":"a","payload":1,"type":"a/b\\nc: d"}', 'type'],
  [JSON.stringify({ payload_id: 'a', payload: 1, type: `a/${'b'.repeat(254)}` }), 'type'],
]

function codedBodies({ it, same, like, refused }: Tools): void {
  it('rejects a content coding or charset that it cannot decode, and records nothing', async (w) => {
    const body = '{"payload_id":"a","payload":1}'
    const raw = { 'x-payload-id': 'a', 'content-type': 'text/plain' }
    for (const coding of ['br', 'deflate', 'compress', 'zstd', 'gzip, gzip', 'identity, br', 'GZIP;q=1']) {
      for (const headers of [{}, NDJSON, raw]) {
        const got = await w.post(body, { ...headers, 'content-encoding': coding })
        refused(got, 'unsupported-media-type', { field: 'Content-Encoding', supplied: coding })
        same(['gzip', 'identity'].includes(got.headers['accept-encoding'] ?? ''), true)
      }
    }
    for (const type of [
      'application/json; charset=utf-16',
      'application/json;charset="ISO-8859-1"',
      'application/json; charset=utf-8; Charset=latin1',
      'application/x-ndjson; a="b;c"; charset=us-ascii',
    ])
      refused(await w.post(body, { 'content-type': type }), 'unsupported-media-type', {
        field: 'Content-Type',
        supplied: type,
      })
    for (const type of ['application/json; charset', 'application/json; charset=', 'application/json;;'])
      refused(await w.post(body, { 'content-type': type }), 'bad-request', { field: 'Content-Type' })
    for (const headers of [{}, NDJSON, raw]) {
      const part = { ...headers, 'content-range': 'bytes 0-29/100' }
      refused(await w.post(body, part), 'bad-request', { field: 'Content-Range' })
      const mime = { ...headers, 'content-transfer-encoding': 'base64' }
      refused(await w.post(body, mime), 'unsupported-media-type', { field: 'Content-Transfer-Encoding' })
    }
    same((await w.ask('/v1/entries')).json.entries, [])
    const fine = {
      'content-type': 'application/json; Charset="UTF-8"',
      'content-encoding': 'Identity',
      'content-transfer-encoding': 'binary',
    }
    same((await w.post(body, fine)).status, 200)
    // For raw bytes, the type and its charset describe the payload.
    const latin = { 'x-payload-id': 'latin', 'content-type': 'text/plain; charset=iso-8859-1' }
    same((await w.post(Uint8Array.of(0xe9), latin)).status, 200)
    like((await w.ask('/v1/records/latin')).json, {
      type: 'text/plain; charset=iso-8859-1',
      payload_base64: '6Q==',
    })
  })

  it('stores the decoded content of a gzip body, or rejects it', async (w) => {
    const coded = pureCodec.base64Decode(GZIP)
    for (const [id, headers] of [
      ['coded', {}],
      ['raw', { 'x-payload-id': 'raw', 'content-type': 'text/plain' }],
    ] as const) {
      const got = await w.post(coded, { ...headers, 'content-encoding': 'gzip' })
      if (got.status === 415) {
        refused(got, 'unsupported-media-type', { field: 'Content-Encoding', supplied: 'gzip' })
        same([got.headers['accept-encoding'], (await w.ask(`/v1/records/${id}`)).status], ['identity', 404])
        continue
      }
      same(got.status, 200)
      const { payload, payload_base64 } = (await w.ask(`/v1/records/${id}`)).json
      if (id === 'coded') same(payload, { of: 'gzip' })
      else same(pureCodec.utf8Decode(pureCodec.base64Decode(payload_base64)), UNCODED)
    }
  })
}

function badAppends({ it, same, refused }: Tools): void {
  it('rejects an invalid record, names the field and the line, and records nothing', async (w) => {
    for (const [body, field] of BAD_RECORDS) {
      refused(await w.post(body), 'bad-request', { field })
      const lines = `{"payload_id":"fine","payload":0}\n${body}\n{"payload_id":"fine 2","payload":0}`
      refused(await w.post(lines, NDJSON), 'bad-request', { field, line: 2 })
    }
    refused(await w.post(Uint8Array.of(0x22, 0xff, 0x22)), 'bad-request', { field: 'body' })
    const nul = { field: 'body', supplied: 'a NUL byte' }
    for (const headers of [{}, NDJSON]) {
      refused(await w.post('{"payload_id":"a","payload":"\u0000"}', headers), 'bad-request', nul)
    }
    refused(await w.post('', NDJSON), 'bad-request', { field: 'body' })
    refused(await w.post('\n', NDJSON), 'bad-request', { line: 1 })
    same((await w.ask('/v1/entries')).json.entries, [])
  })

  it('rejects headers that do not describe the body', async (w) => {
    const type = (value: string | undefined): Promise<Answer> =>
      w.post('{"payload_id":"a","payload":1}', { 'content-type': value })
    refused(await type('text/plain'), 'bad-request', { field: 'Content-Type', supplied: 'text/plain' })
    // Browsers send this without a preflight request, so it must not append.
    refused(await type(undefined), 'bad-request', { field: 'Content-Type', supplied: 'nothing' })
    refused(await type('application/json+x'), 'bad-request', { field: 'Content-Type' })
    refused(await w.post('x', { 'x-payload-id': '' }), 'bad-request', { field: 'X-Payload-ID' })
    refused(await w.post('x', { 'x-payload-id': '\u00ff' }), 'bad-request', { field: 'X-Payload-ID' })
    const nonsense = { 'x-payload-id': 'a', 'content-type': 'nonsense' }
    refused(await w.post('x', nonsense), 'bad-request', { field: 'Content-Type' })
    same((await w.ask('/v1/entries')).json.entries, [])
    same((await type('Application/JSON; charset=utf-8')).status, 200)
    same(
      (await w.post('{"payload_id":"b","payload":1}', { 'content-type': 'application/x-ndjson; a=b' }))
        .status,
      200,
    )
  })
}

const UNCODED = '{"payload_id":"coded","payload":{"of":"gzip"}}'
/** UNCODED as a gzip file (RFC 1952). */
const GZIP = 'H4sIAAAAAAAAA6tWKkiszMlPTInPTFGyUkrOT0lNUdKBCSpZVSvlpylZKaVXZRYo1dYCALfkbL8uAAAA'

/** Returns a record with an array: five values and names, plus the zeros. */
function record(id: string, zeros: number): string {
  return `{"payload_id":"${id}","payload":[${'0,'.repeat(zeros - 1)}0]}`
}

function limits({ it, same, like, refused }: Tools): void {
  it('accepts batches up to the advertised number of lines', async (w) => {
    const { append_lines: most } = (await w.ask('/v1/contract')).json.limits
    const over = await w.post(smallLines(most + 1), NDJSON)
    refused(over, 'too-large', { field: 'body', expected: most, supplied: most + 1 })
    // The server stops counting at the first line over the limit, whatever follows.
    const empty = await w.post('\n'.repeat(3 * most), NDJSON)
    refused(empty, 'too-large', { field: 'body', expected: most, supplied: most + 1 })
    const got = await w.post(smallLines(most), NDJSON)
    same([got.status, got.json.entries.at(-1).cursor], [200, most])
  })

  it('accepts payloads up to the advertised size', async (w) => {
    const { payload_bytes: most } = (await w.ask('/v1/contract')).json.limits
    const payload = new Uint8Array(most + 1).map((_, i) => (i * 31) % 251)
    refused(await w.post(payload, { 'x-payload-id': 'over' }), 'too-large', { field: 'body', expected: most })
    const json = `{"payload_id":"over","payload_base64":"${w.base64(payload)}"}`
    refused(await w.post(json), 'too-large', { expected: most })
    const whole = payload.subarray(0, most)
    like((await w.post(whole, { 'x-payload-id': 'raw' })).json, { cursor: 1, duplicate: false })
    const again = `{"payload_id":"raw","type":"application/json","payload_base64":"${w.base64(whole)}"}`
    like((await w.post(again)).json, { cursor: 1, duplicate: true })
    const read = await w.ask('/v1/records/raw')
    same(read.text.length > most && read.text.includes(w.base64(whole.subarray(0, 3000))), true)
    same((await w.append('after', 1)).status, 200)
  })

  it('accepts bodies up to the advertised number of JSON values', async (w) => {
    const { append_values: most } = (await w.ask('/v1/contract')).json.limits
    const over = { expected: most, supplied: 'more' }
    refused(await w.post(record('over', most - 4)), 'too-large', { ...over, field: 'body', line: undefined })
    like((await w.post(record('most', most - 5))).json, { cursor: 1 })
    same((await w.ask('/v1/records/most')).json.payload.length, most - 5)
    const half = Math.floor(most / 2)
    const lines = (more: number): string =>
      `${record('a', half - 5)}\n${record('b', most - half - 5 + more)}\n`
    refused(await w.post(lines(1), NDJSON), 'too-large', { ...over, line: 2 })
    same((await w.post(lines(0), NDJSON)).json.entries.length, 2)
    // A string counts as one value; raw bytes do not count, and a record with too many values is shown as bytes.
    const text = `{"payload_id":"text","payload":"${'[{,:'.repeat(most)}\\"\\\\"}`
    same((await w.post(text)).status, 200)
    same((await w.ask('/v1/records/text')).json.payload.length, most * 4 + 2)
    await w.post(`[${'0,'.repeat(most)}0]`, { 'x-payload-id': 'raw' })
    like((await w.ask('/v1/records/raw')).json, { payload_id: 'raw', payload: undefined })
  })

  it('accepts or rejects a batch of the advertised size, and keeps serving', async (w) => {
    const { payload_bytes: payload, append_bytes: most } = (await w.ask('/v1/contract')).json.limits
    const each = Math.min(payload, Math.floor((most - 1000) / 4)) - 3
    const base64 = w.base64(new Uint8Array(Math.floor(each / 3) * 3).fill(1))
    const line = (i: number): string => `{"payload_id":"l${i}","payload_base64":"${base64}"}\n`
    const count = Math.floor(most / line(0).length)
    const got = await w.post(Array.from({ length: count }, (_, i) => line(i)).join(''), NDJSON)
    same([200, 413].includes(got.status), true)
    refused(
      await w.post(Array.from({ length: count + 1 }, (_, i) => line(i)).join(''), NDJSON),
      'too-large',
      {},
    )
    same((await w.append('after', 1)).json.duplicate, false)
    same((await w.ask('/readyz')).status, 200)
  })

  it('ends a page of records at its size limit, after at least one record', async (w) => {
    const { payload_bytes: payload, entries_bytes: most } = (await w.ask('/v1/contract')).json.limits
    const count = Math.ceil(most / ((payload * 4) / 3))
    for (let i = 0; i <= count; i++) {
      same((await w.post(new Uint8Array(payload).fill(i), { 'x-payload-id': `p${i}` })).status, 200)
    }
    const { status, json } = await w.ask('/v1/entries')
    same(status, 200)
    same(json.entries.length, count)
    const rest = (await w.ask(`/v1/entries?since=${json.next_cursor}`)).json
    same(
      [...json.entries, ...rest.entries].map((e: Json) => e.payload_id),
      Array.from({ length: count + 1 }, (_, i) => `p${i}`),
    )
  })
}

function reading({ it, same, like, refused }: Tools): void {
  it('lists records in order, and resumes from next_cursor', async (w) => {
    for (const id of ['a', 'b', 'c', 'd', 'e']) await w.append(id, { id })
    for (const how of [undefined, 'stop', 'kill'] as const) {
      if (how !== undefined) await w.reopen(how)
      const { json } = await w.ask('/v1/entries')
      same(Object.keys(json), ['module_id', 'next_cursor', 'entries'])
      like(json, { module_id: w.moduleId, next_cursor: 5 })
      same(json.entries.map((e: Json) => e.payload_id).join(''), 'abcde')
      same(Object.keys(json.entries[0]), ['cursor', 'payload_id', 'type', 'time', 'payload'])
      const some = (await w.ask('/v1/entries?since=1&limit=2')).json
      same([some.next_cursor, some.entries.map((e: Json) => e.cursor)], [3, [2, 3]])
      like((await w.ask('/v1/entries?since=5')).json, { next_cursor: 5, entries: [] })
      like((await w.ask('/v1/entries?since=9007199254740991')).json, { entries: [] })
    }
    const stream = await w.ask('/v1/entries?limit=2', { headers: { accept: 'application/x-ndjson' } })
    same(stream.headers['content-type'], 'application/x-ndjson')
    same([stream.headers['x-next-cursor'], stream.text.split('\n').length], ['2', 3])
    // Only the exact media type counts: no wildcards, and no quality of 0.
    for (const accept of ['*/*', 'application/*', 'application/x-ndjson;q=0']) {
      same((await w.ask('/v1/entries', { headers: { accept } })).headers['content-type'], JSON_TYPE)
    }
  })

  it('returns one record by cursor and by identifier', async (w) => {
    const ids = ['a', 'papers/2026/ä %2F+?.txt', '😀', '.', '..', '%', 'x'.repeat(256)]
    for (const id of ids) await w.append(id, { id })
    for (const [i, id] of ids.entries()) {
      const one = await w.ask(`/v1/entries/${i + 1}`)
      like(one.json, { cursor: i + 1, payload_id: id, type: JSON_TYPE, payload: { id } })
      const named = await w.ask(`/v1/records/${encodeURIComponent(id)}`)
      same([id, named.status, named.text], [id, 200, one.text])
    }
    for (const path of ['/v1/entries/0', '/v1/entries/8', '/v1/entries/8/proof']) {
      refused(await w.ask(path), 'not-found', { field: 'cursor', size: 7 })
    }
    refused(await w.ask('/v1/records/nobody'), 'not-found', {})
  })

  it('finds records by time, type and the start of the identifier', async (w) => {
    const found = async (query: string): Promise<string> => {
      const ids: string[] = []
      for (let after = 0, complete = false; !complete;) {
        const { status, json } = await w.ask(`/v1/search?limit=2&after=${after}${query}`)
        same([query, status], [query, 200])
        ids.push(...json.hits.map((hit: Json) => hit.payload_id))
        complete = json.complete
        same(complete || json.next_cursor > after, true)
        after = json.next_cursor
      }
      return ids.join()
    }
    same((await w.ask('/v1/search')).json, {
      module_id: w.moduleId,
      size: 0,
      next_cursor: 0,
      complete: true,
      hits: [],
    })
    for (const id of ['inv/1', 'ä-1', 'inv/2']) await w.append(id, { id })
    await w.post('x'.repeat(70_000), { 'x-payload-id': 'inv-3', 'content-type': 'text/plain' })
    await w.append('ä-2', 1)
    const { json } = await w.ask('/v1/entries')
    const [first, , , split, last] = json.entries
    for (const how of [undefined, 'stop', 'kill'] as const) {
      if (how !== undefined) await w.reopen(how)
      same(await found(''), 'inv/1,ä-1,inv/2,inv-3,ä-2')
      same(await found('&prefix=inv'), 'inv/1,inv/2,inv-3')
      same(await found('&prefix=inv%2F'), 'inv/1,inv/2')
      same(await found('&prefix=%C3%A4'), 'ä-1,ä-2')
      same(await found('&type=text%2Fplain'), 'inv-3')
      same(await found('&type=application%2Fjson&prefix=inv'), 'inv/1,inv/2')
      same(await found('&type=text'), '')
      same(await found(`&from=${first.time}`), 'inv/1,ä-1,inv/2,inv-3,ä-2')
      same(await found(`&to=${first.time}`), '')
      same((await found(`&from=${last.time}`)).endsWith('ä-2'), true)
    }
    const { hits } = (await w.ask('/v1/search?type=text%2Fplain')).json
    const { cursor, time } = split
    same(hits, [{ cursor, payload_id: 'inv-3', type: 'text/plain', time, index: cursor - 1 }])
  })

  it('returns the checkpoint as text and as JSON', async (w) => {
    const text = await w.ask('/v1/checkpoint')
    same([text.headers['content-type'], text.headers['cache-control']], [TEXT, 'no-store'])
    like(await w.opened(text.text), { size: 0 })
    const { checkpoint } = (await w.append('a', 1)).json
    same((await w.ask('/v1/checkpoint')).text, checkpoint)
    const json = (await w.ask('/v1/checkpoint', { headers: { accept: 'text/html, application/json' } })).json
    const { origin, root } = await w.opened(checkpoint)
    same(json, { origin, size: 1, root_hash: root, checkpoint })
    const tlog = await w.ask('/checkpoint')
    same(
      [tlog.text, tlog.headers['content-type'], tlog.headers['cache-control']],
      [checkpoint, TEXT, 'no-store'],
    )
  })
}

function proofs({ it, same, refused }: Tools): void {
  it('returns valid inclusion and consistency proofs', async (w) => {
    const { roots, leaves } = await w.grow([1, 1, 3, 250, 1, 1, 255, 88])
    const size = leaves.length
    for (const how of [undefined, 'stop'] as const) {
      if (how !== undefined) await w.reopen(how)
      for (const [index, of] of [
        [0, 1],
        [0, 5],
        [255, 256],
        [256, 600],
        [511, 512],
        [599, 600],
      ] as const) {
        const { json } = await w.ask(`/v1/proof/inclusion?index=${index}&size=${of}`)
        same(Object.keys(json), ['index', 'size', 'leaf_hash', 'root_hash', 'hashes'])
        same([json.leaf_hash, json.root_hash], [leaves[index], w.root(leaves.slice(0, of))])
        const { leaf_hash: leafHash, root_hash: root, hashes: proof } = json
        verifyInclusion({ index, size: of, leafHash, root, proof }, w.hasher)
      }
      for (const [from, fromRoot] of roots) {
        const { json } = await w.ask(`/v1/proof/consistency?from=${from}`)
        same([json.from, json.to], [from, size])
        const toRoot = w.root(leaves)
        verifyConsistency({ from, to: size, fromRoot, toRoot, proof: json.hashes }, w.hasher)
      }
    }
    same((await w.ask('/v1/proof/consistency?from=0&to=600')).text, '{"from":0,"to":600,"hashes":[]}')
    same((await w.ask('/v1/proof/consistency?from=7&to=7')).text, '{"from":7,"to":7,"hashes":[]}')
    for (const target of [
      'inclusion?index=600',
      'inclusion?index=1&size=601',
      'inclusion?index=3&size=3',
      'inclusion?index=0&size=0',
      'consistency?from=1&to=601',
      'consistency?from=4&to=3',
    ])
      refused(await w.ask(`/v1/proof/${target}`), 'range', { size: 600 })
  })

  it('returns a .tlog-proof that verifies with the payload', async (w) => {
    await w.grow([258])
    await w.post(new Uint8Array(70_000), { 'x-payload-id': 'split' })
    for (const cursor of [1, 256, 257, 259, 260]) {
      const got = await w.ask(`/v1/entries/${cursor}/proof`)
      same(got.headers['content-type'], `${PROOF}; charset=utf-8`)
      const proof = parseTlogProof(got.text)
      const { size, root } = await w.opened(proof.checkpoint)
      same([proof.index, size], [cursor - 1, 260])
      const entry = await w.entry(cursor - 1)
      const { headerLength } = parseEntry(entry)
      same(w.digest(proof.extra ?? entry), w.digest(entry.subarray(0, headerLength)))
      const leafHash = w.hasher.leaf(entry)
      verifyInclusion({ index: proof.index, size, leafHash, root, proof: proof.hashes }, w.hasher)
    }
  })
}

function tiles({ it, same, like, refused }: Tools): void {
  it('serves tiles and bundles at every width, binary and as text', async (w) => {
    const { leaves } = await w.grow([200, 200, 200])
    for (const how of [undefined, 'kill', 'stop'] as const) {
      if (how !== undefined) await w.reopen(how)
      for (const [path, width] of [
        ['000', 256],
        ['000.p/255', 255],
        ['001', 256],
        ['001.p/7', 7],
        ['002.p/88', 88],
        ['002.p/1', 1],
      ] as const) {
        const from = Number(path.slice(0, 3)) * 256
        const tile = await w.ask(`/tile/0/${path}`)
        same(hashTileFromBinary(tile.body, width), leaves.slice(from, from + width))
        const bundle = await w.ask(`/tile/entries/${path}`)
        const entries = bundleFromBinary(bundle.body, width)
        same(
          entries.map((entry) => w.hasher.leaf(entry)),
          leaves.slice(from, from + width),
        )
        for (const { headers } of [tile, bundle]) {
          same(headers['content-type'], 'application/octet-stream')
          same(headers['cache-control'], 'private, max-age=31536000, immutable')
        }
        const text = await w.ask(`/tile/0/${path}.b64`)
        same(
          [text.headers['content-type'], text.text],
          [TEXT, `${leaves.slice(from, from + width).join('\n')}\n`],
        )
        const lines = (await w.ask(`/tile/entries/${path}.b64`)).text.split('\n')
        same([lines.length, w.base64(entries[0] ?? new Uint8Array())], [width + 1, lines[0]])
      }
      const level1 = [0, 256].map((from) => w.root(leaves.slice(from, from + 256)))
      same(hashTileFromBinary((await w.ask('/tile/1/000.p/2')).body, 2), level1)
    }
  })

  it('responds 304 without content to a conditional request for an unchanged tile or checkpoint', async (w) => {
    const { leaves } = await w.grow([200, 200])
    const hash = w.root(leaves.slice(0, 256))
    const tags: Record<string, string> = { '/checkpoint': `W/"400-${w.root(leaves)}"` }
    for (const path of ['0/000', '0/000.b64', 'entries/000', 'entries/000.b64'])
      tags[`/tile/${path}`] = `W/"${hash}"`
    for (const [path, tag] of Object.entries(tags)) {
      const whole = await w.ask(path)
      same([path, whole.status, whole.headers['etag']], [path, 200, tag])
      for (const sent of [tag, tag.slice(2), `"a", ${tag} ,"b"`, '*'])
        for (const method of ['GET', 'HEAD']) {
          const got = await w.ask(path, { method, headers: { 'if-none-match': sent } })
          same([path, sent, got.status, got.body.length], [path, sent, 304, 0])
          same(got.headers['etag'], tag)
          same(got.headers['cache-control'], whole.headers['cache-control'])
          const { payload } = await w.auditEntry(Number(got.headers['x-audit-index']))
          like(payload, { outcome: 'shown', entries: 0, bytes: 0 })
        }
      for (const sent of [`"${hash.slice(1)}", W/""`, '"a", *', `w/${tag.slice(2)}`, tag.slice(3, -1), '']) {
        const changed = await w.ask(path, { headers: { 'if-none-match': sent } })
        same([path, sent, changed.status, changed.text], [path, sent, 200, whole.text])
      }
    }
    same((await w.ask('/tile/0/000.p/255')).headers['etag'], undefined)
    await w.append('next', 1)
    const headers = { 'if-none-match': tags['/checkpoint'] }
    same((await w.ask('/checkpoint', { headers })).status, 200)
    const beyond = await w.ask('/tile/0/001', { headers: { 'if-none-match': '*' } })
    refused(beyond, 'not-found', {})
  })

  it('rejects tiles beyond the checkpoint, and malformed tile paths', async (w) => {
    await w.grow([5])
    for (const path of [
      '0/000',
      '0/000.p/6',
      '0/001.p/1',
      '1/000.p/1',
      '63/000.p/1',
      'entries/000',
      'entries/000.b64',
      'entries/000.p/0',
      'entries/000.p/256',
      '0/0',
      '00/000.p/1',
      '0/x000/000.p/1',
      '64/000.p/1',
      '0/000.p/05',
      '../origin',
      '%2e%2e/origin',
      '0/000.p/1.b64.b64',
      '-1/000',
      '0/x999/x999/x999/x999/x999/999',
    ])
      for (const prefix of ['/tile/', '/audit/tile/']) refused(await w.ask(prefix + path), 'not-found', {})
    same((await w.ask('/audit/v1/entries')).json.entries, [])
  })
}

function audit({ it, same, like, refused }: Tools): void {
  it('records every read, by GET or HEAD, before the response', async (w) => {
    await w.grow([3])
    await w.ask('/v1/entries/1')
    const first = (await w.auditEntry(0)).payload_id as string
    let index = 2
    for (const { pattern } of ROUTES.filter(({ recorded, streams }) => recorded && streams !== true)) {
      for (const method of ['GET', 'HEAD']) {
        const id = `q${index}`
        const headers = { 'x-foundry-request-id': id }
        const got = await w.ask(example(pattern, first), { method, headers })
        same(
          [pattern, method, got.status, got.headers['x-audit-index']],
          [pattern, method, 200, String(index)],
        )
        same(got.headers['x-foundry-request-id'], id)
        if (method === 'HEAD') same(got.body.length, 0)
        const { payload_id, type, payload } = await w.auditEntry(index)
        same([payload_id.startsWith(`read-${id}-`), type], [true, 'application/vnd.service-fs.read+json'])
        const said = { request_id: id, method, route: pattern, subject: 'anonymous', outcome: 'shown' }
        like(payload, { ...said, bytes: method === 'HEAD' ? 0 : got.body.length })
        same(new Date(payload.when).toISOString(), payload.when)
        index += 2
      }
    }
  })

  it('records the content of the response', async (w) => {
    await w.grow([3])
    const shown = async (target: string): Promise<Json> => {
      const { headers } = await w.ask(target)
      return (await w.auditEntry(Number(headers['x-audit-index']))).payload
    }
    like(await shown('/v1/entries?since=1'), { since: 1, limit: 100, next_cursor: 3, entries: 2 })
    like(await shown('/v1/entries/2'), { cursor: 2, entries: 1 })
    like(await shown('/v1/entries/2/proof'), { cursor: 2, entries: 0 })
    like(await shown('/v1/records/r1'), { payload_id: 'r1', cursor: 2, entries: 1 })
    like(await shown('/v1/search?prefix=r&after=1'), { prefix: 'r', after: 1, cursors: '2-3', entries: 2 })
    like(await shown('/v1/checkpoint'), { size: 3, entries: 0 })
    like(await shown('/v1/proof/inclusion?index=1'), { index: 1, size: 3 })
    like(await shown('/v1/proof/consistency?from=1'), { from: 1, to: 3 })
    like(await shown('/tile/entries/000.p/3'), { tile: 'tile/entries/000.p/3', entries: 3 })
    like(await shown('/tile/0/000.p/2.b64'), { tile: 'tile/0/000.p/2', entries: 0 })
    like(await shown('/audit/v1/entries?limit=1'), {
      route: '/audit/v1/entries',
      since: 0,
      limit: 1,
      entries: 1,
    })
  })

  it('records each of two reads with the same request id, and no failed request', async (w) => {
    await w.grow([3])
    const headers = { 'x-foundry-request-id': 'same' }
    same((await w.ask('/v1/entries/1', { headers })).headers['x-audit-index'], '0')
    same((await w.ask('/v1/entries/1', { headers })).headers['x-audit-index'], '1')
    await w.ask('/v1/entries/9')
    await w.ask('/v1/entries?since=x')
    await w.ask('/v1/entries', { tenant: 'globex' })
    await w.ask('/v1/append')
    await w.append('', 'no identifier')
    const twins = '{"payload_id":"r0","payload":1}\n{"payload_id":"r0","payload":2}\n'
    refused(await w.post(twins, NDJSON), 'conflict', { cursor: undefined })
    same((await w.ask('/v1/entries/1', { headers })).headers['x-audit-index'], '2')
  })

  it('sends a pack and records its selection, or says that it makes none', async (w) => {
    await w.append('a', 1)
    const ask = (body: string): Promise<Answer> =>
      w.ask('/v1/examine', { method: 'POST', headers: { 'content-type': JSON_TYPE }, body })
    const answer = await ask('{"prefix":"a"}')
    if (answer.status === 501) return refused(answer, 'not-implemented', {})
    same([answer.status, answer.headers['content-type']], [200, 'application/zip'])
    // The end of an archive without a comment: APPNOTE 4.3.16.
    same(w.base64(answer.body.slice(-22, -18)), 'UEsFBg==')
    const { payload } = await w.auditEntry(Number(answer.headers['x-audit-index']))
    like(payload, { route: '/v1/examine', method: 'POST', prefix: 'a', size: 1 })
    refused(await ask('{"since":1}'), 'bad-request', { field: 'since' })
  })

  it('shows its second trees and builds no unknown one, or says that it keeps none', async (w) => {
    const ask = (body: string): Promise<Answer> =>
      w.ask('/v1/rehash', { method: 'POST', headers: { 'content-type': JSON_TYPE }, body })
    const answer = await w.ask('/v1/trees')
    if (answer.status === 501) {
      refused(answer, 'not-implemented', {})
      return refused(await ask('{"hash":"sha3-256"}'), 'not-implemented', {})
    }
    same([answer.status, answer.json], [200, { trees: [] }])
    refused(await ask('{"hash":"md5"}'), 'bad-request', { field: 'hash', supplied: '"md5"' })
    refused(await ask('{"hash":"sha3-256","a":1}'), 'bad-request', { field: 'a' })
    same((await w.ask('/v1/trees')).json, { trees: [] })
  })

  it('records which existing records an append reveals, before the response', async (w) => {
    const told = async (got: Answer): Promise<Json> => {
      const { payload } = await w.auditEntry(Number(got.headers['x-audit-index']))
      like(payload, { route: '/v1/append', method: 'POST', subject: 'anonymous', bytes: got.body.length })
      return payload
    }
    for (const id of ['a', 'b', 'c', 'd']) {
      same((await w.append(id, 1)).headers['x-audit-index'], undefined)
    }
    like(await told(await w.append('b', 1)), {
      outcome: 'duplicate',
      payload_id: 'b',
      cursor: 2,
      entries: 1,
    })
    const proof = await w.post('{"payload_id":"c","payload":1}', { accept: PROOF })
    like(await told(proof), { outcome: 'duplicate', payload_id: 'c', cursor: 3, entries: 1 })
    const taken = await w.append('c', 2)
    refused(taken, 'conflict', { cursor: 3 })
    like(await told(taken), { outcome: 'conflict', payload_id: 'c', cursor: 3, entries: 1, records: 1 })
    const batch = ['d', 'new', 'a', 'new', 'b', 'd'].map((id) => `{"payload_id":"${id}","payload":1}\n`)
    like(await told(await w.post(batch.join(''), NDJSON)), {
      outcome: 'duplicate',
      cursors: '1-2,4',
      entries: 4,
      records: 6,
    })
    const mixed = await w.post('{"payload_id":"x","payload":1}\n{"payload_id":"d","payload":2}\n', NDJSON)
    refused(mixed, 'conflict', { cursor: 4 })
    like(await told(mixed), { outcome: 'conflict', payload_id: 'd', cursor: 4, entries: 1, records: 2 })
    const fresh = '{"payload_id":"y","payload":1}\n{"payload_id":"y","payload":1}\n'
    same((await w.post(fresh, NDJSON)).headers['x-audit-index'], undefined)
  })

  it('serves the audit sub-ledger with lists and proofs, also after restarts', async (w) => {
    await w.grow([3])
    const { vkeys, origin } = (await w.ask('/audit/v1/contract')).json
    for (let i = 0; i < 300; i++) await w.ask('/v1/entries/1')
    for (const how of [undefined, 'kill', 'stop'] as const) {
      if (how !== undefined) await w.reopen(how)
      const { text: note } = await w.ask('/audit/checkpoint')
      const { size, root } = w.openedBy(note, vkeys[0], origin)
      const { json } = await w.ask(`/audit/v1/proof/inclusion?index=256&size=${size}`)
      const { leaf_hash: leafHash, root_hash, hashes: proof } = json
      same(root_hash, root)
      verifyInclusion({ index: 256, size, leafHash, root, proof }, w.hasher)
      const entry = bundleFromBinary((await w.ask('/audit/tile/entries/001.p/1')).body, 1)[0]
      same(w.hasher.leaf(entry ?? new Uint8Array()), leafHash)
      same((await w.ask('/audit/tile/0/000.b64')).text.split('\n').length, 257)
      const listed = (await w.ask('/audit/v1/entries?since=256&limit=2')).json
      like(listed.entries[0], { cursor: 257, type: 'application/vnd.service-fs.read+json' })
    }
  })
}

function restarting({ it, same }: Tools): void {
  it('returns the same bytes after a restart, clean or not', async (w) => {
    await w.grow([250, 10, 1])
    await w.post(new Uint8Array(200_000), { 'x-payload-id': 'split' })
    const targets = ['/v1/contract', '/v1/entries?limit=1000', '/v1/records/split', '/v1/entries/262/proof']
    targets.push('/v1/checkpoint', '/v1/proof/inclusion?index=255', '/v1/proof/consistency?from=255')
    targets.push('/tile/0/000', '/tile/entries/001.p/9', '/tile/entries/000.b64', '/tile/1/000.p/1')
    const before = new Map<string, Answer>()
    for (const target of targets) before.set(target, await w.ask(target))
    for (const how of ['kill', 'stop'] as const) {
      await w.reopen(how)
      for (const [target, { status, body }] of before) {
        const after = await w.ask(target)
        same([target, after.status], [target, status])
        same(w.digest(after.body), w.digest(body))
      }
    }
    same((await w.append('r260', { i: 260 })).json.duplicate, true)
    same((await w.append('new', 1)).json.index, 265)
  })
}

function clocks({ it, same, refused }: Tools): void {
  it('uses the time of the clock, and repeats the last time when the clock steps back a little', async (w) => {
    const time = async (id: string): Promise<number> => Date.parse((await w.append(id, id)).json.time)
    const start = await time('a')
    await w.advance(1500)
    same((await time('b')) - start, 1500)
    await w.advance(-9000)
    same((await time('c')) - start, 1500)
    await w.reopen('kill')
    same((await time('d')) - start, 1500)
    await w.advance(9001)
    same((await time('e')) - start, 1501)
    const { headers } = await w.ask('/v1/entries/1')
    const { payload } = await w.auditEntry(Number(headers['x-audit-index']))
    same(Date.parse(payload.when) - start, 1501)
  })

  it('rejects appends and reads while the clock is far behind, and recovers', async (w) => {
    await w.append('a', 1)
    await w.ask('/v1/entries/1')
    await w.advance(-10_001)
    for (const how of [undefined, 'kill', 'stop'] as const) {
      if (how !== undefined) await w.reopen(how)
      for (const got of [
        await w.append('b', 1),
        await w.ask('/v1/entries/1'),
        await w.ask('/audit/checkpoint'),
      ]) {
        refused(got, 'clock-behind', {})
        same([got.headers['retry-after'], got.headers['x-audit-index']], ['10', undefined])
      }
      // A duplicate is a read.
      refused(await w.append('a', 1), 'clock-behind', {})
      same((await w.ask('/healthz')).status, 200)
    }
    await w.advance(1)
    same((await w.append('a', 1)).json.duplicate, true)
    same((await w.append('b', 1)).json.index, 1)
    same((await w.ask('/v1/entries/2')).headers['x-audit-index'], '2')
  })

  it('recovers when an operator corrects the clock, and records that in each affected ledger', async (w) => {
    await w.append('a', 1)
    await w.ask('/v1/entries/1')
    const fine = (await w.ask('/v1/clock')).json
    same([fine.ledger, fine.audit], [{ newest: fine.now }, { newest: fine.now }])
    const correct = (newest: string): Promise<Answer> =>
      w.ask('/v1/clock/correct', {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ newest, reason: 'the clock was an hour ahead' }),
      })
    refused(await correct(fine.now), 'bad-request', { field: 'newest' })
    await w.advance(-3_600_000)
    refused(await w.append('b', 1), 'clock-behind', {})
    const { json: before } = await w.ask('/v1/clock')
    const wrong = { newest: fine.now, problem: 'clock-behind' }
    same([before.ledger, before.audit], [wrong, wrong])
    const posing = { payload_id: 'p', payload: { now: before.now }, type: CLOCK_TYPE }
    refused(await w.post(JSON.stringify(posing)), 'bad-record', {})
    const { corrected } = (await correct(fine.now)).json
    same(
      corrected.map((one: Json) => [one.ledger, one.index, one.newest, one.time]),
      ['audit', 'ledger'].map((name) => [name, 1, fine.now, before.now]),
    )
    refused(await correct(fine.now), 'bad-request', { field: 'newest' })
    for (const how of [undefined, 'kill', 'stop'] as const) {
      if (how !== undefined) await w.reopen(how)
      same((await w.append(`b ${how}`, 1)).json.time, before.now)
    }
    const { type, time, payload } = (await w.ask('/v1/entries/2')).json
    same([type, time, payload.newest, payload.now], [CLOCK_TYPE, before.now, fine.now, before.now])
    same(payload.reason, 'the clock was an hour ahead')
    same((await w.ask('/audit/v1/entries/2')).json.type, CLOCK_TYPE)
  })
}

const CLOCK_TYPE = 'application/vnd.service-fs.clock+json'
const TEXT = 'text/plain; charset=utf-8'
const PROOF = 'text/x.tlog-proof'

function smallLines(count: number): string {
  return Array.from({ length: count }, (_, i) => `{"payload_id":"r${i}","payload":0}\n`).join('')
}

/**
 * Returns a target for a pattern that works on a ledger with three small records `r0`, `r1`, `r2`. `audited` is an identifier in
 * the audit sub-ledger.
 */
function example(pattern: string, audited = ''): string {
  return pattern
    .replace('{cursor}', '1')
    .replace('{payload_id}', pattern.startsWith('/audit') ? encodeURIComponent(audited) : 'r1')
    .replace('{path...}', 'entries/000.p/1')
    .replace(/inclusion$/, 'inclusion?index=0')
    .replace(/consistency$/, 'consistency?from=1')
}
