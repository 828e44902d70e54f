import fc from 'fast-check'
import { expect, it } from 'vitest'
import { pureCodec } from '@service-fs/tlog/codec'
import { nobleHasher } from '@service-fs/tlog/hash'
import { verifierFromVkey } from '@service-fs/tlog/keys'
import { parseSignatureLine } from '@service-fs/tlog/note'
import { nativeCodec, nativeCrypto, nativeHasher, sha256Hex, sha256Stream } from './native.ts'
import { testSigner } from './testing.ts'

it('hashes as the portable hasher does', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 9_000 }), (bytes) => {
      const leaf = nativeHasher.leaf(bytes)
      expect(leaf).toBe(nobleHasher.leaf(bytes))
      expect(nativeHasher.node(leaf, leaf)).toBe(nobleHasher.node(leaf, leaf))
      expect(Buffer.from(nativeHasher.sha256(bytes))).toEqual(Buffer.from(nobleHasher.sha256(bytes)))
    }),
  )
})

it('encodes and decodes as the portable codec does, and refuses what it refuses', () => {
  fc.assert(
    fc.property(fc.uint8Array(), fc.string({ unit: 'binary' }), (bytes, text) => {
      const line = nativeCodec.base64Encode(bytes)
      expect(line).toBe(pureCodec.base64Encode(bytes))
      expect([...nativeCodec.base64Decode(line)]).toEqual([...bytes])
      expect([...nativeCodec.utf8Encode(text)]).toEqual([...pureCodec.utf8Encode(text)])
      expect(nativeCodec.utf8Decode(nativeCodec.utf8Encode(text))).toBe(text)
    }),
  )
  for (const bad of ['QQ', 'QR==', 'Q Q=', 'QQ==\n', '=', 'Q-__'])
    expect(() => nativeCodec.base64Decode(bad)).toThrow()
  expect(() => nativeCodec.utf8Decode(Uint8Array.of(0xff))).toThrow()
  expect(() => nativeCodec.utf8Encode('\ud800')).toThrow()
})

it('verifies Ed25519 signatures, and only those', async () => {
  const signer = testSigner()
  const { signature } = parseSignatureLine(await signer.sign('text\n'))
  const verifier = verifierFromVkey(signer.vkey, nativeCrypto)
  expect(verifier.verify('text\n', signature)).toBe(true)
  expect(verifier.verify('test\n', signature)).toBe(false)
  expect(verifier.verify('text\n', signature.subarray(1))).toBe(false)
})

it('feeds a digest in pieces', () => {
  const digest = sha256Stream()
  digest.update(Buffer.from('ab'))
  digest.update(Buffer.from('c'))
  expect(digest.hex()).toBe(sha256Hex(Buffer.from('abc')))
})
