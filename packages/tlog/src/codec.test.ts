import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { base64Length, isCanonicalBase64 } from './base64.ts'
import { concatBytes, equalBytes, hexDecode, hexEncode, pureCodec } from './codec.ts'

const bytes = (...values: number[]): Uint8Array => new Uint8Array(values)

describe('base64', () => {
  it('agrees with the native codec', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (data) => {
        const text = Buffer.from(data).toString('base64')
        expect(pureCodec.base64Encode(data)).toBe(text)
        expect(pureCodec.base64Decode(text)).toEqual(data)
        expect(isCanonicalBase64(text)).toBe(true)
        expect(base64Length(text)).toBe(data.length)
      }),
    )
  })

  it('accepts exactly the output of the native encoder', () => {
    const letter = fc.constantFrom(...'ABCDQgwxyz019+/==-_ \n\u0141'.split(''))
    fc.assert(
      fc.property(fc.string({ unit: letter, maxLength: 12 }), (text) => {
        expect(isCanonicalBase64(text)).toBe(Buffer.from(text, 'base64').toString('base64') === text)
      }),
      { numRuns: 5000 },
    )
    for (let n = 0; n < 64 * 64; n++) {
      const two = Buffer.from([n >> 4, (n & 15) << 4])
        .toString('base64')
        .slice(0, 2)
      expect(isCanonicalBase64(`${two}==`)).toBe(n % 16 === 0)
      expect(isCanonicalBase64(`A${two}=`)).toBe(n % 4 === 0)
    }
  })

  it.each([
    'A',
    'AA',
    'AAA',
    'AA=',
    'A===',
    '====',
    '=AAA',
    'AA==AAAA',
    'AAAA\n',
    'AAAA=',
    'AB==',
    'AAB=',
    'AA-_',
    'AA A',
  ])('rejects %j', (text) => {
    expect(isCanonicalBase64(text)).toBe(false)
    expect(() => pureCodec.base64Decode(text)).toThrow(expect.objectContaining({ code: 'base64' }))
  })
})

describe('UTF-8', () => {
  it('agrees with the native codec', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 200 }), (text) => {
        const data = new Uint8Array(Buffer.from(text))
        expect(pureCodec.utf8Encode(text)).toEqual(data)
        expect(pureCodec.utf8Decode(data)).toBe(text)
      }),
    )
    const long = 'aé—\u{1f600}'.repeat(5000)
    expect(pureCodec.utf8Decode(pureCodec.utf8Encode(long))).toBe(long)
    expect(pureCodec.utf8Decode(bytes(0xef, 0xbb, 0xbf, 0x41))).toBe('\ufeffA')
  })

  it('rejects the bytes that the native decoder rejects', () => {
    const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
    const byte = fc.constantFrom(
      0,
      0x41,
      0x7f,
      0x80,
      0x8f,
      0x90,
      0x9f,
      0xa0,
      0xbf,
      0xc0,
      0xc1,
      0xc2,
      0xdf,
      0xe0,
      0xed,
      0xef,
      0xf0,
      0xf4,
      0xf5,
      0xff,
    )
    fc.assert(
      fc.property(fc.array(byte, { maxLength: 6 }), (values) => {
        const data = bytes(...values)
        let native: string | undefined
        try {
          native = decoder.decode(data)
        } catch {
          expect(() => pureCodec.utf8Decode(data)).toThrow(expect.objectContaining({ code: 'utf8' }))
          return
        }
        expect(pureCodec.utf8Decode(data)).toBe(native)
      }),
      { numRuns: 20_000 },
    )
  })

  it.each(['\ud800', 'a\udfff', '\ud83da', '\ude00\ud83d', 'x\ud83d'])(
    'refuses the lone surrogate in %j',
    (text) => {
      expect(() => pureCodec.utf8Encode(text)).toThrow(expect.objectContaining({ code: 'utf8' }))
    },
  )
})

describe('bytes', () => {
  it('encodes and decodes hexadecimal', () => {
    fc.assert(
      fc.property(fc.uint8Array(), (data) => {
        expect(hexEncode(data)).toBe(Buffer.from(data).toString('hex'))
        expect(hexDecode(hexEncode(data))).toEqual(data)
      }),
    )
    for (const text of ['0', 'AB', '0g', ' 0', '0x']) {
      expect(() => hexDecode(text)).toThrow(expect.objectContaining({ code: 'hex' }))
    }
  })

  it('concatenates and compares', () => {
    expect(concatBytes()).toEqual(bytes())
    expect(concatBytes(bytes(1), bytes(), bytes(2, 3))).toEqual(bytes(1, 2, 3))
    expect(equalBytes(bytes(1, 2), bytes(1, 2))).toBe(true)
    expect(equalBytes(bytes(1, 2), bytes(1, 3))).toBe(false)
    expect(equalBytes(bytes(1), bytes(1, 2))).toBe(false)
    expect(pureCodec.asciiEncode('az\n')).toEqual(bytes(97, 122, 10))
  })
})
