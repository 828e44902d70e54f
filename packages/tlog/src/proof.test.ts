import { hash as digest } from 'node:crypto'
import { readFileSync } from 'node:fs'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Edge, edgeNodes } from './edge.ts'
import { EMPTY_ROOT, nobleHasher, type Hash, type Hasher } from './hash.ts'
import { MAX_SIZE, largestPowerOfTwoBelow } from './math.ts'
import {
  computeProof,
  consistencyPlan,
  inclusionPlan,
  nodeHash,
  planTiles,
  rootFromInclusion,
  rootPlan,
  subtreeRoot,
  verifyConsistency,
  verifyInclusion,
  type Plan,
} from './proof.ts'
import { SymbolicTree } from './testing/symbolic-tree.ts'
import { tileSpan, tileWidth, treeTiles } from './tile.ts'

/** The largest tree has more than two full tiles, and more than one in `npm test`. */
const SIZE = process.env['QUICK'] === '1' ? 300 : 520

/** Native hashes, each computed once. */
class MemoHasher implements Hasher {
  readonly #nodes = new Map<Hash, Map<Hash, Hash>>()

  leaf(entry: Uint8Array): Hash {
    return digest('sha256', Buffer.concat([Buffer.of(0), entry]), 'base64')
  }

  node(left: Hash, right: Hash): Hash {
    let row = this.#nodes.get(left)
    if (row === undefined) this.#nodes.set(left, (row = new Map<Hash, Hash>()))
    let hash = row.get(right)
    if (hash === undefined) {
      const bytes = Buffer.concat([Buffer.of(1), Buffer.from(left, 'base64'), Buffer.from(right, 'base64')])
      row.set(right, (hash = digest('sha256', bytes, 'base64')))
    }
    return hash
  }

  sha256(data: Uint8Array): Uint8Array {
    return digest('sha256', data, 'buffer')
  }
}

/** The definitions of RFC 6962 section 2.1, over leaf hashes. */
class Naive {
  readonly #leaves: readonly Hash[]
  readonly #hasher: Hasher
  readonly #memo = new Map<number, Hash>()

  constructor(leaves: readonly Hash[], hasher: Hasher) {
    this.#leaves = leaves
    this.#hasher = hasher
  }

  mth(start: number, end: number): Hash {
    if (start === end) return EMPTY_ROOT
    if (end - start === 1) return this.#leaves[start]!
    const key = start * 2 ** 20 + end
    let hash = this.#memo.get(key)
    if (hash === undefined) {
      const k = split(end - start)
      hash = this.#hasher.node(this.mth(start, start + k), this.mth(start + k, end))
      this.#memo.set(key, hash)
    }
    return hash
  }
}

function split(n: number): number {
  let k = 1
  while (k * 2 < n) k *= 2
  return k
}

type Mth = (start: number, end: number) => Hash

/** PATH(m, D[n]): section 2.1.1, for D[start:end]. */
function path(m: number, start: number, end: number, mth: Mth): Hash[] {
  const n = end - start
  if (n === 1) return []
  const k = split(n)
  return m < k
    ? [...path(m, start, start + k, mth), mth(start + k, end)]
    : [...path(m - k, start + k, end, mth), mth(start, start + k)]
}

/** SUBPROOF(m, D[n], b): section 2.1.2, for D[start:end]. */
function subproof(m: number, start: number, end: number, b: boolean, mth: Mth): Hash[] {
  const n = end - start
  if (m === n) return b ? [] : [mth(start, end)]
  const k = split(n)
  return m <= k
    ? [...subproof(m, start, start + k, b, mth), mth(start + k, end)]
    : [...subproof(m - k, start + k, end, false, mth), mth(start, start + k)]
}

const hasher = new MemoHasher()
const leaves = Array.from({ length: SIZE }, (_, i) => hasher.leaf(Buffer.from(`entry ${i}`)))
const naive = new Naive(leaves, hasher)
const mth: Mth = (start, end) => naive.mth(start, end)
const roots = Array.from({ length: SIZE + 1 }, (_, size) => mth(0, size))

