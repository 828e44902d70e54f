// A history for the appliance: appends of all kinds, reads of all routes, refused requests, two power cuts. The
// ledger and its audit sub-ledger each get more than two bundles of entries.
import type { Ask, Body } from '../envelopes/history.ts'
import type { Step } from './replay.ts'

const JSON_TYPE = { 'content-type': 'application/json' }
const NDJSON = { 'content-type': 'application/x-ndjson' }

let asked = 0
/** The server assigns the identifier of every fifth record. */
function named(headers: Readonly<Record<string, string>>): Record<string, string> {
  asked += 1
  return asked % 5 === 0 ? headers : { ...headers, 'x-foundry-request-id': `request-${asked}` }
}

const post = (body: Body, headers: Readonly<Record<string, string>> = JSON_TYPE): Ask => ({
  do: 'ask',
  method: 'POST',
  target: '/v1/append',
  headers: named(headers),
  body,
})

const get = (target: string, method = 'GET', headers = {}): Ask => ({
  do: 'ask',
  method,
  target,
  headers: named(headers),
})

const record = (id: string, payload: unknown): Ask => post(JSON.stringify({ payload, payload_id: id }))
const raw = (id: string, size: number): Ask =>
  post({ size, seed: size % 200 }, { 'x-payload-id': id, 'content-type': 'a/b' })
const many = (from: number, count: number): Ask => post({ from, count }, NDJSON)
const times = <T>(count: number, make: (i: number) => T): T[] =>
  Array.from({ length: count }, (_, i) => make(i))
const inTurn = (asks: readonly Ask[]): Step[] => asks.map((ask) => ({ asks: [ask] }))

const appends = [
  post('{"payload":{"b":[1,"é\\u0000"],"a":12.0},"payload_id":"ü/😀"}'),
  ...times(12, (i) => record(`single ${i}`, { i, text: 'x'.repeat(i * 37) })),
  post('{"payload_id":"typed","payload_base64":"AP8KDQ==","type":"x/y; z=\\"1\\""}'),
  raw('nothing', 0),
  raw('whole', 65_400),
  raw('two parts', 65_536),
  raw('parts', 300_000),
  record('single 3', { i: 3, text: 'x'.repeat(111) }),
  record('single 3', 'another'),
  raw('parts', 300_000),
  post('{"payload_id":"a","payload":1}\n{"payload_id":"single 3","payload":1}', NDJSON),
  post('{"payload_id":"a","payload":1}\n{"payload_id":"nothing","payload_base64":"","type":"a/b"}', NDJSON),
  post('{"payload_id":"b","payload":1,"paylaod":2}'),
  post('{}', { 'content-type': 'text/plain' }),
]

const reads = (cursor: number): Ask[] =>
  ['', '/audit'].flatMap((ledger) => [
    get(`${ledger}/v1/checkpoint`),
    get(`${ledger}/checkpoint`),
    get(`${ledger}/v1/entries?since=${cursor - 1}&limit=7`),
    get(`${ledger}/v1/entries?limit=2`, 'GET', { accept: 'application/x-ndjson' }),
    get(`${ledger}/v1/entries/${cursor}`),
    get(`${ledger}/v1/entries/1/proof`),
    get(`${ledger}/v1/proof/inclusion?index=0`, 'HEAD'),
    get(`${ledger}/v1/proof/consistency?from=1`),
    get(`${ledger}/tile/0/000.p/3`),
    get(`${ledger}/tile/entries/000.p/2.b64`),
    get(`${ledger}/tile/entries/009`),
    get(`${ledger}/v1/entries/999999`),
  ])

export const steps: readonly Step[] = [
  ...inTurn([...appends, ...reads(5), many(0, 300), get('/v1/records/parts'), get('/tile/0/000')]),
  { asks: times(24, (i) => record(`at once ${i}`, i)) },
  { cut: 'kill', during: times(24, (i) => record(`in danger ${i}`, i)) },
  ...inTurn([record('at once 3', 3), raw('after the cut', 200_000), many(300, 256), ...reads(256)]),
  ...times(30, (i) => ({ asks: times(16, (j) => get(`/v1/entries/${1 + i * 16 + j}/proof`)) })),
  { cut: 'stop' },
  ...inTurn([record('last', 'not least'), many(0, 300), ...reads(256), get('/audit/tile/entries/001')]),
]
