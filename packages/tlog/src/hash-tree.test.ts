import { hash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { pureCodec as codec } from './codec.ts'
import { Edge } from './edge.ts'
import type { Hasher } from './hash.ts'
import { HashTree, foldHashes, rootForm, tileFromLines, tileLines, type TreeHash } from './hash-tree.ts'
import { parseCheckpointText, formatCheckpointText } from './checkpoint.ts'

const sha512: TreeHash = { bytes: 64, digest: (data) => hash('sha512', data, 'buffer') }
const sha256: TreeHash = { bytes: 32, digest: (data) => hash('sha256', data, 'buffer') }

const hasher: Hasher = {
  leaf: (entry) => hash('sha256', Buffer.concat([Buffer.of(0), entry]), 'base64'),
  node: (left, right) =>
    hash(
      'sha256',
      Buffer.concat([Buffer.of(1), Buffer.from(left, 'base64'), Buffer.from(right, 'base64')]),
      'base64',
    ),
  sha256: sha256.digest,
}

const entryOf = (i: number): Uint8Array => codec.utf8Encode(`entry ${i}`)

/** The Merkle tree hash MTH, implemented exactly as RFC 6962 section 2.1 defines it. */
function mth(entries: readonly Uint8Array[], { digest }: TreeHash): Uint8Array {
  const [first] = entries
  if (first === undefined) return digest(new Uint8Array())
  if (entries.length === 1) return digest(Buffer.concat([Buffer.of(0), first]))
  let k = 1
  while (k * 2 < entries.length) k *= 2
  const [left, right] = [
    mth(entries.slice(0, k), { bytes: 0, digest }),
    mth(entries.slice(k), { bytes: 0, digest }),
  ]
  return digest(Buffer.concat([Buffer.of(1), left, right]))
}

describe('HashTree', () => {
  it('a hash tree has the root that RFC 6962 defines, at every small size', () => {
    const tree = new HashTree(sha512)
    const entries: Uint8Array[] = []
    for (let size = 0; size <= 300; size++) {
      expect(Buffer.from(tree.root()).equals(mth(entries, sha512)), `size ${size}`).toBe(true)
      entries.push(entryOf(size))
      tree.append(entryOf(size))
    }
  })

  it('a hash tree agrees with Edge over two levels of tiles, and returns each full tile', () => {
    const tree = new HashTree(sha256)
    const edge = new Edge()
    const full: string[] = []
    const roots: Uint8Array[] = []
    const leaves: Uint8Array[] = []
    for (let i = 0; i < 256 * 257 + 3; i++) {
      const entry = entryOf(i)
      leaves.push(sha256.digest(Buffer.concat([Buffer.of(0), entry])))
      tree.append(entry, (level, index, hashes) => {
        full.push(`${level}/${index}`)
        if (level === 0) {
          expect(Buffer.from(hashes).equals(Buffer.concat(leaves.slice(-256)))).toBe(true)
          roots.push(foldHashes(hashes, sha256))
        } else expect(Buffer.from(hashes).equals(Buffer.concat(roots.slice(0, 256)))).toBe(true)
      })
      edge.append(hasher.leaf(entry), hasher)
      if (i % 997 === 0 || i > 256 * 257)
        expect(codec.base64Encode(tree.root()), `size ${i + 1}`).toBe(edge.root(hasher))
    }
    expect(full).toHaveLength(258)
    expect(full.slice(254, 258)).toEqual(['0/254', '0/255', '1/0', '0/256'])
  })

  it('a hash tree can be restored from its partial tiles', () => {
    const tree = new HashTree(sha256)
    const others: HashTree[] = []
    for (let size = 0; size <= 65_540; size++) {
      if ([0, 1, 255, 256, 257, 65_535, 65_536, 65_537].includes(size))
        others.push(new HashTree(sha256, size, [tree.partial(0), tree.partial(1), tree.partial(2)]))
      for (const one of others) {
        if (size < 300 || size > 65_530)
          expect(Buffer.compare(one.root(), tree.root()), `size ${size}`).toBe(0)
        one.append(entryOf(size))
      }
      if (size === 300) others.length = 0
      tree.append(entryOf(size))
    }
    expect(others).toHaveLength(3)
    expect(() => new HashTree(sha256, 2, [new Uint8Array(32)])).toThrow('expected 64 bytes')
  })
})

describe('the text of a tile', () => {
  it('the text of a tile has a line for each hash', () => {
    const hashes = new Uint8Array(128).map((_, i) => i)
    const text = tileLines(hashes, 64)
    expect(Buffer.from(text).toString()).toBe(
      `${Buffer.from(hashes.slice(0, 64)).toString('base64')}\n${Buffer.from(hashes.slice(64)).toString('base64')}\n`,
    )
    expect([...tileFromLines(text, 64, 2)]).toEqual([...hashes])
  })

  it('the text of a tile is rejected with a missing line, a short hash, or non-canonical base64', () => {
    const text = Buffer.from(tileLines(new Uint8Array(64), 32)).toString()
    for (const wrong of [
      text.slice(0, -1),
      text.slice(45),
      text + text,
      text.replace('=', ''),
      text.replace('A=', 'B='),
      text.replaceAll('\n', '\r\n'),
      '',
    ])
      expect(() => tileFromLines(Buffer.from(wrong), 32, 2), JSON.stringify(wrong)).toThrow('expected')
  })
})

it('rootForm returns the size of roots and the root of the empty tree', () => {
  const roots = rootForm(sha512)
  const root = codec.base64Encode(sha512.digest(new Uint8Array()))
  const text = formatCheckpointText({ origin: 'a', size: 0, root, extensions: [] }, roots)
  expect(text).toBe(`a\n0\n${root}\n`)
  expect(parseCheckpointText(text, roots)).toMatchObject({ size: 0, root })
  expect(() => parseCheckpointText(text)).toThrow('expected a root of 32 bytes')
  const other = codec.base64Encode(sha512.digest(Buffer.of(1)))
  expect(() => parseCheckpointText(`a\n0\n${other}\n`, roots)).toThrow('expected the root of the empty tree')
  expect(parseCheckpointText(`a\n1\n${other}\n`, roots)).toMatchObject({ root: other })
  for (const wrong of [root.slice(4), `${root}AAAA`, root.replace('==', ''), root.replace('g==', 'h==')])
    expect(() => parseCheckpointText(`a\n1\n${wrong}\n`, roots), wrong).toThrow('expected a root of 64 bytes')
})
