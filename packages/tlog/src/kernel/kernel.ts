import type { Edge } from '../edge.ts'
import type { Hash } from '../hash.ts'

/** Entries, one after the other in one array. */
export interface PackedEntries {
  bytes: Uint8Array
  /** Entry i is `bytes` from `offsets[i]` up to `offsets[i + 1]`. */
  offsets: Uint32Array
}

/** The entries of a bundle, and their hashes in binary. */
export interface BundleContent extends PackedEntries {
  /** The leaf hashes, 32 bytes each. */
  leaves: Uint8Array
}

/** An entry bundle in the binary form of c2sp.org/tlog-tiles, "Log entries": each entry after its length, a big-endian uint16. */
export interface BinaryContent {
  bytes: Uint8Array
  /** The offset in `bytes` after each entry. */
  ends: Uint32Array
  /** The leaf hashes, 32 bytes each. */
  leaves: Uint8Array
}

/** Bytes of the length before each entry. */
export const LENGTH_BYTES = 2

/** New entries of a tree: their text, their leaf hashes, and the tree that ends with them. */
export interface Extension {
  /** The lines of the entries: base64, each with a line feed. */
  text: Uint8Array
  /** The number of bytes behind `text` in its buffer that the caller may write. */
  spare: number
  /** The offset in `text` after each line. */
  ends: Uint32Array
  /** The leaf hashes. */
  leaves: readonly Hash[]
  /** The right edge of the tree, and its root hash. */
  edge: Edge
  root: Hash
  /** The root hashes of the level-0 tiles that the entries fill, in order. */
  tileRoots: readonly Hash[]
}

/**
 * Hashes of whole batches: each call takes many entries or hashes, in binary, and gives all their hashes (RFC 6962 section 2.1).
 *
 * Arrays that a kernel returns are the caller's. A kernel keeps none of the arrays that it gets.
 */
export interface Kernel {
  /** Returns the leaf hashes of the entries `bytes[offsets[i], offsets[i + 1])`: 32 bytes each. @throws RangeError for bad offsets */
  hashLeaves(bytes: Uint8Array, offsets: Uint32Array): Uint8Array
  /** Returns the SHA-256 of the messages `bytes[offsets[i], offsets[i + 1])`: 32 bytes each. @throws RangeError for bad offsets */
  digests(bytes: Uint8Array, offsets: Uint32Array): Uint8Array
  /** Returns the hash of each node whose two subtrees have the hashes in 64 bytes of `pairs`. @throws RangeError */
  hashNodes(pairs: Uint8Array): Uint8Array
  /** Returns the root hash of the tree over `hashes`, 32 bytes each; that of the empty tree for none. @throws RangeError */
  rootOf(hashes: Uint8Array): Uint8Array
  /** Parses the text of an entry bundle of `width` lines, and hashes its entries. @throws TlogError `tile`, `utf8` like parseBundle() */
  readBundle(text: Uint8Array, width: number): BundleContent
  /** Parses the text of an entry bundle like {@link readBundle}, to its binary form. @throws TlogError */
  readBinaryBundle(text: Uint8Array, width: number): BinaryContent
  /** Parses the text of a hash tile of `width` lines. @throws TlogError `tile`, `utf8` like parseHashTile() */
  readHashTile(text: Uint8Array, width: number): Uint8Array
  /** Returns the lines of a hash tile, each with a line feed. @throws RangeError */
  hashLines(hashes: Uint8Array): Uint8Array
  /**
   * Appends the entries of all batches, in order, to the tree with this right edge, which stays unchanged. There must be at least one
   * entry, and none of more than 65,535 bytes. `spare`: how many bytes the caller wants behind the text; it may get fewer.
   * @throws TlogError `range` beyond 2^53 - 1 entries; RangeError for a longer entry
   */
  extend(edge: Edge, batches: readonly PackedEntries[], spare?: number): Extension
}

/** Checks that `bytes` has a whole number of `size` bytes; returns the number. @throws RangeError */
export function countOf(bytes: Uint8Array, size: number): number {
  if (bytes.length % size !== 0)
    throw new RangeError(`expected a multiple of ${size} bytes, found ${bytes.length}`)
  return bytes.length / size
}

/** Checks that `offsets` ascend within `bytes`; returns the number of entries. @throws RangeError */
export function checkOffsets(bytes: Uint8Array, offsets: Uint32Array): number {
  if (offsets.length === 0) throw new RangeError('expected at least one offset, found none')
  for (let i = 1; i < offsets.length; i++) {
    if (offsets[i - 1]! > offsets[i]!)
      throw new RangeError(
        `expected offsets in ascending order, found ${offsets[i - 1]} before ${offsets[i]}`,
      )
  }
  if (offsets.at(-1)! > bytes.length)
    throw new RangeError(`expected offsets up to ${bytes.length}, found ${offsets.at(-1)}`)
  return offsets.length - 1
}