/** The tiles of the tree of `size` entries, with their widths there. */
function tilesAt(size: number): Map<string, Hash[]> {
  const tiles = new Map<string, Hash[]>()
  for (const tile of treeTiles(size)) {
    const { start, end } = tileSpan(tile)
    const span = (end - start) / tile.width
    const hashes = Array.from({ length: tile.width }, (_, i) => mth(start + i * span, start + (i + 1) * span))
    tiles.set(`${tile.level}/${tile.index}`, hashes)
  }
  return tiles
}

/** Computes a plan from exactly the tiles that it asks for. */
function prove(plan: Plan, size: number, tiles: Map<string, Hash[]>): Hash[] {
  const planned = new Set(planTiles(plan, size).map((tile) => `${tile.level}/${tile.index}`))
  return computeProof(
    plan,
    (level, index) => {
      const key = `${level}/${index}`
      if (!planned.has(key)) throw new Error(`tile ${key} was not planned`)
      return tiles.get(key)!
    },
    hasher,
  )
}

const same = (a: readonly Hash[], b: readonly Hash[]): boolean =>
  a.length === b.length && a.every((hash, i) => hash === b[i])

const refused = (code: string): unknown => expect.objectContaining({ name: 'TlogError', code })

/** Proofs that differ from a right one: a hash changed, dropped, added, two swapped. */
function mutations(proof: readonly Hash[], at: number): Hash[][] {
  const i = proof.length === 0 ? 0 : at % proof.length
  const stray = hasher.leaf(Buffer.from(`stray ${at}`))
  const changed = [
    [...proof, stray],
    [stray, ...proof],
  ]
  if (proof.length > 0) changed.push(proof.with(i, stray), proof.toSpliced(i, 1))
  if (proof.length > 1) changed.push(proof.toReversed())
  return changed
}

describe(`every tree up to ${SIZE} entries`, () => {
  it('has every inclusion proof', () => {
    for (let size = 1; size <= SIZE; size++) {
      const tiles = tilesAt(size)
      const root = roots[size]!
      for (let index = 0; index < size; index++) {
        const proof = prove(inclusionPlan(index, size), size, tiles)
        if (!same(proof, path(index, 0, size, mth))) expect.fail(`proof of ${index} in ${size} differs`)
        const inclusion = { index, size, leafHash: leaves[index]!, root, proof }
        verifyInclusion(inclusion, hasher)
        if ((index * 31 + size) % 97 !== 0) continue
        for (const wrong of mutations(proof, index)) {
          expect(() => verifyInclusion({ ...inclusion, proof: wrong }, hasher)).toThrow(refused('inclusion'))
        }
        const other = (index + 1) % size
        if (other === index) continue
        expect(() => verifyInclusion({ ...inclusion, index: other }, hasher)).toThrow(refused('inclusion'))
        expect(() => verifyInclusion({ ...inclusion, root: roots[size - 1]! }, hasher)).toThrow(
          refused('inclusion'),
        )
        expect(() => verifyInclusion({ ...inclusion, leafHash: leaves[other]! }, hasher)).toThrow(
          refused('inclusion'),
        )
      }
    }
  })

  it('has every consistency proof', () => {
    for (let to = 0; to <= SIZE; to++) {
      const tiles = tilesAt(to)
      const toRoot = roots[to]!
      for (let from = 0; from <= to; from++) {
        const proof = prove(consistencyPlan(from, to), to, tiles)
        const expected = from === 0 ? [] : subproof(from, 0, to, true, mth)
        if (!same(proof, expected)) expect.fail(`proof from ${from} to ${to} differs`)
        const consistency = { from, to, fromRoot: roots[from]!, toRoot, proof }
        verifyConsistency(consistency, hasher)
        if ((from * 31 + to) % 97 !== 0) continue
        for (const wrong of mutations(proof, from)) {
          expect(() => verifyConsistency({ ...consistency, proof: wrong }, hasher)).toThrow(
            refused('consistency'),
          )
        }
        const stray = leaves[(from + 7) % SIZE]!
        expect(() => verifyConsistency({ ...consistency, fromRoot: stray }, hasher)).toThrow(
          refused('consistency'),
        )
        if (from === 0 && to > 0) continue
        expect(() => verifyConsistency({ ...consistency, toRoot: stray }, hasher)).toThrow(
          refused('consistency'),
        )
      }
    }
  })

  it('has the same root hash from the edge, from tiles and from leaf hashes', () => {
    const edge = new Edge()
    for (let size = 0; size <= SIZE; size++) {
      expect(edge.root(hasher)).toBe(roots[size])
      expect(edge.hashes()).toEqual(
        edgeNodes(size).map(({ level, index }) => mth(index * 2 ** level, (index + 1) * 2 ** level)),
      )
      expect(prove(rootPlan(size), size, tilesAt(size))).toEqual([roots[size]])
      if (size <= 256) expect(subtreeRoot(leaves.slice(0, size), hasher)).toBe(roots[size])
      if (size < SIZE) edge.append(leaves[size]!, hasher)
    }
  })
})

