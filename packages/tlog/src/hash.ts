import { sha256 } from '@noble/hashes/sha2.js'
import { decodeBase64Into, encodeBase64 } from './base64.ts'
import { concatBytes } from './codec.ts'
import { TlogError, quote } from './errors.ts'

/** A SHA-256 hash in canonical base64 (RFC 4648 section 4): 44 characters, as in a line of a tile. */
export type Hash = string

/** Bytes of a hash. */
export const HASH_SIZE = 32
/** Characters of a {@link Hash}. */
export const HASH_LENGTH = 44

/** The hash functions of RFC 6962 section 2.1. A runtime can pass native ones. */
export interface Hasher {
  /** Returns `SHA-256(0x00 || entry)`, the leaf hash of an entry. */
  leaf(entry: Uint8Array): Hash
  /** Returns `SHA-256(0x01 || left || right)`, the hash of a node with two subtrees. */
  node(left: Hash, right: Hash): Hash
  /** Returns the SHA-256 of `data`, 32 bytes. */
  sha256(data: Uint8Array): Uint8Array
}

const HASH = /^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$/

/** Reports whether `text` is a {@link Hash}: the canonical base64 of 32 bytes. */
export function isHash(text: string): text is Hash {
  return text.length === HASH_LENGTH && HASH.test(text)
}

/** The root hash of the empty tree: the SHA-256 of no bytes (RFC 6962 section 2.1). */
export const EMPTY_ROOT: Hash = '47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='

/** Returns the 32 bytes of a hash. @throws TlogError `hash` */
export function hashBytes(hash: Hash): Uint8Array {
  if (!isHash(hash)) throw new TlogError('hash', `expected the base64 of 32 bytes, found ${quote(hash)}`)
  const bytes = new Uint8Array(HASH_SIZE)
  decodeBase64Into(hash, bytes, 0)
  return bytes
}

/** Returns the hash with these 32 bytes. @throws TlogError `hash` */
export function bytesHash(bytes: Uint8Array): Hash {
  if (bytes.length !== HASH_SIZE) throw new TlogError('hash', `expected 32 bytes, found ${bytes.length}`)
  return encodeBase64(bytes)
}

const LEAF_PREFIX = new Uint8Array([0])
/** Scratch space of {@link nobleHasher}, so that it allocates no input for each node. */
const pair = new Uint8Array(1 + 2 * HASH_SIZE)
pair[0] = 1

/** A hasher in pure ECMAScript, by @noble/hashes. */
export const nobleHasher: Hasher = {
  leaf: (entry) => encodeBase64(sha256(concatBytes(LEAF_PREFIX, entry))),
  node(left, right) {
    decodeBase64Into(left, pair, 1)
    decodeBase64Into(right, pair, 1 + HASH_SIZE)
    return encodeBase64(sha256(pair))
  },
  sha256,
}
