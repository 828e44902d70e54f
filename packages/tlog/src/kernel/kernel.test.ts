import { createHash, randomBytes, randomInt } from 'node:crypto'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { decodeBase64 } from '../base64.ts'
import { Edge } from '../edge.ts'
import { nobleHasher, type Hash, type Hasher } from '../hash.ts'
import { MAX_SIZE } from '../math.ts'
import { subtreeRoot } from '../proof.ts'
import { CT_LEAVES, CT_ROOTS } from '../testing/certificate-transparency.ts'
import { bundleFromBinary, formatBundle, formatHashTile, parseBundle, parseHashTile } from '../tile-text.ts'
import type { Kernel, PackedEntries } from './kernel.ts'
import { instantiate } from './module.ts'
import { plainKernel } from './plain.ts'
import { wasmKernel } from './wasm.ts'

const sha256 = (...parts: Uint8Array[]): Buffer => createHash('sha256').update(Buffer.concat(parts)).digest()
const leafOf = (entry: Uint8Array): Buffer => sha256(Buffer.of(0), entry)
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
const text = (lines: readonly string[]): Buffer => Buffer.from(lines.map((line) => `${line}\n`).join(''))
const base64 = (entries: readonly Uint8Array[]): string[] =>
  entries.map((entry) => Buffer.from(entry).toString('base64'))

function joined(entries: readonly Uint8Array[]): PackedEntries {
  const offsets = Uint32Array.of(0, ...entries.map(({ length }) => length))
  for (let i = 1; i < offsets.length; i++) offsets[i]! += offsets[i - 1]!
  return { bytes: Buffer.concat(entries), offsets }
}

/** Returns the entries in batches of random sizes, of which some are empty. */
function packed(entries: readonly Uint8Array[]): PackedEntries[] {
  const batches: PackedEntries[] = []
  for (let from = 0; from < entries.length;) {
    const to = from + randomInt(2) * randomInt(entries.length - from + 1)
    batches.push(joined(entries.slice(from, to)))
    from = to
  }
  return batches
}

/** The root hash by the definition of RFC 6962 section 2.1. */
function treeRoot(hashes: readonly Uint8Array[]): Uint8Array {
  if (hashes.length === 0) return sha256()
  if (hashes.length === 1) return hashes[0]!
  let k = 1
  while (2 * k < hashes.length) k *= 2
  return sha256(Buffer.of(1), treeRoot(hashes.slice(0, k)), treeRoot(hashes.slice(k)))
}

/** Lengths at which SHA-256 pads differently, with and without the prefix, and all short ones. */
const LENGTHS = [...Array(301).keys(), 311, 312, 319, 320, 1000, 4095, 4096, 65_534, 65_535]

const native: Hasher = {
  leaf: (entry) => leafOf(entry).toString('base64'),
  node: (left, right) => sha256(Buffer.of(1), decodeBase64(left), decodeBase64(right)).toString('base64'),
  sha256: (data) => sha256(data),
}

/** Returns entries of random lengths. */
const randomEntries = (count: number): Buffer[] =>
  Array.from({ length: count }, () => randomBytes(randomInt(300)))

/** Extends a tree, compares the result with what edge.ts and node:crypto compute, and returns the new edge. */
function extend(kernel: Kernel, before: Edge, entries: readonly Uint8Array[]): Edge {
  const hashes = before.hashes()
  const extension = kernel.extend(before, packed(entries))
  const leaves = entries.map((entry): Hash => leafOf(entry).toString('base64'))
  expect(extension.leaves).toEqual(leaves)
  expect(Buffer.from(extension.text).toString()).toBe(text(base64(entries)).toString())
  let end = 0
  expect([...extension.ends]).toEqual(base64(entries).map((line) => (end += line.length + 1)))
  const edge = new Edge(before.size, hashes)
  for (const leaf of leaves) edge.append(leaf, native)
  expect(extension.edge.hashes()).toEqual(edge.hashes())
  expect(extension.edge.size).toBe(edge.size)
  expect(extension.root).toBe(edge.root(native))
  expect(before.hashes()).toEqual(hashes)
  return extension.edge
}

