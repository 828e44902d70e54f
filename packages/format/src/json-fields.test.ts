import { nativeCodec } from '@service-fs/native/native'
import { pureCodec } from '@service-fs/tlog/codec'
import { describe, expect, it } from 'vitest'
import {
  conditionText,
  jsonOf,
  MAX_FIELD_TEXT,
  MAX_JSON_BYTES,
  MAX_POINTER,
  parseCondition,
  Pointer,
  pointerProblem,
} from './json-fields.ts'
import { MAX_WHERE, Selection } from './selection.ts'

const textAt = (pointer: string, document: unknown): string | undefined =>
  new Pointer(pointer).textAt(document)

function bytes(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text))
}

describe('a JSON pointer', () => {
  // RFC 6901, section 5, without the values that are no scalars.
  const document = {
    foo: ['bar', 'baz'],
    '': 0,
    'a/b': 1,
    'c%d': 2,
    'e^f': 3,
    'g|h': 4,
    'i\\j': 5,
    'k"l': 6,
    ' ': 7,
    'm~n': 8,
  }
  it.each([
    ['/foo/0', 'bar'],
    ['/', '0'],
    ['/a~1b', '1'],
    ['/c%d', '2'],
    ['/e^f', '3'],
    ['/g|h', '4'],
    ['/i\\j', '5'],
    ['/k"l', '6'],
    ['/ ', '7'],
    ['/m~0n', '8'],
  ])('points at the values of the RFC: %s', (pointer, text) => {
    expect(pointerProblem(pointer)).toBeUndefined()
    expect(textAt(pointer, document)).toBe(text)
  })

  it('decodes ~01 as ~1', () => {
    expect(textAt('/~01', { '~1': 'x', '/': 'y' })).toBe('x')
  })

  it.each([
    '/foo',
    '/foo/2',
    '/foo/-',
    '/foo/00',
    '/foo/0x0',
    '/foo/length',
    '/foo/0/0',
    '/bar',
    '/toString',
  ])('points at no text: %s', (pointer) => expect(textAt(pointer, document)).toBeUndefined())

  it.each<[unknown, string | undefined]>([
    ['', ''],
    ['4711', '4711'],
    [4711, '4711'],
    [-0, '0'],
    [1e21, '1e+21'],
    [0.000001, '0.000001'],
    [1e-7, '1e-7'],
    [true, 'true'],
    [false, 'false'],
    [null, 'null'],
    [[], undefined],
    [{}, undefined],
    [['a'], undefined],
  ])('gives %j the text %j', (value, text) => {
    expect(textAt('/a', { a: value })).toBe(text)
  })

  it.each(['', 'a', 'a/b', '/a~', '/a~2', '/a=b', '/\ud800', `/${'a'.repeat(MAX_POINTER)}`])(
    'is refused: %j',
    (pointer) => expect(pointerProblem(pointer)).toContain('JSON pointer'),
  )

  it('does not find members of prototypes', () => {
    expect(textAt('/constructor/name', {})).toBeUndefined()
    expect(textAt('/__proto__/a', JSON.parse('{"__proto__":{"a":1}}'))).toBe('1')
  })
})

describe('a condition', () => {
  it('ends its pointer at the first =', () => {
    expect(parseCondition('/a=b=c')).toEqual({ pointer: '/a', text: 'b=c' })
    expect(parseCondition('/a=')).toEqual({ pointer: '/a', text: '' })
    expect(conditionText({ pointer: '/a', text: 'b=c' })).toBe('/a=b=c')
  })

  it.each(['', '/a', 'a=1', '=1', '/~=1', '/a=\ud800', `/a=${'x'.repeat(MAX_FIELD_TEXT + 1)}`])(
    'is refused: %j',
    (text) => {
      expect(typeof parseCondition(text)).toBe('string')
      expect(() => new Selection({ where: [text] })).toThrow(/^where: expected /)
    },
  )

  it('is one of a few', () => {
    const where = Array.from({ length: MAX_WHERE + 1 }, () => '/a=1')
    expect(() => new Selection({ where })).toThrow(`where: expected at most ${MAX_WHERE} conditions`)
    expect(new Selection({ where: where.slice(1) }).isAll).toBe(false)
    expect(new Selection({ where: [] }).isAll).toBe(true)
  })
})

describe.each([
  ['pure', pureCodec],
  ['native', nativeCodec],
])('a payload, with the %s codec', (_, codec) => {
  it('meets every condition, or is not selected', () => {
    const both = new Selection({ where: ['/a=1', '/b/c=ü'] }, codec)
    expect(both.selectsPayload(bytes('{"a":1,"b":{"c":"ü"}}'))).toBe(true)
    expect(both.selectsPayload(bytes(' {"b":{"c":"\\u00fc"},"a":1.0}'))).toBe(true)
    expect(both.selectsPayload(bytes('{"a":1,"b":{"c":"u"}}'))).toBe(false)
    expect(both.selectsPayload(bytes('{"a":2,"b":{"c":"ü"}}'))).toBe(false)
    expect(new Selection({}, codec).selectsPayload(bytes('no JSON'))).toBe(true)
  })

  it('meets no condition if it is not JSON in UTF-8', () => {
    const selection = new Selection({ where: ['/a=1'] }, codec)
    for (const text of ['', '{"a":1', '{"a":1}x', '\ufeff{"a":1}', "{'a':1}", '1', 'null'])
      expect(selection.selectsPayload(bytes(text)), text).toBe(false)
    expect(selection.selectsPayload(Uint8Array.of(...bytes('{"a":1,"b":"'), 0xff, 0x22, 0x7d))).toBe(false)
  })

  it('is examined up to a length', () => {
    const longest = bytes(`{"a":1}${' '.repeat(MAX_JSON_BYTES - 7)}`)
    expect(jsonOf(longest, codec)).toEqual({ a: 1 })
    expect(jsonOf(bytes(`{"a":1}${' '.repeat(MAX_JSON_BYTES - 6)}`), codec)).toBeUndefined()
  })
})
