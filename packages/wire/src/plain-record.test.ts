import { pureCodec } from '@service-fs/tlog/codec'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { canonicalJson, parseJson } from './canonicaljson.ts'
import { plainRecord, type PlainRecord } from './plain-record.ts'

function read(text: string): PlainRecord | undefined {
  const bytes = pureCodec.utf8Encode(text)
  return plainRecord(bytes, 0, bytes.length, pureCodec)
}

const payloadOf = (record: PlainRecord | undefined): string | undefined =>
  record && pureCodec.utf8Decode(record.payload)

const line = (payload: string, type = ''): string => `{"payload_id":"a","payload":${payload}${type}}`

it.each(
  [
    [
      '0',
      '-1',
      '123456789012345',
      '1.5',
      '-0.001',
      '1e+21',
      '9007199254740991',
      '5e-324',
      '4503599627370496',
    ],
    ['true', 'false', 'null', '""', '"a\\"\\\\\\b\\f\\n\\r\\t/"', '"é€😀\u2028\u007f"'],
    [
      '{}',
      '[]',
      '[[],{}]',
      '{"":1,"A":2,"a":3,"aa":4,"b":[1,"x",null]}',
      '{"1":1,"10":2,"9":3}',
      '{"__proto__":1}',
      '{"é":1}',
      '['.repeat(127) + ']'.repeat(127),
    ],
  ].flat(),
)('the plain reader reads the canonical payload %s', (payload) => {
  expect(canonicalJson(parseJson(payload))).toBe(payload)
  expect(payloadOf(read(line(payload)))).toBe(payload)
})

it.each(
  [
    [
      '-0',
      '01',
      '00',
      '-',
      '+1',
      '.5',
      '1.',
      '1.0',
      '1e5',
      '1E+21',
      '1e21',
      '9007199254740993',
      '1e999',
      '0x1',
      '1-1',
    ],
    ['tru', 'nul', 'falsey', 'NaN', '"', '"a', '"\\u0041"', '"\\/"', '"\\x"', '"\t"', '"\u0000"', "'a'", ''],
    ['{"b":1,"a":2}', '{"a":1,"a":2}', '{"\\n":1}', '{"a"}', '{"a":}', '{"a":1,}', '{a:1}', '{', '{"a":1'],
    ['[1,]', '[,1]', '[1', '[1 ,2]', '[1]]', ' 1', '1 ', '{"a": 1}', '['.repeat(128) + ']'.repeat(128)],
  ].flat(),
)('the plain reader leaves the payload %s to the parser', (payload) => {
  expect(read(line(payload))).toBeUndefined()
})

it.each([
  '',
  '{}',
  '[]',
  '{"payload":1,"payload_id":"a"}',
  '{"payload_id":"a"}',
  '{"payload_id":1,"payload":1}',
  '{"payload_id":"a","payload":1,"other":2}',
  '{"payload_id":"a","payload":1,"type":2}',
  '{"payload_id":"a","payload":1,"type":"t","type":"t"}',
  '{"payload_id":"a","payload":1,"type":"t"',
  '{"payload_id":"a","payload":1,"type":"t',
  '{"payload_id":"a\\n","payload":1}',
  '{"payload_id":"a","payload_base64":"YQ=="}',
  '{"payload_id":"a","payload":1}\n',
  '\ufeff{"payload_id":"a","payload":1}',
  '{"payload_id":"a\n{"payload_id":"b","payload":1}',
])('the plain reader leaves the record %s to the parser', (text) => {
  expect(read(text)).toBeUndefined()
})

it('the plain reader reads the identifier and the type', () => {
  expect(read('{"payload_id":"Rechnung ä","payload":1}')).toMatchObject({ id: 'Rechnung ä', type: undefined })
  expect(read(line('1', ',"type":"text/plain"'))).toMatchObject({ id: 'a', type: 'text/plain' })
  expect(read('{"payload_id":"","payload":1}')?.id).toBe('')
})

it('the plain reader reads one line of several, and never beyond it', () => {
  const bytes = pureCodec.utf8Encode(`${line('1')}\n${line('"b"')}\n`)
  const [first, second] = [line('1').length, line('1').length + 1]
  expect(payloadOf(plainRecord(bytes, 0, first, pureCodec))).toBe('1')
  expect(payloadOf(plainRecord(bytes, second, bytes.length - 1, pureCodec))).toBe('"b"')
  expect(plainRecord(bytes, 0, bytes.length, pureCodec)).toBeUndefined()
  expect(plainRecord(bytes, 0, first - 1, pureCodec)).toBeUndefined()
})

it('the plain reader reads every canonical record of ASCII names', () => {
  const name = fc.string({ unit: fc.constantFrom(...'abzAZ09_ ~$'.split('')) })
  const json = fc.letrec((tie) => ({
    value: fc.oneof(
      { depthSize: 'small' },
      fc.string(),
      fc.double({ noNaN: true, noDefaultInfinity: true }),
      fc.maxSafeInteger(),
      fc.boolean(),
      fc.constant(null),
      fc.array(tie('value'), { maxLength: 4 }),
      fc.dictionary(name, tie('value'), { maxKeys: 4 }),
    ),
  })).value
  fc.assert(
    fc.property(json, (value) => {
      const payload = canonicalJson(parseJson(canonicalJson(value)))
      const found = payloadOf(read(line(payload)))
      // The parser reads strings with other control characters.
      if (!payload.includes('\\u')) expect(found).toBe(payload)
    }),
    { numRuns: 500 },
  )
})

const PIECES = [
  '{ } [ ] , : " \\ a b 0 1 - . e true null é'.split(' '),
  '"a": "b": "a" 1.5 {"a":1} [1,2] \\n \\u0041 "type":"t" ,"type":"t"'.split(' '),
  [' ', '\n'],
].flat()

it('the plain reader reads only what the parser reads, whatever the text', () => {
  const piece = fc.constantFrom(...PIECES)
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
      const text = line(pieces.join(''))
      const found = read(text)
      if (found === undefined) return
      const { payload_id, payload, type, ...others } = parseJson(text) as Record<string, unknown>
      expect([payload_id, type, others]).toEqual([found.id, found.type, {}])
      expect(canonicalJson(payload)).toBe(payloadOf(found))
    }),
    { numRuns: 20_000 },
  )
})