const near = (n: number): fc.Arbitrary<number> =>
  fc.integer({ min: -70_000, max: 70_000 }).map((d) => Math.min(MAX_SIZE, n + d))
const bigSizes = fc.oneof(
  near(2 ** 17),
  near(2 ** 31),
  near(2 ** 32),
  near(2 ** 40),
  near(2 ** 53),
  fc.maxSafeNat(),
)
const sizes = bigSizes.filter((size) => size > 0)
const sizeAndBelow = fc
  .tuple(sizes, fc.double({ min: 0, max: 1, noNaN: true }), fc.integer({ min: 0, max: 300 }), fc.boolean())
  .map(([size, fraction, d, back]) => ({
    size,
    below: Math.min(size - 1, back ? Math.max(0, size - 1 - d) : Math.floor(size * fraction)),
  }))

/** Computes a plan over a symbolic tree from tiles with the planned widths. */
function proveSymbolically(plan: Plan, size: number, tree: SymbolicTree): Hash[] {
  const tiles = new Map<string, Hash[]>()
  for (const tile of planTiles(plan, size)) {
    expect(tile.width).toBe(tileWidth(tile.level, tile.index, size))
    const { start, end } = tileSpan(tile)
    expect(end).toBeLessThanOrEqual(size)
    const span = (end - start) / tile.width
    tiles.set(
      `${tile.level}/${tile.index}`,
      Array.from({ length: tile.width }, (_, i) => tree.range(start + i * span, start + (i + 1) * span)),
    )
  }
  return computeProof(plan, (level, index) => tiles.get(`${level}/${index}`)!, tree)
}

describe('trees up to 2^53 - 1 entries', () => {
  it('have inclusion proofs', () => {
    fc.assert(
      fc.property(sizeAndBelow, ({ size, below: index }) => {
        const tree = new SymbolicTree()
        const range: Mth = (start, end) => tree.range(start, end)
        const proof = proveSymbolically(inclusionPlan(index, size), size, tree)
        expect(proof).toEqual(path(index, 0, size, range))
        const inclusion = { index, size, leafHash: range(index, index + 1), root: range(0, size), proof }
        verifyInclusion(inclusion, tree)
        for (const wrong of mutations(proof, index)) {
          expect(() => verifyInclusion({ ...inclusion, proof: wrong }, tree)).toThrow(refused('inclusion'))
        }
        if (size > 1) {
          const other = index === 0 ? 1 : index - 1
          expect(() => verifyInclusion({ ...inclusion, index: other }, tree)).toThrow(refused('inclusion'))
        }
      }),
      { numRuns: 300 },
    )
  })

  it('have consistency proofs', () => {
    fc.assert(
      fc.property(sizeAndBelow, ({ size: to, below }) => {
        const from = below + 1
        const tree = new SymbolicTree()
        const range: Mth = (start, end) => tree.range(start, end)
        const proof = proveSymbolically(consistencyPlan(from, to), to, tree)
        expect(proof).toEqual(subproof(from, 0, to, true, range))
        const consistency = { from, to, fromRoot: range(0, from), toRoot: range(0, to), proof }
        verifyConsistency(consistency, tree)
        for (const wrong of mutations(proof, from)) {
          expect(() => verifyConsistency({ ...consistency, proof: wrong }, tree)).toThrow(
            refused('consistency'),
          )
        }
      }),
      { numRuns: 300 },
    )
  })

  it('compute root hashes from few tiles', () => {
    fc.assert(
      fc.property(sizes, (size) => {
        const tree = new SymbolicTree()
        expect(planTiles(rootPlan(size), size).length).toBeLessThanOrEqual(7)
        expect(proveSymbolically(rootPlan(size), size, tree)).toEqual([tree.range(0, size)])
      }),
    )
  })

  it('have proofs of at most 53 hashes', () => {
    expect(inclusionPlan(0, MAX_SIZE)).toHaveLength(53)
    expect(inclusionPlan(MAX_SIZE - 1, MAX_SIZE)).toHaveLength(52)
    expect(consistencyPlan(1, MAX_SIZE)).toHaveLength(53)
    expect(consistencyPlan(largestPowerOfTwoBelow(MAX_SIZE), MAX_SIZE)).toHaveLength(1)
  })
})

