import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Edge, edgeNodes, foldNodes } from './edge.ts'
import { EMPTY_ROOT, bytesHash, nobleHasher, type Hash } from './hash.ts'
import { MAX_SIZE } from './math.ts'
import { CT_LEAVES, CT_ROOTS } from './testing/certificate-transparency.ts'
import { SymbolicTree } from './testing/symbolic-tree.ts'

const hex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'hex'))
const leaf = (n: number): Hash => nobleHasher.leaf(new Uint8Array(Buffer.from(`entry ${n}`)))
const near = (n: number): fc.Arbitrary<number> =>
  fc.integer({ min: -300, max: 300 }).map((d) => Math.min(MAX_SIZE - 1, n + d))
const sizes = fc.oneof(fc.nat(1000), near(2 ** 32), near(2 ** 40), near(2 ** 53), fc.nat(MAX_SIZE - 1))

describe('Edge', () => {
  it('has the root hashes of certificate-transparency', () => {
    const edge = new Edge()
    CT_ROOTS.forEach((root, size) => {
      expect(edge.size).toBe(size)
      expect(edge.root()).toBe(bytesHash(hex(root)))
      if (size < CT_LEAVES.length) edge.append(nobleHasher.leaf(hex(CT_LEAVES[size]!)))
    })
  })

  it('is restored from its hashes, and its clones are independent', () => {
    const edge = new Edge()
    for (let size = 0; size < 300; size++) {
      expect(edge.hashes()).toHaveLength(edgeNodes(size).length)
      const reopened = new Edge(edge.size, edge.hashes())
      const clone = edge.clone()
      for (const tree of [edge, reopened, clone]) tree.append(leaf(size))
      clone.append(leaf(0))
      expect(reopened.root()).toBe(edge.root())
      expect([clone.size, edge.size]).toEqual([size + 2, size + 1])
    }
  })

  it('appends at any size', () => {
    fc.assert(
      fc.property(sizes, (size) => {
        const tree = new SymbolicTree()
        const edge = new Edge(
          size,
          edgeNodes(size).map((node) => tree.node(node)),
        )
        expect(edge.root(tree)).toBe(size === 0 ? EMPTY_ROOT : tree.range(0, size))
        edge.append(tree.range(size, size + 1), tree)
        expect(edge.size).toBe(size + 1)
        expect(edge.hashes()).toEqual(edgeNodes(size + 1).map((node) => tree.node(node)))
        expect(edge.root(tree)).toBe(tree.range(0, size + 1))
      }),
    )
  })

  it('rejects hashes that do not match the size', () => {
    const edgeError = expect.objectContaining({ code: 'edge' })
    expect(() => new Edge(0, [leaf(0)])).toThrow(edgeError)
    expect(() => new Edge(3, [leaf(0)])).toThrow(edgeError)
    expect(() => new Edge(2, [leaf(0), leaf(1)])).toThrow(edgeError)
    expect(() => new Edge(1, ['AAAA'])).toThrow(edgeError)
    for (const size of [-1, 0.5, 2 ** 53, NaN]) {
      expect(() => new Edge(size)).toThrow(expect.objectContaining({ code: 'range' }))
    }
  })

  it('is full at 2^53 - 1', () => {
    const edge = new Edge(
      MAX_SIZE,
      Array.from({ length: 53 }, (_, i) => leaf(i)),
    )
    expect(() => edge.append(leaf(0))).toThrow(expect.objectContaining({ code: 'range' }))
    expect(edge.size).toBe(MAX_SIZE)
  })
})

describe('edgeNodes', () => {
  it('cover the tree, larger before smaller', () => {
    fc.assert(
      fc.property(sizes, (size) => {
        let end = 0
        let level = Infinity
        for (const node of edgeNodes(size)) {
          expect(node.level).toBeLessThan(level)
          expect(node.index * 2 ** node.level).toBe(end)
          end += 2 ** node.level
          level = node.level
        }
        expect(end).toBe(size)
      }),
    )
  })

  it('fold to the empty root for an empty tree', () => {
    expect(foldNodes([])).toBe(EMPTY_ROOT)
    expect(foldNodes([leaf(1)])).toBe(leaf(1))
  })
})
