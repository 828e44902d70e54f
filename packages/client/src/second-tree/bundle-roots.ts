/** The root hashes of a tree's full bundles. The upper tiles and the root hash at any size are computed from them. */
import { nativeCodec } from '@service-fs/native/native'
import type { TreeHasher } from '@service-fs/native/tree-hasher'
import { edgeNodes, foldNodes } from '@service-fs/tlog/edge'
import type { Hash } from '@service-fs/tlog/hash'
import { subtreeRoot } from '@service-fs/tlog/proof'
import { TILE_HEIGHT, TILE_WIDTH } from '@service-fs/tlog/tile'

/** A compact list of hashes of equal length, stored as consecutive bytes. */
export class BundleRoots {
  #bytes = new Uint8Array(0)
  #size = 0
  #count = 0

  /** The number of hashes. */
  get count(): number {
    return this.#count
  }

  add(root: Hash): void {
    const bytes = nativeCodec.base64Decode(root)
    this.#size = bytes.length
    const at = this.#count * this.#size
    if (at + this.#size > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(1024, 2 * this.#bytes.length))
      larger.set(this.#bytes)
      this.#bytes = larger
    }
    this.#bytes.set(bytes, at)
    this.#count += 1
  }

  /** Returns the hashes from `from` up to, not including, `to`. */
  hashes(from: number, to: number): Hash[] {
    const size = this.#size
    return Array.from({ length: to - from }, (_, i) =>
      nativeCodec.base64Encode(this.#bytes.subarray((from + i) * size, (from + i + 1) * size)),
    )
  }
}

/**
 * Returns the root hash of the tree of `size` entries (RFC 6962 section 2.1). `leaves` are the leaf hashes of the entries after the last full
 * bundle.
 */
export function rootAt(roots: BundleRoots, size: number, leaves: readonly Hash[], hasher: TreeHasher): Hash {
  if (size === 0) return hasher.empty
  const full = size - (size % TILE_WIDTH)
  const subtrees = edgeNodes(size).map(({ level, index }) => {
    const width = 2 ** level
    if (level >= TILE_HEIGHT) {
      const first = (index * width) / TILE_WIDTH
      return subtreeRoot(roots.hashes(first, first + width / TILE_WIDTH), hasher)
    }
    const first = index * width - full
    return subtreeRoot(leaves.slice(first, first + width), hasher)
  })
  return foldNodes(subtrees, hasher)
}

/** A full tile above the leaves. */
export interface UpperTile {
  level: number
  index: number
  hashes: Hash[]
}

/** Yields the full tiles above level 0, level by level upwards. */
export function* upperTiles(roots: BundleRoots, hasher: TreeHasher, level: number = 1): Generator<UpperTile> {
  const above = new BundleRoots()
  for (let index = 0; (index + 1) * TILE_WIDTH <= roots.count; index++) {
    const hashes = roots.hashes(index * TILE_WIDTH, (index + 1) * TILE_WIDTH)
    yield { level, index, hashes }
    above.add(subtreeRoot(hashes, hasher))
  }
  if (above.count >= TILE_WIDTH) yield* upperTiles(above, hasher, level + 1)
}
