import { pureCodec } from '@service-fs/tlog/codec'
import { nobleHasher } from '@service-fs/tlog/hash'
import { formatSignerKey, signerFromKey, verifierFromVkey } from '@service-fs/tlog/keys'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import * as byNode from './native.ts'
import * as portable from './portable.ts'

const { nativeCodec, nativeCrypto, nativeHasher, sha256Hex, sha256Stream } = byNode

const hashOf = (bytes: Uint8Array): string => nobleHasher.leaf(bytes)

describe('the native hasher and codec give the same results as the portable ones', () => {
  it('hashes leaves like tlog', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 3000 }), (entry) => {
        expect(nativeHasher.leaf(entry)).toBe(nobleHasher.leaf(entry))
        expect([...nativeHasher.sha256(entry)]).toEqual([...nobleHasher.sha256(entry)])
      }),
    )
    for (const length of [0, 1, 65_534, 65_535, 65_536, 200_000]) {
      const entry = new Uint8Array(length).fill(length)
      expect(nativeHasher.leaf(entry)).toBe(nobleHasher.leaf(entry))
    }
  })

  it('hashes nodes like tlog', () => {
    fc.assert(
      fc.property(fc.uint8Array(), fc.uint8Array(), (a, b) => {
        const [left, right] = [hashOf(a), hashOf(b)]
        expect(nativeHasher.node(left, right)).toBe(nobleHasher.node(left, right))
      }),
    )
  })

  it('encodes and decodes text and base64 strictly', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.uint8Array(), (text, bytes) => {
        expect([...nativeCodec.utf8Encode(text)]).toEqual([...pureCodec.utf8Encode(text)])
        expect(nativeCodec.utf8Decode(pureCodec.utf8Encode(text))).toBe(text)
        expect(nativeCodec.isUtf8?.(pureCodec.utf8Encode(text))).toBe(true)
        expect(nativeCodec.base64Encode(bytes)).toBe(pureCodec.base64Encode(bytes))
        expect([...nativeCodec.base64Decode(pureCodec.base64Encode(bytes))]).toEqual([...bytes])
      }),
    )
    expect(nativeCodec.utf8Decode(Uint8Array.of(0xef, 0xbb, 0xbf, 0x61))).toBe('\ufeffa')
    for (const bad of [
      'A',
      'AA',
      'AAA',
      'AB==',
      'AAB=',
      'AAAA=',
      '_-8=',
      'AA==\n',
      ' AAAA',
      'AAAA====',
      '====',
    ]) {
      expect(() => nativeCodec.base64Decode(bad), bad).toThrow()
    }
    for (const bad of [[0xff], [0xc0, 0x80], [0xed, 0xa0, 0x80], [0xe2, 0x82]]) {
      expect(() => nativeCodec.utf8Decode(Uint8Array.from(bad))).toThrow()
      expect(nativeCodec.isUtf8?.(Uint8Array.from(bad))).toBe(false)
    }
    expect(() => nativeCodec.utf8Encode('\ud800')).toThrow()
    const ascii = Uint8Array.from({ length: 128 }, (_, i) => i)
    expect(nativeCodec.asciiDecode?.(ascii, 9, 128)).toBe(pureCodec.utf8Decode(ascii.subarray(9)))
  })

  it('signs as in RFC 8032, and like @noble', async () => {
    // Section 7.1, test 2.
    const seed = Buffer.from('4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb', 'hex')
    const publicKey = nativeCrypto.ed25519PublicKey?.(seed) as Uint8Array
    expect(Buffer.from(publicKey).toString('hex')).toBe(
      '3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c',
    )
    const signature = (await nativeCrypto.ed25519Sign?.(Uint8Array.of(0x72), seed)) as Uint8Array
    expect(Buffer.from(signature).toString('hex')).toBe(
      '92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00',
    )
    expect(nativeCrypto.ed25519Verify?.(signature, Uint8Array.of(0x72), publicKey)).toBe(true)
    expect(nativeCrypto.ed25519Verify?.(signature, Uint8Array.of(0x73), publicKey)).toBe(false)
    expect(nativeCrypto.ed25519Verify?.(signature.subarray(1), Uint8Array.of(0x72), publicKey)).toBe(false)

    const key = formatSignerKey({ name: 'example.org/log', type: 1, seed: new Uint8Array(seed) })
    const text = 'example.org/log\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n'
    const [native, noble] = [signerFromKey(key, nativeCrypto), signerFromKey(key)]
    expect(native.vkey).toBe(noble.vkey)
    expect(await native.sign(text)).toBe(await noble.sign(text))
    expect(verifierFromVkey(native.vkey, nativeCrypto).verify(text, signature)).toBe(false)
  })
})

it('sha256Stream hashes pieces like the whole', () => {
  const digest = sha256Stream()
  digest.update(Buffer.from('ab'))
  digest.update(Buffer.from('c'))
  expect(digest.hex()).toBe(sha256Hex(Buffer.from('abc')))
})

it('the native codec joins parts as the portable codec does', () => {
  const parts = [Uint8Array.of(1, 2), new Uint8Array(), Buffer.from('xyz')]
  expect(Buffer.compare(nativeCodec.concat(...parts), pureCodec.concat(...parts))).toBe(0)
})

it.each([byNode, portable])('equalBytes compares bytes', ({ equalBytes }) => {
  const bytes = Uint8Array.of(1, 2, 3)
  expect(equalBytes(bytes, Uint8Array.of(0, 1, 2, 3, 4).subarray(1, 4))).toBe(true)
  expect(equalBytes(new Uint8Array(), new Uint8Array())).toBe(true)
  for (const other of [[], [1, 2], [1, 2, 4], [0, 2, 3], [1, 2, 3, 0]])
    expect(equalBytes(bytes, Uint8Array.from(other))).toBe(false)
})

describe('the module that a bundler for browsers takes instead', () => {
  it('has the same names', () => {
    expect(Object.keys(portable).sort()).toEqual(Object.keys(byNode).sort())
  })

  it('hashes like Node.js, in one piece and in many', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat(300), (bytes, at) => {
        expect(portable.sha256Hex(bytes)).toBe(sha256Hex(bytes))
        const stream = portable.sha256Stream()
        stream.update(bytes.subarray(0, at))
        stream.update(bytes.subarray(at))
        expect(stream.hex()).toBe(sha256Hex(bytes))
      }),
    )
  })
})
