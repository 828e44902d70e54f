import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'

import { allowanceFor, canonicalJson, MAX_DEPTH, parseJson } from './canonicaljson.ts'

const nested = (depth: number): string => '['.repeat(depth) + ']'.repeat(depth)
const canonical = (text: string): string => canonicalJson(parseJson(text))

describe('RFC 8785', () => {
  it('formats the example of §3.2.2', () => {
    const text = String.raw`{
      "numbers": [333333333.3333333, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
      "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
      "literals": [null, true, false]
    }`
    const expected =
      String.raw`{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],` +
      String.raw`"string":"€$\u000f\nA'B\"\\\\\"/"}`
    expect(canonical(text)).toBe(expected)
  })

  it('sorts names by UTF-16 code units (§3.2.3)', () => {
    const text = String.raw`{"\u20ac":"Euro Sign","\r":"Carriage Return","\ufb33":"Hebrew Letter Dalet With Dagesh",
      "1":"One","\ud83d\ude00":"Emoji: Grinning Face","\u0080":"Control","\u00f6":"Latin Small Letter O With Diaeresis"}`
    const value = parseJson(canonical(text)) as object
    expect(canonical(text).match(/"[^"]*":"/g)?.length).toBe(7)
    const order = [...canonical(text).matchAll(/:"([^"]*)"/g)].map((m) => m[1])
    expect(order).toEqual([
      'Carriage Return',
      'One',
      'Control',
      'Latin Small Letter O With Diaeresis',
      'Euro Sign',
      'Emoji: Grinning Face',
      'Hebrew Letter Dalet With Dagesh',
    ])
    expect(Object.keys(value)).toHaveLength(7)
  })

  it('sorts names that look like array indexes as text', () => {
    expect(canonical('{"b":1,"10":2,"9":3,"a":{"2":0,"11":0}}')).toBe(
      '{"10":2,"9":3,"a":{"11":0,"2":0},"b":1}',
    )
  })

  it.each([
    ['0000000000000000', '0'],
    ['8000000000000000', '0'],
    ['0000000000000001', '5e-324'],
    ['8000000000000001', '-5e-324'],
    ['7fefffffffffffff', '1.7976931348623157e+308'],
    ['ffefffffffffffff', '-1.7976931348623157e+308'],
    ['4340000000000000', '9007199254740992'],
    ['c340000000000000', '-9007199254740992'],
    ['4430000000000000', '295147905179352830000'],
    ['44b52d02c7e14af5', '9.999999999999997e+22'],
    ['44b52d02c7e14af6', '1e+23'],
    ['44b52d02c7e14af7', '1.0000000000000001e+23'],
    ['444b1ae4d6e2ef4e', '999999999999999700000'],
    ['444b1ae4d6e2ef4f', '999999999999999900000'],
    ['444b1ae4d6e2ef50', '1e+21'],
    ['3eb0c6f7a0b5ed8c', '9.999999999999997e-7'],
    ['3eb0c6f7a0b5ed8d', '0.000001'],
    ['41b3de4355555553', '333333333.3333332'],
    ['41b3de4355555554', '333333333.33333325'],
    ['41b3de4355555555', '333333333.3333333'],
    ['41b3de4355555556', '333333333.3333334'],
    ['41b3de4355555557', '333333333.33333343'],
    ['becbf647612f3696', '-0.0000033333333333333333'],
    ['43143ff3c1cb0959', '1424953923781206.2'],
  ])('formats appendix B: %s is %s', (hex, text) => {
    expect(canonicalJson(Buffer.from(hex, 'hex').readDoubleBE())).toBe(text)
  })

  it('rejects NaN and Infinity (appendix B)', () => {
    expect(() => canonicalJson(Number.NaN)).toThrow('not finite')
    expect(() => canonicalJson(Infinity)).toThrow('not finite')
  })
})

