import { TlogError, quote } from './errors.ts'
import { EMPTY_ROOT, isHash, nobleHasher, type Hash, type Hasher } from './hash.ts'
import { MAX_SIZE, bitLength, checkSize, divPow2, popcount } from './math.ts'

/** A perfect subtree: MTH(D[index * 2^level : (index + 1) * 2^level]) of RFC 6962 section 2.1. */
export interface Node {
  level: number
  index: number
}

/** Returns the perfect subtrees of a tree of `size` entries, largest first: one for each 1 bit of the size. */
export function edgeNodes(size: number): Node[] {
  checkSize(size, 'a tree size')
  const nodes: Node[] = []
  for (let level = bitLength(size) - 1; level >= 0; level--) {
    const count = divPow2(size, level)
    if (count % 2 === 1) nodes.push({ level, index: count - 1 })
  }
  return nodes
}

/** The right edge of a growing tree (a compact range from 0): the hashes of its perfect subtrees, which yield the root hash. */
export class Edge {
  #size: number
  readonly #hashes: Hash[]

  /** Restores the edge of a tree of `size` entries from {@link Edge.hashes}. @throws TlogError `edge`, `range` */
  constructor(size: number = 0, hashes: readonly Hash[] = []) {
    checkSize(size, 'a tree size')
    const expected = popcount(size)
    if (hashes.length !== expected) {
      throw new TlogError('edge', `expected ${expected} hashes for size ${size}, found ${hashes.length}`)
    }
    const bad = hashes.find((hash) => !isHash(hash))
    if (bad !== undefined) throw new TlogError('edge', `expected the base64 of 32 bytes, found ${quote(bad)}`)
    this.#size = size
    this.#hashes = [...hashes]
  }

  /** The tree size, in entries. */
  get size(): number {
    return this.#size
  }

  /** Returns the hashes of {@link edgeNodes}`(size)`, largest subtree first. */
  hashes(): Hash[] {
    return [...this.#hashes]
  }

  /**
   * Appends an entry by its leaf hash, which it does not check. `made` receives the level and the hash of each node that the entry
   * completes.
   * @throws TlogError `range` at 2^53 - 1 entries
   */
  append(leaf: Hash, hasher: Hasher = nobleHasher, made?: (level: number, hash: Hash) => void): void {
    if (this.#size === MAX_SIZE)
      throw new TlogError('range', 'expected a tree below 2^53 - 1 entries to append to')
    let hash = leaf
    let level = 0
    for (let n = this.#size; n % 2 === 1; n = (n - 1) / 2) {
      hash = hasher.node(this.#hashes.pop()!, hash)
      level += 1
      made?.(level, hash)
    }
    this.#hashes.push(hash)
    this.#size++
  }

  /** Returns the root hash (RFC 6962 section 2.1); {@link EMPTY_ROOT} for the empty tree. */
  root(hasher: Hasher = nobleHasher): Hash {
    return foldNodes(this.#hashes, hasher)
  }

  /** Returns an independent copy. */
  clone(): Edge {
    return new Edge(this.#size, this.#hashes)
  }
}

/** Returns the root hash of consecutive perfect subtrees, largest first; {@link EMPTY_ROOT} for none. */
export function foldNodes(hashes: readonly Hash[], hasher: Pick<Hasher, 'node'> = nobleHasher): Hash {
  let i = hashes.length - 1
  if (i < 0) return EMPTY_ROOT
  let root = hashes[i]!
  while (--i >= 0) root = hasher.node(hashes[i]!, root)
  return root
}
