import { edgeNodes, foldNodes, type Node } from './edge.ts'
import { TlogError, quote } from './errors.ts'
import { EMPTY_ROOT, isHash, nobleHasher, type Hash, type Hasher } from './hash.ts'
import { checkSize, divPow2, isSize, largestPowerOfTwoBelow, modPow2, pow2, trailingZeros } from './math.ts'
import { TILE_HEIGHT, TILE_WIDTH, tileWidth, type Tile } from './tile.ts'

// Proofs of RFC 6962 section 2.1 from tiles: plan the perfect subtrees that a proof needs, read their tiles, compute the hashes.

/** The hashes to compute. Each is the fold ({@link foldNodes}) of consecutive perfect subtrees, largest first. */
export type Plan = Node[][]

/** Returns the hashes of the tile at (level, index): at least the width that {@link planTiles} gives. */
export type TileHashes = (level: number, index: number) => readonly Hash[]

/** Returns the perfect subtrees of MTH(D[start:end]), a subtree of the recursion of RFC 6962 section 2.1. */
function rangeNodes(start: number, end: number): Node[] {
  return edgeNodes(end - start).map(({ level, index }) => ({ level, index: divPow2(start, level) + index }))
}

/**
 * Plans the inclusion proof PATH(index, D[size]) of RFC 6962 section 2.1.1, starting with the leaf's sibling. @throws TlogError
 * `range`
 */
export function inclusionPlan(index: number, size: number): Plan {
  checkSize(size, 'a tree size')
  if (!isSize(index) || index >= size) {
    throw new TlogError('range', `expected an index below tree size ${size}, found ${index}`)
  }
  const plan: Plan = []
  let start = 0
  let end = size
  while (end - start > 1) {
    const middle = start + largestPowerOfTwoBelow(end - start)
    if (index < middle) {
      plan.push(rangeNodes(middle, end))
      end = middle
    } else {
      plan.push(rangeNodes(start, middle))
      start = middle
    }
  }
  return plan.reverse()
}

/**
 * Plans the consistency proof PROOF(from, D[to]) of RFC 6962 section 2.1.2. It is empty if the sizes are equal or `from` is 0.
 * @throws TlogError `range` unless from <= to
 */
export function consistencyPlan(from: number, to: number): Plan {
  checkSize(to, 'a tree size')
  if (!isSize(from) || from > to) throw new TlogError('range', `expected a size up to ${to}, found ${from}`)
  if (from === 0) return []
  const plan: Plan = []
  let start = 0
  let end = to
  while (from < end) {
    const middle = start + largestPowerOfTwoBelow(end - start)
    if (from <= middle) {
      plan.push(rangeNodes(middle, end))
      end = middle
    } else {
      plan.push(rangeNodes(start, middle))
      start = middle
    }
  }
  // At start 0 the old tree is a subtree of the new one, and the verifier knows its root hash.
  if (start > 0) plan.push(rangeNodes(start, end))
  return plan.reverse()
}

/** Plans the root hash of a tree of `size` entries. */
export function rootPlan(size: number): Plan {
  return [edgeNodes(size)]
}

/** The place of a perfect subtree: the hashes [first, first + count) of the tile at (level, index). */
export interface NodePlace {
  level: number
  index: number
  first: number
  count: number
}

export function nodePlace(node: Node): NodePlace {
  const level = divPow2(node.level, 3)
  const height = modPow2(node.level, 3)
  const count = pow2(height)
  const offset = node.index * count
  return { level, index: divPow2(offset, TILE_HEIGHT), first: modPow2(offset, TILE_HEIGHT), count }
}

/**
 * Returns the tiles that a plan needs, each once, with their widths in a tree of `size` entries.
 * @throws TlogError `range` if the plan exceeds that tree
 */
