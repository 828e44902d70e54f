import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'

import { isSurelyCanonical } from './canonical-scan.ts'
import { canonicalJson, MAX_DEPTH, parseJson } from './canonicaljson.ts'

const scan = (text: string): boolean => isSurelyCanonical(Buffer.from(text), 0)

/** Reports whether a text is canonical, by parsing it and writing it again. */
function isCanonical(bytes: Uint8Array): boolean {
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
    return canonicalJson(parseJson(text)) === text
  } catch {
    return false
  }
}

const nested = (depth: number): string => '['.repeat(depth) + ']'.repeat(depth)

describe('the scan of canonical JSON', () => {
  it.each([
    '0',
    '-1',
    '123456789012345',
    '0.5',
    '-12.25',
    '0.000001',
    '12345678901234.5',
    '1e+30',
    '-5e-324',
    '1e-7',
    '9007199254740991',
    '0.30000000000000004',
    'true',
    'false',
    'null',
    '""',
    '"ä€😀\u007f\u2028"',
    String.raw`"\"\\\b\f\n\r\t/"`,
    '[]',
    '{}',
    '[1,[2],{"a":3}]',
    '{"":0,"a":1,"aa":2,"b":{"z":null}}',
    '{"1":1,"10":2,"9":3}',
    '{"__proto__":1,"é":2,"퟿":3}',
    nested(MAX_DEPTH),
  ])('recognizes %s', (text) => {
    expect(isCanonical(Buffer.from(text))).toBe(true)
    expect(scan(text)).toBe(true)
  })

  it.each([
    '',
    ' 1',
    '1 ',
    '-0',
    '01',
    '-',
    '.5',
    '1.',
    '1.0',
    '0.10',
    '00.5',
    '1e3',
    '1E3',
    '1e+3',
    '1e999',
    '1-2',
    '1e',
    '-e',
    '1.5.5',
    '0.1e-7',
    '+1',
    'nul',
    'nulls',
    'truefalse',
    '"a',
    '"\n"',
    String.raw`"\/"`,
    String.raw`"\u0041"`,
    String.raw`"\u000B"`,
    '[1,]',
    '[,1]',
    '[1 ,2]',
    '[1',
    '{"a":1,}',
    '{"a" :1}',
    '{"a"}',
    '{a:1}',
    '{"a":1',
    '{"b":1,"a":2}',
    '{"a":1,"a":2}',
    '{"aa":1,"a":2}',
    '{"\uff00":1,"😀":2}',
    '[]]',
    nested(MAX_DEPTH + 1),
  ])('leaves %j to the parser, which rejects it', (text) => {
    expect(isCanonical(Buffer.from(text))).toBe(false)
    expect(scan(text)).toBe(false)
  })

  it.each(['9007199254740993', '0.0000001', String.raw`"\u000f"`, '{"😀":1,"\uff00":2}'])(
    'leaves %s to the parser',
    (text) => {
      expect(scan(text)).toBe(false)
    },
  )

  it.each([
    [0x80],
    [0xc1, 0x80],
    [0xe0, 0x9f, 0xbf],
    [0xed, 0xa0, 0x80],
    [0xf0, 0x8f, 0xbf, 0xbf],
    [0xf4, 0x90, 0x80, 0x80],
    [0xf5, 0x80, 0x80, 0x80],
    [0xe2, 0x82],
    [0xf0, 0x9f, 0x98],
    [0xc3, 0x28],
  ])('rejects the invalid UTF-8 %j', (...bytes) => {
    expect(isSurelyCanonical(Uint8Array.from([0x22, ...bytes, 0x22]), 0)).toBe(false)
  })

  it('begins where the text begins', () => {
    expect(isSurelyCanonical(Buffer.from('x{"a":1}'), 1)).toBe(true)
    expect(isSurelyCanonical(Buffer.from('{"a":1}'), 1)).toBe(false)
  })

  it('recognizes the canonical text of every value of short integers and plain names', () => {
    const { value } = fc.letrec((tie) => ({
      value: fc.oneof(
        { maxDepth: 4 },
        fc.constantFrom(null, true, false),
        fc.integer({ min: -1e15 + 1, max: 1e15 - 1 }),
        fc.string({ unit: fc.constantFrom('a', 'B', 'ä', '€', '😀', '"', '\\', ' ', '\n') }),
        fc.array(tie('value'), { maxLength: 5 }),
        fc.dictionary(fc.string({ unit: fc.constantFrom('a', 'b', '_', ' ', 'ä', '1') }), tie('value')),
      ),
    }))
    fc.assert(fc.property(value, (made) => scan(canonicalJson(made))))
  })

  it('recognizes no text that is not canonical', () => {
    const change = fc.record({
      at: fc.nat(),
      byte: fc.constantFrom(...Buffer.from('{}[]",:0159.-eE\\utn \xff')),
    })
    fc.assert(
      fc.property(fc.jsonValue(), fc.array(change, { maxLength: 3 }), (value, changes) => {
        const bytes = Buffer.from(canonicalJson(value))
        for (const { at, byte } of changes) bytes[at % bytes.length] = byte
        return !isSurelyCanonical(bytes, 0) || isCanonical(bytes)
      }),
      { numRuns: 2000 },
    )
  })

  it('recognizes only numbers in their shortest form', () => {
    const digits = fc.stringMatching(/^-?[0-9]{1,17}(\.[0-9]{1,17})?$/)
    fc.assert(
      fc.property(digits, (text) => !scan(text) || isCanonical(Buffer.from(text))),
      { numRuns: 2000 },
    )
  })
})