/** Formats and reads a bundle, and compares the content with what node:crypto computes. */
function read(kernel: Kernel, entries: readonly Uint8Array[]): void {
  const { bytes, offsets } = joined(entries)
  const stored = Buffer.from(formatBundle(base64(entries)))
  const content = kernel.readBundle(stored, entries.length)
  expect(hex(content.bytes)).toBe(hex(bytes))
  expect([...content.offsets]).toEqual([...offsets])
  expect(hex(content.leaves)).toBe(hex(Buffer.concat(entries.map(leafOf))))
  const binary = kernel.readBinaryBundle(stored, entries.length)
  expect(bundleFromBinary(binary.bytes, entries.length).map(hex)).toEqual(entries.map(hex))
  expect([...binary.ends]).toEqual(entries.map((_, i) => offsets[i + 1]! + 2 * (i + 1)))
  expect(hex(binary.leaves)).toBe(hex(content.leaves))
}

it('runs in WebAssembly with SIMD', () => {
  expect(instantiate()).toBeDefined()
})

describe.each<[string, Kernel]>([
  ['in WebAssembly', wasmKernel()],
  ['in WebAssembly with a hasher for long entries', wasmKernel({ hasher: native, longFrom: 200 })],
  ['in ECMAScript', plainKernel()],
])('the kernel %s', (_name, kernel) => {
  const leavesOf = (entries: readonly Uint8Array[]): string[] => {
    const { bytes, offsets } = joined(entries)
    const hashes = kernel.hashLeaves(bytes, offsets)
    expect(hashes.length).toBe(32 * entries.length)
    return entries.map((_, i) => hex(hashes.subarray(32 * i, 32 * i + 32)))
  }

  it('has the hashes of the NIST examples that begin with a zero byte', () => {
    // SHA-2 Additional, "SHA-256 Test Data", numbers 3 to 7 and 10.
    const examples: [number, string][] = [
      [55, '02779466cdec163811d078815c633f21901413081449002f24aa3e80f0b88ef7'],
      [56, 'd4817aa5497628e7c77e6b606107042bbba3130888c5f47a375e6179be789fbb'],
      [57, '65a16cb7861335d5ace3c60718b5052e44660726da4cd13bb745381b235a1785'],
      [64, 'f5a5fd42d16a20302798ef6ed309979b43003d2320d9f0e8ea9831a92759fb4b'],
      [1000, '541b3e9daa09b20bf85fa273e5cbd3e80185aa4ec298e765db87742b70138a53'],
      [1_000_000, 'd29751f2649b32ff572b5e0a9f541ea660a50f94ff0beedfb0b692b924cc8025'],
    ]
    expect(leavesOf(examples.map(([length]) => new Uint8Array(length - 1)))).toEqual(
      examples.map(([, digest]) => digest),
    )
  })

  it('has the root hashes of certificate-transparency', () => {
    const entries = CT_LEAVES.map((entry) => Buffer.from(entry, 'hex'))
    for (const [size, root] of CT_ROOTS.entries()) {
      const { bytes, offsets } = joined(entries.slice(0, size))
      expect(hex(kernel.rootOf(kernel.hashLeaves(bytes, offsets)))).toBe(root)
      if (size === 0) continue
      expect(kernel.extend(new Edge(), [joined(entries.slice(0, size))]).root).toBe(
        Buffer.from(root, 'hex').toString('base64'),
      )
    }
  })

  it('hashes entries of every length, alone and together', () => {
    const entries = LENGTHS.map((length) => randomBytes(length))
    for (const entry of entries) expect(leavesOf([entry])).toEqual([hex(leafOf(entry))])
    expect(leavesOf(entries)).toEqual(entries.map((entry) => hex(leafOf(entry))))
    expect(leavesOf(entries.toReversed())).toEqual(entries.toReversed().map((entry) => hex(leafOf(entry))))
  })

  it('digests messages of every length as node:crypto does', () => {
    const digestsOf = (messages: readonly Uint8Array[]): string[] => {
      const { bytes, offsets } = joined(messages)
      const hashes = kernel.digests(bytes, offsets)
      return messages.map((_, i) => hex(hashes.subarray(32 * i, 32 * i + 32)))
    }
    const messages = [...LENGTHS, 65_536, 400_000].map((length) => randomBytes(length))
    for (const message of messages) expect(digestsOf([message])).toEqual([hex(sha256(message))])
    expect(digestsOf(messages)).toEqual(messages.map((message) => hex(sha256(message))))
    expect(kernel.digests(Buffer.of(), Uint32Array.of(0)).length).toBe(0)
    expect(() => kernel.digests(Buffer.of(1), Uint32Array.of(0, 2))).toThrow(RangeError)
    // After digests, leaf hashes must have their prefix again.
    expect(leavesOf(messages)).toEqual(messages.map((message) => hex(leafOf(message))))
  })

  it('gives spare bytes behind the text', () => {
    const entries = randomEntries(9)
    const { text: lines, spare } = kernel.extend(new Edge(), [joined(entries)], 500)
    expect(lines.buffer.byteLength - lines.byteOffset - lines.length).toBeGreaterThanOrEqual(spare)
    new Uint8Array(lines.buffer, lines.byteOffset + lines.length, spare).fill(1)
    expect(Buffer.from(lines).toString()).toBe(text(base64(entries)).toString())
  })

  it('hashes batches of every size', () => {
    for (const size of [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 255, 256, 257, 2047, 2048, 2049, 5000]) {
      const entries = Array.from({ length: size }, () => randomBytes(randomInt(300)))
      expect(leavesOf(entries)).toEqual(entries.map((entry) => hex(leafOf(entry))))
      const pairs = randomBytes(64 * size)
      const nodes = Array.from({ length: size }, (_, i) =>
        sha256(Buffer.of(1), pairs.subarray(64 * i, 64 * i + 64)),
      )
      expect(hex(kernel.hashNodes(pairs))).toBe(hex(Buffer.concat(nodes)))
      expect(hex(kernel.rootOf(Buffer.concat(nodes)))).toBe(hex(treeRoot(nodes)))
    }
  })

  it('hashes a part of an array', () => {
    const { bytes } = joined([randomBytes(7), randomBytes(50)])
    expect(hex(kernel.hashLeaves(bytes.subarray(3), Uint32Array.of(4, 9, 9, 20)))).toBe(
      hex(
        Buffer.concat([leafOf(bytes.subarray(7, 12)), leafOf(Buffer.of()), leafOf(bytes.subarray(12, 23))]),
      ),
    )
  })

  it('rejects descending offsets, offsets beyond the bytes, and incomplete hashes', () => {
    for (const offsets of [[], [5, 4], [0, 9]])
      expect(() => kernel.hashLeaves(new Uint8Array(8), Uint32Array.from(offsets))).toThrow(RangeError)
    for (const length of [1, 31, 33, 63]) {
      expect(() => kernel.rootOf(new Uint8Array(length))).toThrow(RangeError)
      expect(() => kernel.hashLines(new Uint8Array(length))).toThrow(RangeError)
      expect(() => kernel.hashNodes(new Uint8Array(length))).toThrow(RangeError)
    }
    expect(() => kernel.hashNodes(new Uint8Array(96))).toThrow(RangeError)
  })

  describe('reads bundles', () => {
    it('with entries of every length', () => {
      for (const length of LENGTHS) read(kernel, [randomBytes(length)])
      for (let from = 0; from < LENGTHS.length; from += 256)
        read(
          kernel,
          LENGTHS.slice(from, from + 256).map((length) => randomBytes(length)),
        )
    })

    it('of many widths, and of more text than fits into the memory', () => {
      for (const width of [1, 2, 3, 4, 5, 255, 256])
        read(
          kernel,
          Array.from({ length: width }, () => randomBytes(randomInt(400))),
        )
      read(
        kernel,
        Array.from({ length: 256 }, (_, i) => randomBytes(i % 9 === 0 ? 20_000 : 60)),
      )
      read(
        kernel,
        Array.from({ length: 30 }, () => randomBytes(65_535)),
      )
    })

    it('and finds the fault of one that is malformed, like parseBundle', () => {
      const good = base64(Array.from({ length: 5 }, (_, i) => randomBytes(40 + i)))
      const bad = [
        text(good.slice(1)),
        text([...good, 'AAAA']),
        text(good).subarray(0, -1),
        text(good).subarray(0, -2),
        Buffer.concat([text(good), Buffer.from('\n')]),
        Buffer.of(),
        text(good.with(2, Buffer.alloc(65_536).toString('base64'))),
        Buffer.concat([text(good.slice(0, 4)), Buffer.of(0xff, 0xfe, 0xfd, 0xfc, 10)]),
      ]
      for (const line of [
        'A',
        'AA',
        'AAA',
        'AB==',
        'AAB=',
        'A===',
        '====',
        '=AAA',
        'AA==AAAA',
        'AA-_',
        'AAA\r',
        'é===',
      ])
        for (const before of ['', 'A'.repeat(12), 'A'.repeat(16), 'A'.repeat(400)])
          bad.push(text(good.with(2, before + line)))
      for (const bundle of bad) {
        let expected: unknown
        try {
          plainKernel().readBundle(bundle, 5)
        } catch (error) {
          expected = error
        }
        expect(expected).toMatchObject({ name: 'TlogError' })
        expect(() => kernel.readBundle(bundle, 5)).toThrow(expected)
        expect(() => kernel.readBinaryBundle(bundle, 5)).toThrow(expected)
      }
      for (const width of [0, 257, 1.5, -1]) {
        const refused = expect.objectContaining({ code: 'tile' })
        expect(() => kernel.readBundle(text(good), width)).toThrow(refused)
        expect(() => kernel.readBinaryBundle(text(good), width)).toThrow(refused)
      }
    })

    it('and rejects every changed character that parseBundle rejects', () => {
      const line = randomBytes(37).toString('base64')
      for (let at = 0; at <= line.length; at++)
        for (let byte = 0; byte < 128; byte++) {
          const changed = text([line])
          changed[at] = byte
          let lines: string[] | undefined
          try {
            lines = parseBundle(changed.toString('latin1'), 1)
          } catch {
            expect(() => kernel.readBundle(changed, 1)).toThrow(expect.objectContaining({ code: 'tile' }))
            continue
          }
          expect(hex(kernel.readBundle(changed, 1).bytes)).toBe(
            Buffer.from(lines[0]!, 'base64').toString('hex'),
          )
        }
    })
  })

  it('reads and writes hash tiles', () => {
    for (const width of [1, 2, 5, 255, 256]) {
      const hashes = randomBytes(32 * width)
      const lines = Array.from({ length: width }, (_, i) =>
        hashes.subarray(32 * i, 32 * i + 32).toString('base64'),
      )
      expect(Buffer.from(kernel.hashLines(hashes)).toString()).toBe(formatHashTile(lines))
      expect(hex(kernel.readHashTile(text(lines), width))).toBe(hex(hashes))
      const bad = [
        text(lines).subarray(0, -1),
        text(lines.with(width - 1, Buffer.alloc(33).toString('base64'))),
        text(lines.with(width - 1, Buffer.alloc(31).toString('base64'))),
        text(lines.with(0, lines[0]!.replace('=', 'A'))),
        text(lines.map(() => '')),
      ]
      for (const tile of bad) {
        expect(() => parseHashTile(tile.toString(), width)).toThrow(expect.objectContaining({ code: 'tile' }))
        expect(() => kernel.readHashTile(tile, width)).toThrow(expect.objectContaining({ code: 'tile' }))
      }
    }
    expect(kernel.hashLines(new Uint8Array()).length).toBe(0)
  })

  describe('extends a tree', () => {
    it('by batches of every size', () => {
      let edge = new Edge()
      for (const count of [1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 255, 256, 257, 1000, 3000])
        edge = extend(kernel, edge, randomEntries(count))
      extend(
        kernel,
        new Edge(),
        LENGTHS.map((length) => randomBytes(length)),
      )
      extend(
        kernel,
        edge,
        Array.from({ length: 12 }, () => randomBytes(65_535)),
      )
    })

    it('of any size', () => {
      fc.assert(
        fc.property(
          fc.integer({ min: 0, max: 53 }),
          fc.integer({ min: -300, max: 300 }),
          fc.nat(600),
          (bits, by, count) => {
            const size = Math.min(Math.max(2 ** bits + by, 0), MAX_SIZE - count - 1)
            const hashes: Hash[] = []
            for (let n = size; n > 0; n = Math.floor(n / 2))
              if (n % 2 === 1) hashes.push(randomBytes(32).toString('base64'))
            extend(kernel, new Edge(size, hashes), randomEntries(count + 1))
          },
        ),
        { numRuns: 30 },
      )
    })

    it('returns the root hash of each tile that fills', () => {
      const leaves: Hash[] = []
      const roots: Hash[] = []
      let edge = new Edge()
      for (const count of [255, 1, 256, 1, 600, 3, 5000]) {
        const extension = kernel.extend(edge, packed(randomEntries(count)))
        leaves.push(...extension.leaves)
        roots.push(...extension.tileRoots)
        edge = extension.edge
        expect(roots).toHaveLength(Math.floor(leaves.length / 256))
      }
      expect(roots).toEqual(roots.map((_, i) => subtreeRoot(leaves.slice(256 * i, 256 * i + 256), native)))
    })

    it('up to 2^53 - 1 entries', () => {
      const hashes = Array.from({ length: 52 }, () => nobleHasher.leaf(Buffer.of()))
      const last = new Edge(MAX_SIZE - 1, hashes)
      expect(extend(kernel, last, randomEntries(1)).size).toBe(MAX_SIZE)
      expect(() => kernel.extend(last, packed(randomEntries(2)))).toThrow(
        expect.objectContaining({ code: 'range' }),
      )
    })
  })
})