export function planTiles(plan: Plan, size: number): Tile[] {
  checkSize(size, 'a tree size')
  const tiles = new Map<string, Tile>()
  for (const node of plan.flat()) {
    const { level, index, first, count } = nodePlace(node)
    const width = tileWidth(level, index, size)
    if (first + count > width) {
      throw new TlogError(
        'range',
        `expected subtrees within tree size ${size}, found ${node.level}/${node.index}`,
      )
    }
    tiles.set(`${level}/${index}`, { level, index, width })
  }
  return [...tiles.values()]
}

/** Computes the hashes of a plan. Calls `tiles` only for the tiles of {@link planTiles}. @throws TlogError `tile` */
export function computeProof(plan: Plan, tiles: TileHashes, hasher: Hasher = nobleHasher): Hash[] {
  return plan.map((nodes) => {
    const hashes = nodes.map((node) => {
      const { level, index } = nodePlace(node)
      return nodeHash(tiles(level, index), node, hasher)
    })
    return foldNodes(hashes, hasher)
  })
}

/** Computes the hash of a perfect subtree from the hashes of its tile. @throws TlogError `tile` */
export function nodeHash(hashes: readonly Hash[], node: Node, hasher: Hasher = nobleHasher): Hash {
  const { level, index, first, count } = nodePlace(node)
  const end = first + count
  if (hashes.length < end || hashes.length > TILE_WIDTH) {
    throw new TlogError(
      'tile',
      `expected ${end} to 256 hashes of tile ${level}/${index}, found ${hashes.length}`,
    )
  }
  return count === 1 ? hashes[first]! : subtreeRoot(hashes.slice(first, end), hasher)
}

/** Computes the root hash over perfect subtrees of equal size (RFC 6962 section 2.1); {@link EMPTY_ROOT} for none. */
export function subtreeRoot(hashes: readonly Hash[], hasher: Pick<Hasher, 'node'> = nobleHasher): Hash {
  const row = [...hashes]
  let length = row.length
  if (length === 0) return EMPTY_ROOT
  while (length > 1) {
    const pairs = Math.floor(length / 2)
    for (let i = 0; i < pairs; i++) row[i] = hasher.node(row[2 * i]!, row[2 * i + 1]!)
    if (length % 2 === 1) row[pairs] = row[length - 1]!
    length = Math.ceil(length / 2)
  }
  return row[0]!
}

/** A walk from a node up to the root. `index` is the node's index, `last` the index of the last node at its level. */
class Climb {
  index: number
  last: number

  constructor(index: number, last: number) {
    this.index = index
    this.last = last
  }

  /** Moves up to a level where the node has a sibling, then to their parent. Returns whether the sibling is the left one. */
  step(): boolean {
    const left = this.index % 2 === 1 || this.index === this.last
    if (left && this.index !== 0) this.up(trailingZeros(this.index))
    this.up(1)
    return left
  }

  up(levels: number): void {
    this.index = divPow2(this.index, levels)
    this.last = divPow2(this.last, levels)
  }
}

/**
 * Computes the root hash from an inclusion proof (RFC 9162 section 2.1.3.2).
 * @throws TlogError `inclusion` if the proof has the wrong length for this index and size, or an invalid hash
 */
export function rootFromInclusion(
  index: number,
  size: number,
  leafHash: Hash,
  proof: readonly Hash[],
  hasher: Hasher = nobleHasher,
): Hash {
  if (!isSize(size) || !isSize(index) || index >= size) {
    throw new TlogError('inclusion', `expected an index below the tree size, found ${index} of ${size}`)
  }
  checkHashes('inclusion', [leafHash, ...proof])
  const climb = new Climb(index, size - 1)
  let root = leafHash
  for (const hash of proof) {
    if (climb.last === 0) throw wrongLength('inclusion', proof, 'fewer')
    root = climb.step() ? hasher.node(hash, root) : hasher.node(root, hash)
  }
  if (climb.last !== 0) throw wrongLength('inclusion', proof, 'more')
  return root
}

