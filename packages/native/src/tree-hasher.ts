/** The hashes of second trees in base64: RFC 6962 section 2.1 with a hash function other than SHA-256. */
import type { Hash, Hasher } from '@service-fs/tlog/hash'
import { nativeCodec } from '@service-fs/native/native'
import { treeDigests } from '@service-fs/native/tree-digests'

/** The hash functions of one tree. */
export interface TreeHasher extends Pick<Hasher, 'leaf' | 'node'> {
  /** The root hash of the empty tree: the hash of no bytes. */
  readonly empty: Hash
}

/** Returns the hashes of trees with this algorithm. */
export function treeHasher(algorithm: keyof typeof treeDigests): TreeHasher {
  return treeHasherOf(treeDigests[algorithm].digest)
}

/** Returns the hashes of trees with this hash function. */
export function treeHasherOf(digest: (data: Uint8Array) => Uint8Array): TreeHasher {
  const one = new Uint8Array([1])
  return {
    empty: encode(digest(new Uint8Array())),
    leaf(entry) {
      const message = new Uint8Array(1 + entry.length)
      message.set(entry, 1)
      return encode(digest(message))
    },
    node: (left, right) => encode(digest(nativeCodec.concat(one, decode(left), decode(right)))),
  }
}

function encode(bytes: Uint8Array): Hash {
  return nativeCodec.base64Encode(bytes)
}

function decode(hash: Hash): Uint8Array {
  return nativeCodec.base64Decode(hash)
}
