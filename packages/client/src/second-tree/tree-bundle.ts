/** One full bundle of entries in a second tree. */
import { equalBytes, nativeCodec } from '@service-fs/native/native'
import type { TreeHasher } from '@service-fs/native/tree-hasher'
import type { Hash } from '@service-fs/tlog/hash'
import { subtreeRoot } from '@service-fs/tlog/proof'
import { TILE_WIDTH } from '@service-fs/tlog/tile'
import { formatHashTile } from '@service-fs/tlog/tile-text'

/** The hashes of a bundle in a second tree. */
export interface TreeBundle {
  /** The hash over the bundle's entries. */
  root: Hash
  /** The leaf hashes; absent if they equal the stored hash tile's. */
  leaves?: Hash[]
}

/** Computes the hashes of a full bundle. `stored` is the text of the bundle's hash tile; undefined when the tile is missing. */
export function treeBundle(
  entry: (i: number) => Uint8Array,
  hasher: TreeHasher,
  stored: Uint8Array | undefined,
): TreeBundle {
  const leaves = Array.from({ length: TILE_WIDTH }, (_, i) => hasher.leaf(entry(i)))
  const root = subtreeRoot(leaves, hasher)
  const isStored = stored !== undefined && equalBytes(stored, nativeCodec.asciiEncode(formatHashTile(leaves)))
  return isStored ? { root } : { root, leaves }
}
