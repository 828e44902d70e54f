/** Inclusion proofs for many entries of one tree. */
import { foldNodes, type Node } from '@service-fs/tlog/edge'
import type { Hash } from '@service-fs/tlog/hash'
import { divPow2, modPow2, pow2 } from '@service-fs/tlog/math'
import { inclusionPlan } from '@service-fs/tlog/proof'
import { TILE_HEIGHT, TILE_WIDTH } from '@service-fs/tlog/tile'
import { nativeHasher } from '@service-fs/native/native'
import type { TrustedTree } from '../tree.ts'

/** The maximum number of tiles whose subtrees are kept. Neighboring entries need the same tiles: at most one per level on each side. */
const KEPT = 64

/** The roots of the perfect subtrees in a tile: by height, then by number. */
type Subtrees = readonly (readonly Hash[])[]

/**
 * Makes the inclusion proofs of a tree (RFC 6962 §2.1.1). If the entries come in order, it hashes each tile once, not once for each proof.
 */
export class TreeProofs {
  readonly #tree: TrustedTree
  readonly #tiles = new Map<string, Subtrees>()

  constructor(tree: TrustedTree) {
    this.#tree = tree
  }

  /** Returns the proof of an entry, starting with the leaf's sibling. @throws ClientError `false` when a tile does not verify */
  async inclusion(index: number): Promise<Hash[]> {
    const hashes: Hash[] = []
    for (const nodes of inclusionPlan(index, this.#tree.size)) {
      const subtrees: Hash[] = []
      for (const node of nodes) subtrees.push(await this.#subtree(node))
      hashes.push(foldNodes(subtrees, nativeHasher))
    }
    return hashes
  }

  async #subtree(node: Node): Promise<Hash> {
    const level = divPow2(node.level, 3)
    const height = modPow2(node.level, 3)
    const tile = divPow2(node.index, TILE_HEIGHT - height)
    const number = node.index - tile * pow2(TILE_HEIGHT - height)
    const key = `${level}/${tile}`
    let found = this.#tiles.get(key)
    if (found === undefined) {
      found = subtreesOf(await this.#tree.hashTile(level, tile))
      this.#tiles.set(key, found)
      const oldest = this.#tiles.size > KEPT ? this.#tiles.keys().next().value : undefined
      if (oldest !== undefined) this.#tiles.delete(oldest)
    }
    return found[height]![number]!
  }
}

function subtreesOf(hashes: readonly Hash[]): Subtrees {
  const rows: Hash[][] = [[...hashes]]
  for (let width = TILE_WIDTH / 2; width >= 1; width /= 2) {
    const below = rows.at(-1)!
    const row: Hash[] = []
    for (let i = 0; i + 1 < below.length; i += 2) row.push(nativeHasher.node(below[i]!, below[i + 1]!))
    rows.push(row)
  }
  return rows
}
