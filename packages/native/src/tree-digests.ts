/** The hash functions of second trees (docs/format.md). Uses the functions of Node.js if its OpenSSL has them. */
import { getHashes, hash } from 'node:crypto'
import type { TreeHash } from '@service-fs/tlog/hash-tree'
import { treeDigests as portable } from './tree-digests-portable.ts'

const known = new Set(getHashes())

function native(algorithm: string, other: TreeHash): TreeHash {
  if (!known.has(algorithm)) return other
  return { bytes: other.bytes, digest: (data) => hash(algorithm, data, 'buffer') }
}

export const treeDigests: typeof portable = {
  'sha3-256': native('sha3-256', portable['sha3-256']),
  'sha2-512': native('sha512', portable['sha2-512']),
  blake3: portable.blake3,
}