/** An inclusion proof with its claim: the tree of `size` entries with root hash `root` has `leafHash` at `index`. */
export interface Inclusion {
  index: number
  size: number
  leafHash: Hash
  root: Hash
  /** The hashes, starting with the leaf's sibling. */
  proof: readonly Hash[]
}

/** Verifies an inclusion proof. @throws TlogError `inclusion` if it does not prove its claim */
export function verifyInclusion(inclusion: Inclusion, hasher: Hasher = nobleHasher): void {
  const { index, size, leafHash, root, proof } = inclusion
  const computed = rootFromInclusion(index, size, leafHash, proof, hasher)
  if (computed !== root)
    throw new TlogError('inclusion', `expected root ${quote(root)}, found ${quote(computed)}`)
}

/** A consistency proof with its claim: the tree of `to` entries starts with the tree of `from` entries. */
export interface Consistency {
  from: number
  to: number
  fromRoot: Hash
  toRoot: Hash
  proof: readonly Hash[]
}

/**
 * Verifies a consistency proof (RFC 9162 section 2.1.4.2). For equal sizes, or `from` 0, the proof must be empty.
 * @throws TlogError `consistency` if it does not prove its claim
 */
export function verifyConsistency(consistency: Consistency, hasher: Hasher = nobleHasher): void {
  const { from, to, fromRoot, toRoot, proof } = consistency
  if (!isSize(from) || !isSize(to) || from > to) {
    throw new TlogError('consistency', `expected sizes in ascending order, found ${from} before ${to}`)
  }
  checkHashes('consistency', [fromRoot, toRoot, ...proof])
  if (from === 0 || from === to) {
    if (proof.length > 0) throw wrongLength('consistency', proof, 'fewer')
    checkRoot('old', from === 0 ? EMPTY_ROOT : toRoot, fromRoot)
    if (to === 0) checkRoot('new', EMPTY_ROOT, toRoot)
    return
  }
  const [oldRoot, newRoot] = rootsFromConsistency(consistency, hasher)
  checkRoot('old', oldRoot, fromRoot)
  checkRoot('new', newRoot, toRoot)
}

/** Computes the old and the new root hash from a consistency proof, for 0 < from < to. */
function rootsFromConsistency({ from, to, fromRoot, proof }: Consistency, hasher: Hasher): [Hash, Hash] {
  const climb = new Climb(from - 1, to - 1)
  climb.up(trailingZeros(from))
  // If `from` is a power of two, the old tree is a subtree of the new one, and the proof omits its root hash.
  const hashes = climb.index === 0 ? [fromRoot, ...proof] : proof
  const [seed, ...path] = hashes
  if (seed === undefined) throw wrongLength('consistency', proof, 'more')
  let oldRoot = seed
  let newRoot = seed
  for (const hash of path) {
    if (climb.last === 0) throw wrongLength('consistency', proof, 'fewer')
    if (climb.step()) {
      oldRoot = hasher.node(hash, oldRoot)
      newRoot = hasher.node(hash, newRoot)
    } else {
      newRoot = hasher.node(newRoot, hash)
    }
  }
  if (climb.last !== 0) throw wrongLength('consistency', proof, 'more')
  return [oldRoot, newRoot]
}

function checkRoot(which: string, computed: Hash, root: Hash): void {
  if (computed !== root) {
    throw new TlogError('consistency', `expected ${which} root ${quote(root)}, found ${quote(computed)}`)
  }
}

function checkHashes(code: string, hashes: readonly Hash[]): void {
  const bad = hashes.find((hash) => !isHash(hash))
  if (bad !== undefined) throw new TlogError(code, `expected the base64 of 32 bytes, found ${quote(bad)}`)
}

function wrongLength(code: string, proof: readonly Hash[], expected: 'fewer' | 'more'): TlogError {
  return new TlogError(code, `expected ${expected} hashes in the proof, found ${proof.length}`)
}