interface GoProof {
  a: number
  b: number
  proof: Hash[]
}
// Proofs and roots by golang.org/x/mod/sumdb/tlog over the entries `entry 0` to `entry 69999`: see testdata/interop.go.
const interop: { tree: { roots: Record<string, Hash>; inclusion: GoProof[]; consistency: GoProof[] } } =
  JSON.parse(readFileSync(new URL('testdata/interop.json', import.meta.url), 'utf8'))

describe('golang.org/x/mod', () => {
  const { inclusion, consistency, roots: goRoots } = interop.tree
  const levels = [Array.from({ length: 70_000 }, (_, i) => hasher.leaf(Buffer.from(`entry ${i}`)))]
  for (let below = levels[0]!; below.length >= 256; levels.push(below)) {
    const full = Math.floor(below.length / 256)
    below = Array.from({ length: full }, (_, i) =>
      subtreeRoot(levels.at(-1)!.slice(i * 256, (i + 1) * 256), hasher),
    )
  }
  const compute = (plan: Plan, size: number): Hash[] =>
    computeProof(
      plan,
      (level, index) => levels[level]!.slice(index * 256, index * 256 + tileWidth(level, index, size)),
      hasher,
    )

  it('has the same root hashes', () => {
    for (const [size, root] of Object.entries(goRoots))
      expect(compute(rootPlan(Number(size)), Number(size))).toEqual([root])
  })

  it.each(inclusion)('has the same proof of $a in $b', ({ a: index, b: size, proof }) => {
    expect(compute(inclusionPlan(index, size), size)).toEqual(proof)
    verifyInclusion({ index, size, leafHash: levels[0]![index]!, root: goRoots[size]!, proof })
  })

  it.each(consistency)('has the same proof from $a to $b', ({ a: from, b: to, proof }) => {
    expect(compute(consistencyPlan(from, to), to)).toEqual(proof)
    verifyConsistency({ from, to, fromRoot: goRoots[from]!, toRoot: goRoots[to]!, proof })
  })
})

const node = (left: Hash, right: Hash): Hash => nobleHasher.node(left, right)