describe('strict parsing', () => {
  it.each([
    ['{"a":1,"a":2}', 'duplicate name'],
    [String.raw`{"a":1,"\u0061":2}`, 'duplicate name'],
    ['{"x":{"b":1,"c":[],"b":2}}', 'duplicate name'],
    ['12345678901234567890', 'would be stored as 12345678901234567000'],
    ['-9007199254740993', 'would be stored as -9007199254740992'],
    ['1e400', 'does not fit a double'],
    ['1e-400', 'would be stored as 0'],
    ['12345678901234567.89', 'would be stored as 12345678901234568'],
    ['9007199254740993.0', 'would be stored as 9007199254740992'],
    ['9007199254740993e0', 'would be stored as 9007199254740992'],
    ['99999999999999999.99', 'would be stored as 100000000000000000'],
    ['1.000000000000000005', 'would be stored as 1'],
    ['333333333.33333329', 'would be stored as 333333333.3333333'],
    ['5.9604644775390625e-8', 'would be stored as 5.960464477539063e-8'],
    ['-0.1000000000000000055511151231257827', 'would be stored as -0.1'],
    [`1e${'9'.repeat(1000)}`, 'does not fit a double'],
    [`1e-${'9'.repeat(1000)}`, 'would be stored as 0'],
    ['[1,]', 'expected a value'],
    ['{"a":1,}', 'a quoted name'],
    ['{"a" 1}', "expected ':'"],
    ['[1 2]', "expected ',' or ']'"],
    ['{"a":1 "b":2}', "expected ',' or '}'"],
    ['{a:1}', 'a quoted name'],
    ['"abc', 'unterminated string'],
    [String.raw`"abc\"`, 'unterminated string'],
    ['01', 'end of text'],
    ['1 2', 'end of text'],
    ['', 'found end of text'],
    ['nul', 'expected a value'],
    ['-', 'expected a number'],
    ['"a\nb"', 'control character'],
    [String.raw`"\x"`, 'bad escape'],
    [String.raw`{"\x":1}`, 'bad escape'],
    ['\ufeff{}', 'expected a value'],
    ['NaN', 'expected a value'],
    ["{'a':1}", 'a quoted name'],
  ])('rejects %s', (text, reason) => {
    expect(() => parseJson(text)).toThrow(reason)
  })

  it.each([
    String.raw`"\ud800"`,
    String.raw`"a\udc00b"`,
    String.raw`{"\ud83d":1}`,
    String.raw`"\ude00\ud83d"`,
  ])('rejects the lone surrogate in %s', (text) => {
    expect(() => canonical(text)).toThrow('lone surrogate')
  })

  it.each([
    ['1000000000000000000000', '1e+21'],
    ['1.10', '1.1'],
    ['100e-2', '1'],
    ['0.00000000000000000000000000000001e33', '10'],
    ['-0.0e99', '0'],
    [`0e${'9'.repeat(1000)}`, '0'],
    [`12e${'0'.repeat(1000)}1`, '120'],
    ['5.960464477539063e-8', '5.960464477539063e-8'],
    ['9007199254740992.000', '9007199254740992'],
    ['618970019642690100000000000', '6.189700196426901e+26'],
  ])('accepts %s', (literal, text) => {
    expect(canonical(literal)).toBe(text)
    expect(canonical(`{"a": [${literal}]}`)).toBe(`{"a":[${text}]}`)
  })

  it('does not mistake an escaped backslash for a surrogate', () => {
    expect(canonical(String.raw`"\\ud800"`)).toBe(String.raw`"\\ud800"`)
  })

  it('rejects deep nesting', () => {
    expect(canonical(nested(MAX_DEPTH))).toBe(nested(MAX_DEPTH))
    expect(() => parseJson(nested(MAX_DEPTH + 1))).toThrow('nested deeper')
    expect(() => parseJson('{"a":'.repeat(100_000))).toThrow('nested deeper')
  })

  it('keeps the name __proto__', () => {
    expect(canonical('{"__proto__":{"a":1},"b":2}')).toBe('{"__proto__":{"a":1},"b":2}')
  })

  it('parses the output of JSON.stringify, and canonical text is a fixed point', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 6 }), (value) => {
        const text = JSON.stringify(value, null, 1)
        const once = canonical(text)
        expect(canonical(once)).toBe(once)
        expect(JSON.parse(once)).toEqual(JSON.parse(text))
      }),
    )
  })

  it('accepts only what JSON.parse accepts', () => {
    const token = fc.constantFrom(
      '{',
      '}',
      '[',
      ']',
      ',',
      ':',
      '"',
      '\\',
      'a',
      'u',
      '1',
      '0',
      '-',
      '.',
      'e',
      ' ',
      'true',
      'null',
    )
    fc.assert(
      fc.property(fc.array(token, { maxLength: 12 }), (tokens) => {
        const text = tokens.join('')
        let value: unknown
        try {
          value = parseJson(text)
        } catch {
          return
        }
        expect(value).toEqual(JSON.parse(text))
      }),
      { numRuns: 5000 },
    )
  })

  it('takes linear time for unterminated strings', () => {
    const started = performance.now()
    expect(() => parseJson(`[${'"a",'.repeat(200_000)}`)).toThrow()
    expect(() => parseJson('"'.repeat(200_000))).toThrow()
    expect(() => parseJson(`"${'\\"'.repeat(200_000)}`)).toThrow()
    expect(performance.now() - started).toBeLessThan(5000)
  })
})

