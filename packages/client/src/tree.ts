/** Reads entries and verifies, tile by tile from the root down, that a signed tree holds them. */
import type { Checkpoint } from '@service-fs/tlog/checkpoint'
import { edgeNodes, foldNodes } from '@service-fs/tlog/edge'
import type { Hash, Hasher } from '@service-fs/tlog/hash'
import { pow2 } from '@service-fs/tlog/math'
import { subtreeRoot } from '@service-fs/tlog/proof'
import { TILE_WIDTH, levelWidth, partialWidth, tileCount, tileWidth } from '@service-fs/tlog/tile'
import { ClientError } from './errors.ts'
import { nativeHasher } from '@service-fs/native/native'
import type { LogSource } from './source.ts'

/** The number of cached tiles of each level. Entries are read in order, a few bundles ahead. */
const KEPT = 16

/**
 * The tree of a log at one checkpoint. The tree verifies every hash against the checkpoint's root: it computes the root from the partial
 * tiles, and compares each full tile with its hash in the tile above.
 */
export class TrustedTree {
  /** The number of entries. */
  readonly size: number
  readonly #source: LogSource
  readonly #hasher: Hasher
  /** The hashes of the partial tile of each level; empty when the level has only full tiles. */
  readonly #partial: (readonly Hash[])[]
  readonly #tiles = new Map<number, Map<number, Promise<readonly Hash[]>>>()

  private constructor(source: LogSource, size: number, partial: (readonly Hash[])[], hasher: Hasher) {
    this.#source = source
    this.size = size
    this.#partial = partial
    this.#hasher = hasher
  }

  /**
   * Opens the tree of a checkpoint: reads the partial tiles and verifies that they yield the checkpoint's root. The caller must have
   * verified the checkpoint's signature.
   * @throws ClientError `false` when the root differs; like the source
   */
  static async open(
    source: LogSource,
    checkpoint: Checkpoint,
    hasher: Hasher = nativeHasher,
  ): Promise<TrustedTree> {
    const { size, root } = checkpoint
    const partial: (readonly Hash[])[] = []
    const edge: Hash[] = []
    for (let level = 0; levelWidth(level, size) > 0; level++) {
      const width = partialWidth(level, size)
      const hashes = width === 0 ? [] : await source.hashTile(level, tileCount(level, size), width)
      partial.push(hashes)
      edge.unshift(...perfectSubtrees(hashes, hasher))
    }
    const found = foldNodes(edge, hasher)
    if (found !== root)
      throw new ClientError(
        'false',
        `tree of size ${size}: expected root hash ${root} of the signed checkpoint, found ${found}`,
      )
    return new TrustedTree(source, size, partial, hasher)
  }

  /** The number of entry bundles; the last one may be partial. */
  get bundles(): number {
    return Math.ceil(this.size / TILE_WIDTH)
  }

  /** Reads a bundle and verifies the leaf hash of each entry. @throws ClientError `false`, naming the entry; like the source */
  async bundle(index: number): Promise<Uint8Array[]> {
    const width = tileWidth('entries', index, this.size)
    const [entries, leaves] = await Promise.all([this.#source.bundle(index, width), this.#tile(0, index)])
    entries.forEach((entry, i) => {
      const found = this.#hasher.leaf(entry)
      if (found === leaves[i]) return
      const name = this.#source.name({ level: 'entries', index, width })
      throw new ClientError(
        'false',
        `${name}: entry ${index * TILE_WIDTH + i}: expected leaf hash ${leaves[i]}, found ${found}`,
      )
    })
    return entries
  }

  /** Returns the verified hashes of a tile, full or partial. @throws ClientError `false`, naming the tile; like the source */
  hashTile(level: number, index: number): Promise<readonly Hash[]> {
    return this.#tile(level, index)
  }

  /** Returns the verified leaf hash of an entry. @throws ClientError `false`; `not-found` beyond the tree; like the source */
  async leaf(index: number): Promise<Hash> {
    const hashes = await this.#tile(0, Math.floor(index / TILE_WIDTH))
    const leaf = hashes[index % TILE_WIDTH]
    if (leaf === undefined)
      throw new ClientError('not-found', `entry ${index}: expected an index below the tree size ${this.size}`)
    return leaf
  }

  #tile(level: number, index: number): Promise<readonly Hash[]> {
    const partial = this.#partial[level]
    if (index === tileCount(level, this.size) && partial !== undefined) return Promise.resolve(partial)
    let tiles = this.#tiles.get(level)
    if (tiles === undefined) this.#tiles.set(level, (tiles = new Map()))
    let tile = tiles.get(index)
    if (tile === undefined) {
      tile = this.#fullTile(level, index)
      tiles.set(index, tile)
      const oldest = tiles.size > KEPT ? tiles.keys().next().value : undefined
      if (oldest !== undefined) tiles.delete(oldest)
    }
    return tile
  }

  async #fullTile(level: number, index: number): Promise<readonly Hash[]> {
    const [hashes, above] = await Promise.all([
      this.#source.hashTile(level, index, TILE_WIDTH),
      this.#tile(level + 1, Math.floor(index / TILE_WIDTH)),
    ])
    const expected = above[index % TILE_WIDTH]
    const found = subtreeRoot(hashes, this.#hasher)
    if (found !== expected) {
      const name = this.#source.name({ level, index, width: TILE_WIDTH })
      throw new ClientError(
        'false',
        `${name}: expected the hash ${expected} of the tile above, found ${found}`,
      )
    }
    return hashes
  }
}

/** Returns the roots of the perfect subtrees in a partial tile, largest first. */
function perfectSubtrees(hashes: readonly Hash[], hasher: Hasher): Hash[] {
  return edgeNodes(hashes.length).map(({ level, index }) => {
    const width = pow2(level)
    return subtreeRoot(hashes.slice(index * width, (index + 1) * width), hasher)
  })
}
