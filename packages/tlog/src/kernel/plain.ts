import { decodeBase64Into } from '../base64.ts'
import { pureCodec, type Codec } from '../codec.ts'
import { Edge } from '../edge.ts'
import { HASH_SIZE, hashBytes, nobleHasher, type Hash, type Hasher } from '../hash.ts'
import { subtreeRoot } from '../proof.ts'
import { parseBundle, parseHashTile } from '../tile-text.ts'
import { TILE_HEIGHT } from '../tile.ts'
import {
  checkOffsets,
  countOf,
  LENGTH_BYTES,
  type BinaryContent,
  type Extension,
  type Kernel,
  type PackedEntries,
} from './kernel.ts'

/** Returns a kernel over a hasher and a codec: it calls them once for each hash. */
export function plainKernel(hasher: Hasher = nobleHasher, codec: Codec = pureCodec): Kernel {
  const kernel: Kernel = {
    hashLeaves(bytes, offsets) {
      const count = checkOffsets(bytes, offsets)
      const hashes = new Uint8Array(count * HASH_SIZE)
      for (let i = 0; i < count; i++)
        decodeBase64Into(hasher.leaf(bytes.subarray(offsets[i], offsets[i + 1])), hashes, i * HASH_SIZE)
      return hashes
    },
    digests(bytes, offsets) {
      const count = checkOffsets(bytes, offsets)
      const hashes = new Uint8Array(count * HASH_SIZE)
      for (let i = 0; i < count; i++)
        hashes.set(hasher.sha256(bytes.subarray(offsets[i], offsets[i + 1])), i * HASH_SIZE)
      return hashes
    },
    hashNodes(pairs) {
      const count = countOf(pairs, 2 * HASH_SIZE)
      const hashes = hashesOf(pairs, codec)
      const nodes = new Uint8Array(count * HASH_SIZE)
      for (let i = 0; i < count; i++)
        decodeBase64Into(hasher.node(hashes[2 * i]!, hashes[2 * i + 1]!), nodes, i * HASH_SIZE)
      return nodes
    },
    rootOf: (hashes) => hashBytes(subtreeRoot(hashesOf(hashes, codec), hasher)),
    readBundle(text, width) {
      const { bytes, offsets } = decodeLines(parseBundle(codec.utf8Decode(text), width), codec)
      return { bytes, offsets, leaves: kernel.hashLeaves(bytes, offsets) }
    },
    readBinaryBundle(text, width) {
      const { bytes, offsets, leaves } = kernel.readBundle(text, width)
      return { ...toBinary(bytes, offsets), leaves }
    },
    readHashTile(text, width) {
      const bytes = new Uint8Array(width * HASH_SIZE)
      for (const [i, hash] of parseHashTile(codec.utf8Decode(text), width).entries())
        decodeBase64Into(hash, bytes, i * HASH_SIZE)
      return bytes
    },
    hashLines: (hashes) =>
      hashes.length === 0 ? new Uint8Array() : codec.asciiEncode(hashesOf(hashes, codec).join('\n') + '\n'),
    extend: (edge, batches, spare = 0) => extend(edge, batches, spare, hasher, codec),
  }
  return kernel
}

/** Returns the hashes in `bytes` as text. @throws RangeError */
function hashesOf(bytes: Uint8Array, codec: Codec): Hash[] {
  const count = countOf(bytes, HASH_SIZE)
  const hashes: Hash[] = []
  for (let i = 0; i < count; i++)
    hashes.push(codec.base64Encode(bytes.subarray(i * HASH_SIZE, (i + 1) * HASH_SIZE)))
  return hashes
}

function toBinary(entries: Uint8Array, offsets: Uint32Array): Pick<BinaryContent, 'bytes' | 'ends'> {
  const width = offsets.length - 1
  const bytes = new Uint8Array(entries.length + width * LENGTH_BYTES)
  const ends = new Uint32Array(width)
  let at = 0
  for (let i = 0; i < width; i++) {
    const length = offsets[i + 1]! - offsets[i]!
    bytes[at] = length >> 8
    bytes[at + 1] = length
    bytes.set(entries.subarray(offsets[i], offsets[i + 1]), at + LENGTH_BYTES)
    ends[i] = at += LENGTH_BYTES + length
  }
  return { bytes, ends }
}

function decodeLines(lines: readonly string[], codec: Codec): PackedEntries {
  const entries = lines.map((line) => codec.base64Decode(line))
  const offsets = new Uint32Array(entries.length + 1)
  for (const [i, entry] of entries.entries()) offsets[i + 1] = offsets[i]! + entry.length
  return { bytes: codec.concat(...entries), offsets }
}

/** Characters of lines to encode at once: enough to make calls rare, and few compared with an engine's memory. */
const CHUNK = 65_536

function extend(
  before: Edge,
  batches: readonly PackedEntries[],
  spare: number,
  hasher: Hasher,
  codec: Codec,
): Extension {
  const edge = before.clone()
  const leaves: Hash[] = []
  const tileRoots: Hash[] = []
  const ends = lineEnds(batches)
  const length = ends.at(-1) ?? 0
  const text = new Uint8Array(length + spare).subarray(0, length)
  let lines = ''
  let written = 0
  const write = (): void => {
    text.set(codec.asciiEncode(lines), written)
    written += lines.length
    lines = ''
  }
  const made = (level: number, hash: Hash): void => {
    if (level === TILE_HEIGHT) tileRoots.push(hash)
  }
  for (const { bytes, offsets } of batches) {
    for (let i = 0; i + 1 < offsets.length; i++) {
      const entry = bytes.subarray(offsets[i], offsets[i + 1])
      lines += codec.base64Encode(entry) + '\n'
      if (lines.length >= CHUNK) write()
      const leaf = hasher.leaf(entry)
      leaves.push(leaf)
      edge.append(leaf, hasher, made)
    }
  }
  write()
  return { text, spare, ends, leaves, edge, root: edge.root(hasher), tileRoots }
}

/** Returns the end of each entry's line in the text of all, line feeds included. */
function lineEnds(batches: readonly PackedEntries[]): Uint32Array {
  const ends = new Uint32Array(batches.reduce((sum, { offsets }) => sum + offsets.length - 1, 0))
  let line = 0
  let end = 0
  for (const { offsets } of batches)
    for (let i = 0; i + 1 < offsets.length; i++) {
      end += Math.ceil((offsets[i + 1]! - offsets[i]!) / 3) * 4 + 1
      ends[line++] = end
    }
  return ends
}
