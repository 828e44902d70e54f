// Histories: sequences of actions of clients, a clock and an operator, as data that fast-check generates.

import fc from 'fast-check'
import { BAD_RECORDS } from '@service-fs/wire/conformance'

/** A request body: a text, some bytes, lines of `count` records (`mark` begins their identifiers), or `size` bytes. */
export type Body =
  | string
  | Uint8Array
  | { readonly from: number; readonly count: number; readonly mark?: string }
  | { readonly size: number; readonly seed: number }

/**
 * A request to the server. When it is sent, placeholders in its target are replaced: `<size>`, or with an operation such as `<asize-1>`.
 */
export interface Ask {
  readonly do: 'ask'
  readonly method: string
  readonly target: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Body
}

export type Step =
  | Ask
  /** Concurrent appends of new records. */
  | { readonly do: 'burst'; readonly count: number }
  /** Moves the wall clock by the given milliseconds. */
  | { readonly do: 'clock'; readonly ms: number }
  /** Restarts the server. */
  | { readonly do: 'restart'; readonly how: 'stop' | 'kill' }
  /** An append during which the server is killed and restarted. The append is repeated if it was lost. */
  | { readonly do: 'cut'; readonly ask: Ask }

export type History = readonly Step[]

/** Few identifiers, so that records collide. */
const IDS = ['a', 'b', 'c', 'd', 'e', 'ü/😀', 'x'.repeat(256), '%2F', 'a b', '.']
const TYPES = ['application/json', 'text/plain', 'x/y; z="1"']
const PAYLOADS = [
  'null',
  '0',
  '"x"',
  '{"b":1,"a":[1.50,"é\\u0000"]}',
  '{"a":[1.5,"é\\u0000"],"b":1e0}',
  '[[]]',
]
const SIZES = [0, 1, 300, 61_440, 65_400, 65_424, 65_425, 65_426, 65_427, 65_535, 122_880, 122_881, 200_000]

const JSON_TYPE = { 'content-type': 'application/json' }
const NDJSON = { 'content-type': 'application/x-ndjson' }

const id = fc.constantFrom(...IDS)
const line = fc
  .tuple(id, fc.constantFrom(...PAYLOADS), fc.constantFrom('', ...TYPES))
  .map(([name, payload, type]) => {
    const given = type === '' ? '' : `,"type":${JSON.stringify(type)}`
    return `{"payload_id":${JSON.stringify(name)},"payload":${payload}${given}}`
  })

function post(body: Body, headers: Readonly<Record<string, string>>): Ask {
  return { do: 'ask', method: 'POST', target: '/v1/append', headers, body }
}

const single: fc.Arbitrary<Ask> = fc
  .tuple(line, fc.constantFrom({}, {}, {}, { accept: 'text/x.tlog-proof' }))
  .map(([body, accept]) => post(body, { ...JSON_TYPE, ...accept }))

const batch: fc.Arbitrary<Ask> = fc
  .array(line, { minLength: 1, maxLength: 8 })
  .map((lines) => post(lines.join('\n'), NDJSON))

/** Records with unique identifiers, enough to fill bundles. */
const many: fc.Arbitrary<Ask> = fc
  .tuple(fc.integer({ min: 0, max: 999 }), fc.constantFrom(2, 30, 100, 256, 300, 600))
  .map(([from, count]) => post({ from, count }, NDJSON))

const raw: fc.Arbitrary<Ask> = fc
  .tuple(id, fc.constantFrom(...SIZES), fc.nat(2))
  .map(([name, size, seed]) =>
    post({ size, seed }, { 'x-payload-id': Buffer.from(name).toString('latin1'), 'content-type': 'a/b' }),
  )

const bad: fc.Arbitrary<Ask> = fc.oneof(
  fc.constantFrom(...BAD_RECORDS).map(([body]) => post(body, JSON_TYPE)),
  fc.constantFrom(...BAD_RECORDS).map(([body]) => post(`{"payload_id":"q","payload":1}\n${body}`, NDJSON)),
  fc.uint8Array({ maxLength: 40 }).map((body) => post(body, JSON_TYPE)),
  fc.json({ maxDepth: 2 }).map((body) => post(body, JSON_TYPE)),
  fc.constantFrom('', 'text/plain', 'a').map((type) => post('{}', { 'content-type': type })),
)

