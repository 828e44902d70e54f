import { describe, expect, it } from 'vitest'
import { treeDigests } from './tree-digests.ts'
import { treeDigests as portable } from './tree-digests-portable.ts'

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

/**
 * FIPS 202 and FIPS 180-4 examples (csrc.nist.gov/projects/cryptographic-standards-and-guidelines/example-values), and the test vectors of
 * BLAKE3 (github.com/BLAKE3-team/BLAKE3, test_vectors.json) for the inputs of 0 and 3 bytes.
 */
const VECTORS = [
  ['sha3-256', '', 'a7ffc6f8bf1ed76651c14756a061d662f580ff4de43b49fa82d80a4b80f8434a'],
  ['sha3-256', '616263', '3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532'],
  [
    'sha2-512',
    '616263',
    'ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f',
  ],
  ['blake3', '', 'af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262'],
  ['blake3', '000102', 'e1be4d7a8ab5560aa4199eea339849ba8e293d55ca0a81006726d184519e647f'],
] as const

describe('the hash functions of second trees', () => {
  it.each(VECTORS)('%s of %s', (name, input, expected) => {
    const bytes = Buffer.from(input, 'hex')
    expect(hex(treeDigests[name].digest(bytes))).toBe(expected)
    expect(hex(portable[name].digest(bytes))).toBe(expected)
  })

  it('the hash functions of Node.js and in pure ECMAScript agree', () => {
    for (const name of ['sha3-256', 'sha2-512', 'blake3'] as const) {
      expect(treeDigests[name].bytes).toBe(portable[name].bytes)
      for (const length of [0, 1, 65, 129, 1023, 1024, 1025, 70_000]) {
        const data = new Uint8Array(length).map((_, i) => i % 251)
        const found = treeDigests[name].digest(data)
        expect(found).toHaveLength(treeDigests[name].bytes)
        expect(hex(found), `${name} of ${length} bytes`).toBe(hex(portable[name].digest(data)))
      }
    }
  })
})