/** Values and names. */
function count(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 1
  if (Array.isArray(value)) return value.reduce((sum: number, member) => sum + count(member), 1)
  return Object.values(value).reduce<number>((sum, member) => sum + 1 + count(member), 1)
}

describe('an allowance', () => {
  it('counts values and names, and not the content of strings', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 5 }), fc.constantFrom(undefined, 1), (value, indent) => {
        const text = JSON.stringify(value, undefined, indent)
        const needed = count(JSON.parse(text))
        const allowance = { values: needed + 3 }
        const plain = parseJson(text)
        expect(parseJson(text, allowance)).toEqual(plain)
        expect(allowance.values).toBe(3)
        expect(() => parseJson(text, { values: needed - 1 })).toThrow(
          expect.objectContaining({ code: 'too-many' }),
        )
        // allowanceFor() must not return undefined for a text with more than `max` values and names.
        for (const max of [needed - 1, Math.floor(needed / 2)])
          if (max > 0) expect(allowanceFor(text, max)).toEqual({ values: max })
      }),
    )
  })

  it('is shared by the lines of a body', () => {
    const allowance = { values: 7 }
    parseJson('[1,2]', allowance)
    parseJson('{"a":1}', allowance)
    expect(() => parseJson('0', { ...allowance })).not.toThrow()
    expect(() => parseJson('[0]', allowance)).toThrow('too many values and names')
  })

  it('is undefined for a body with few commas, colons and brackets', () => {
    expect(allowanceFor('[1,2,3]', 4)).toBeUndefined()
    expect(allowanceFor(`["${'x'.repeat(100)}",1]`, 4)).toBeUndefined()
    expect(allowanceFor('[1,22222222,3]', 4)).toBeUndefined()
    expect(allowanceFor('[1,22222222,3,4]', 4)).toEqual({ values: 4 })
    expect(allowanceFor('"a"\n"b"\n"c"\n"d"', 3)).toEqual({ values: 3 })
  })
})

it('the parser finds the end of a string after any run of backslashes', () => {
  for (let n = 0; n < 12; n++) {
    for (const text of [
      `[1 ,"${'\\'.repeat(n)}"]`,
      `{"${'\\'.repeat(n)}" :"\\"" }`,
      `["\\\\\\"${'\\'.repeat(n)}" ,0]`,
    ]) {
      let expected: unknown
      try {
        expected = JSON.parse(text)
      } catch {
        expect(() => parseJson(text), text).toThrow(expect.objectContaining({ code: 'malformed' }))
        continue
      }
      expect(parseJson(text), text).toEqual(expected)
    }
  }
})

it('the parser accepts white space of any length, and numbers of up to 1,024 digits', () => {
  for (const n of [1, 1023, 1024, 1025, 5000])
    expect(parseJson(`${' \n\t\r'.repeat(n)}[ 1${' '.repeat(n)}]`)).toEqual([1])
  expect(parseJson(`0.5${'0'.repeat(1023)}`)).toBe(0.5)
  expect(parseJson(`0.${'0'.repeat(1023)}1e+1023`)).toBe(0.1)
  expect(() => parseJson(`0.${'1'.repeat(1024)}`)).toThrow('would be stored as 0.1111111111111111 ')
  for (const long of [`0.${'1'.repeat(1025)}`, `1e${'0'.repeat(1025)}`, `-0.5E-${'0'.repeat(1e6)}1`])
    expect(() => parseJson(long)).toThrow('1,024 digits')
  expect(() => parseJson('1'.repeat(5000))).toThrow('1,024 digits')
})