describe('invalid input', () => {
  const [a, b] = [leaves[0]!, leaves[1]!]

  it.each([
    [0, 0],
    [1, 1],
    [5, 4],
    [-1, 4],
    [0.5, 4],
    [NaN, 4],
    [0, -1],
    [0, 2 ** 53],
    [0, NaN],
  ])('rejects index %d of size %d', (index, size) => {
    expect(() => inclusionPlan(index, size)).toThrow(refused('range'))
    expect(() => rootFromInclusion(index, size, a, [])).toThrow(refused('inclusion'))
  })

  it.each([
    [5, 4],
    [-1, 4],
    [0.5, 4],
    [NaN, 4],
    [0, -1],
    [0, 2 ** 53],
    [1, NaN],
  ])('rejects sizes %d to %d', (from, to) => {
    expect(() => consistencyPlan(from, to)).toThrow(refused('range'))
    expect(() => verifyConsistency({ from, to, fromRoot: a, toRoot: a, proof: [] })).toThrow(
      refused('consistency'),
    )
  })

  it('rejects invalid hashes', () => {
    const bad = a.slice(1)
    expect(() => rootFromInclusion(0, 2, a, [bad])).toThrow(refused('inclusion'))
    expect(() => rootFromInclusion(0, 2, bad, [b])).toThrow(refused('inclusion'))
    const consistency = { from: 1, to: 2, fromRoot: a, toRoot: nobleHasher.node(a, b), proof: [b] }
    verifyConsistency(consistency)
    expect(() => verifyConsistency({ ...consistency, proof: [bad] })).toThrow(refused('consistency'))
    expect(() => verifyConsistency({ ...consistency, toRoot: bad })).toThrow(refused('consistency'))
  })

  it('rejects proofs of the wrong length, even with matching root hashes', () => {
    const c = leaves[2]!
    const inclusion = { index: 0, size: 2, leafHash: a, root: node(a, b), proof: [b] }
    verifyInclusion(inclusion)
    expect(() => verifyInclusion({ ...inclusion, root: a, proof: [] })).toThrow(refused('inclusion'))
    expect(() => verifyInclusion({ ...inclusion, size: 4 })).toThrow(refused('inclusion'))
    for (const root of [node(c, node(a, b)), node(node(a, b), c)]) {
      expect(() => verifyInclusion({ ...inclusion, root, proof: [b, c] })).toThrow(refused('inclusion'))
    }
    const consistency = {
      from: 3,
      to: 4,
      fromRoot: node(c, a),
      toRoot: node(c, node(a, b)),
      proof: [a, b, c],
    }
    verifyConsistency(consistency)
    const fit = (fromRoot: Hash, toRoot: Hash, proof: Hash[]): void => {
      expect(() => verifyConsistency({ ...consistency, fromRoot, toRoot, proof })).toThrow(
        refused('consistency'),
      )
    }
    fit(a, a, [])
    fit(a, a, [a])
    fit(a, node(a, b), [a, b])
    fit(node(a, consistency.fromRoot), node(a, consistency.toRoot), [a, b, c, a])
    fit(consistency.fromRoot, node(consistency.toRoot, a), [a, b, c, a])
  })

  it('rejects an empty old tree with another root hash or a proof', () => {
    const consistency = { from: 0, to: 1, fromRoot: EMPTY_ROOT, toRoot: a, proof: [] }
    verifyConsistency(consistency)
    verifyConsistency({ ...consistency, to: 0, toRoot: EMPTY_ROOT })
    expect(() => verifyConsistency({ ...consistency, fromRoot: a })).toThrow(refused('consistency'))
    expect(() => verifyConsistency({ ...consistency, proof: [a] })).toThrow(refused('consistency'))
    expect(() => verifyConsistency({ ...consistency, to: 0, fromRoot: a })).toThrow(refused('consistency'))
  })

  it('rejects plans beyond the tree, and short tiles', () => {
    expect(() => planTiles([[{ level: 0, index: 4 }]], 4)).toThrow(refused('range'))
    expect(() => planTiles([[{ level: 3, index: 0 }]], 7)).toThrow(refused('range'))
    expect(planTiles([[{ level: 2, index: 0 }], [{ level: 0, index: 3 }]], 4)).toEqual([
      { level: 0, index: 0, width: 4 },
    ])
    expect(() => nodeHash([a], { level: 0, index: 1 })).toThrow(refused('tile'))
    expect(() => nodeHash([a, b, a], { level: 2, index: 0 })).toThrow(refused('tile'))
    expect(() => computeProof(inclusionPlan(0, 2), () => [a])).toThrow(refused('tile'))
    expect(nodeHash([a, b], { level: 1, index: 0 })).toBe(nobleHasher.node(a, b))
  })
})
