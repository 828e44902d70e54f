import { createHash } from 'node:crypto'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { EMPTY_ROOT, bytesHash, hashBytes, isHash, nobleHasher } from './hash.ts'

const sha256 = (...parts: Uint8Array[]): string =>
  createHash('sha256').update(Buffer.concat(parts)).digest('base64')

describe('hashes', () => {
  it('hashes as in RFC 6962 section 2.1', () => {
    expect(EMPTY_ROOT).toBe(sha256())
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 200 }),
        fc.uint8Array({ minLength: 32, maxLength: 32 }),
        (entry, right) => {
          const left = nobleHasher.leaf(entry)
          expect(left).toBe(sha256(Buffer.of(0), entry))
          expect(nobleHasher.node(left, bytesHash(right))).toBe(sha256(Buffer.of(1), hashBytes(left), right))
          expect(bytesHash(nobleHasher.sha256(entry))).toBe(sha256(entry))
        },
      ),
    )
  })

  it('converts between base64 and bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), (data) => {
        expect(isHash(bytesHash(data))).toBe(true)
        expect(hashBytes(bytesHash(data))).toEqual(data)
      }),
    )
  })

  it.each([
    '',
    EMPTY_ROOT.slice(1),
    `${EMPTY_ROOT}\n`,
    EMPTY_ROOT.replace('U=', 'V='),
    EMPTY_ROOT.replace('=', 'A'),
    `${'A'.repeat(42)}==`,
    `-${EMPTY_ROOT.slice(1)}`,
  ])('rejects %j', (text) => {
    expect(isHash(text)).toBe(false)
    expect(() => hashBytes(text)).toThrow(expect.objectContaining({ code: 'hash' }))
  })

  it('rejects arrays of any length but 32 bytes', () => {
    expect(() => bytesHash(new Uint8Array(31))).toThrow(expect.objectContaining({ code: 'hash' }))
    expect(() => bytesHash(new Uint8Array(33))).toThrow(expect.objectContaining({ code: 'hash' }))
  })
})
