import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Edge, edgeNodes, foldNodes } from './edge.ts'
import { EMPTY_ROOT, bytesHash, nobleHasher, type Hash } from './hash.ts'
import { MAX_SIZE } from './math.ts'
import { SymbolicTree } from './testing/symbolic-tree.ts'

const hex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'hex'))
const leaf = (n: number): Hash => nobleHasher.leaf(new Uint8Array(Buffer.from(`entry ${n}`)))
const near = (n: number): fc.Arbitrary<number> =>
  fc.integer({ min: -300, max: 300 }).map((d) => Math.min(MAX_SIZE - 1, n + d))
const sizes = fc.oneof(fc.nat(1000), near(2 ** 32), near(2 ** 40), near(2 ** 53), fc.nat(MAX_SIZE - 1))

// The test inputs and roots of certificate-transparency (merkletree/merkle_tree_test.cc).
const CT_LEAVES = [
  '',
  '00',
  '10',
  '2021',
  '3031',
  '40414243',
  '5051525354555657',
  '606162636465666768696a6b6c6d6e6f',
]
const CT_ROOTS = [
  'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
  '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
  'fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125',
  'aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77',
  'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
  '4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4',
  '76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef',
  'ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c',
  '5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328',
]

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

  it('fold to the empty root when there are none', () => {
    expect(foldNodes([])).toBe(EMPTY_ROOT)
    expect(foldNodes([leaf(1)])).toBe(leaf(1))
  })
})