/** Numbers around the ends of the tree, of bundles, and beyond. */
const place = fc.constantFrom(
  '0',
  '1',
  '2',
  '7',
  '255',
  '256',
  '257',
  '<size>',
  '<size-1>',
  '<size+1>',
  '<size/2>',
)
const tile = fc
  .tuple(
    fc.constantFrom('0', '0', 'entries', 'entries', '1'),
    fc.constantFrom('000', '000', '001', '002'),
    fc.constantFrom('', '.p/1', '.p/2', '.p/<size%256>', '.p/255', '.p/<size%256+1>'),
    fc.constantFrom('', '.b64'),
  )
  .map(([level, index, partial, suffix]) => `/tile/${level}/${index}${partial}${suffix}`)

const target: fc.Arbitrary<string> = fc.oneof(
  tile,
  place.map((n) => `/v1/entries/${n}`),
  place.map((n) => `/v1/entries/${n}/proof`),
  fc
    .tuple(place, fc.constantFrom('', '&limit=1', '&limit=3'))
    .map(([n, more]) => `/v1/entries?since=${n}${more}`),
  id.map((name) => `/v1/records/${encodeURIComponent(name)}`),
  fc.tuple(place, place).map(([index, size]) => `/v1/proof/inclusion?index=${index}&size=${size}`),
  fc.tuple(place, place).map(([from, to]) => `/v1/proof/consistency?from=${from}&to=${to}`),
  fc.constantFrom('/v1/checkpoint', '/checkpoint', '/v1/contract', '/v1/entries'),
  fc.constantFrom('/v1/entries/x', '/v1/entries?limit=0', '/nothing', '/tile/x', '/v1/records/%ff'),
)

const read: fc.Arbitrary<Ask> = fc
  .record({
    method: fc.constantFrom('GET', 'GET', 'GET', 'GET', 'HEAD', 'DELETE'),
    prefix: fc.constantFrom('', '', '', '/audit', '/t/acme', '/t/acme/audit', '/t/other'),
    target,
    headers: fc.constantFrom(
      {},
      {},
      { accept: 'application/json' },
      { accept: 'application/x-ndjson' },
      { 'x-foundry-request-id': 'given' },
      { 'x-foundry-module-id': 'other' },
    ),
  })
  .map(({ method, prefix, target: path, headers }) => {
    const names = prefix.endsWith('/audit') ? path.replaceAll('<size', '<asize') : path
    return { do: 'ask', method, target: prefix + names, headers }
  })

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 8, arbitrary: single },
  { weight: 4, arbitrary: batch },
  { weight: 2, arbitrary: many },
  { weight: 3, arbitrary: raw },
  { weight: 2, arbitrary: bad },
  { weight: 12, arbitrary: read },
  { weight: 1, arbitrary: fc.constantFrom(2, 20).map((count) => ({ do: 'burst', count }) as const) },
  {
    weight: 3,
    arbitrary: fc
      .constantFrom(-20_000, -10_001, -10_000, -1, 1, 999, 10_000, 61_000, 600_000)
      .map((ms) => ({ do: 'clock', ms }) as const),
  },
  {
    weight: 3,
    arbitrary: fc
      .constantFrom('stop' as const, 'kill' as const, 'kill' as const)
      .map((how) => ({ do: 'restart', how }) as const),
  },
  { weight: 2, arbitrary: fc.oneof(single, batch, raw, many).map((ask) => ({ do: 'cut', ask }) as const) },
)

/** Histories of up to `steps` steps. */
export function histories(steps: number): fc.Arbitrary<History> {
  return fc.array(step, { minLength: 1, maxLength: steps, size: 'max' })
}

/** The bytes of a body. */
export function bytesOf(body: Body): Uint8Array {
  if (typeof body === 'string') return Buffer.from(body)
  if (body instanceof Uint8Array) return body
  if ('size' in body) return new Uint8Array(body.size).map((_, i) => (i * 31 + body.seed) % 251)
  const { from, count, mark = '' } = body
  const lines = Array.from(
    { length: count },
    (_, i) => `{"payload_id":"${mark}m${from}.${i}","payload":${i}}`,
  )
  return Buffer.from(lines.join('\n'))
}

/** A readable form of a step. */
export function described(one: Step): string {
  const ask = one.do === 'cut' ? one.ask : one
  if (ask.do !== 'ask') return JSON.stringify(one)
  const { body = '', method, target: path, headers } = ask
  const text = typeof body === 'string' ? body.slice(0, 300) : JSON.stringify(body)
  return `${one.do} ${method} ${path} ${JSON.stringify(headers ?? {})} ${text}`
}
