/**
 * The exports of `tree-digests.ts` in pure ECMAScript. package.json makes bundlers for browsers use this file instead of `tree-digests.ts`.
 */
import { blake3 } from '@noble/hashes/blake3.js'
import { sha512 } from '@noble/hashes/sha2.js'
import { sha3_256 } from '@noble/hashes/sha3.js'
import type { TreeHash } from '@service-fs/tlog/hash-tree'

/** The hash functions of second trees, by the name of the algorithm. */
export const treeDigests: Readonly<Record<'sha3-256' | 'sha2-512' | 'blake3', TreeHash>> = {
  'sha3-256': { bytes: 32, digest: (data) => sha3_256(data) },
  'sha2-512': { bytes: 64, digest: (data) => sha512(data) },
  blake3: { bytes: 32, digest: (data) => blake3(data) },
}
