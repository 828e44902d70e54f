// SHA-256 of leaves and nodes (RFC 6962 section 2.1).

import { createHash } from 'node:crypto'
import { nativeHasher } from '@service-fs/native/native'
import { nobleHasher } from '@service-fs/tlog/hash'
import { bytesOf } from './data.ts'
import { equals } from './expect.ts'
import type { Micro } from './measure.ts'

const sizes = [300, 1024, 65_535]
const [left, right] = [bytesOf(32, 1), bytesOf(32, 2)]
const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64')

function leafHash(entry: Uint8Array): string {
  return createHash('sha256').update(Buffer.of(0)).update(entry).digest('base64')
}

const nodeHash = createHash('sha256').update(Buffer.of(1)).update(left).update(right).digest('base64')

export const micros: Micro[] = [
  ...sizes.map((size): Micro => {
    const entry = bytesOf(size)
    const check = equals(leafHash(entry))
    return {
      name: `leaf hash of ${size} B, native`,
      operations: 1,
      run: () => nativeHasher.leaf(entry),
      check,
    }
  }),
  ...[nativeHasher, nobleHasher].map((hasher, i): Micro => {
    const [a, b] = [base64(left), base64(right)]
    const name = `node hash, ${i === 0 ? 'native' : 'pure'}`
    return { name, operations: 1, run: () => hasher.node(a, b), check: equals(nodeHash) }
  }),
]
