import { decodeBase64Into } from '../base64.ts'
import { pureCodec, type Codec } from '../codec.ts'
import { Edge } from '../edge.ts'
import { HASH_SIZE, hashBytes, nobleHasher, type Hash, type Hasher } from '../hash.ts'
import { subtreeRoot } from '../proof.ts'
import { parseBundle, parseHashTile } from '../tile-text.ts'
import { TILE_HEIGHT } from '../tile.ts'
import { checkOffsets, countOf, type BundleContent, type Extension, type Kernel } from './kernel.ts'

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
    readHashTile(text, width) {
      const bytes = new Uint8Array(width * HASH_SIZE)
      for (const [i, hash] of parseHashTile(codec.utf8Decode(text), width).entries())
        decodeBase64Into(hash, bytes, i * HASH_SIZE)
      return bytes
    },
    hashLines: (hashes) =>
      hashes.length === 0 ? new Uint8Array() : codec.asciiEncode(hashesOf(hashes, codec).join('\n') + '\n'),
    extend: (edge, entries) => extend(edge, entries, hasher, codec),
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

function decodeLines(lines: readonly string[], codec: Codec): Pick<BundleContent, 'bytes' | 'offsets'> {
  const entries = lines.map((line) => codec.base64Decode(line))
  const offsets = new Uint32Array(entries.length + 1)
  for (const [i, entry] of entries.entries()) offsets[i + 1] = offsets[i]! + entry.length
  return { bytes: codec.concat(...entries), offsets }
}

function extend(before: Edge, entries: readonly Uint8Array[], hasher: Hasher, codec: Codec): Extension {
  const edge = before.clone()
  const lines: string[] = []
  const leaves: Hash[] = []
  const tileRoots: Hash[] = []
  const ends = new Uint32Array(entries.length)
  let end = 0
  const made = (level: number, hash: Hash): void => {
    if (level === TILE_HEIGHT) tileRoots.push(hash)
  }
  for (const [i, entry] of entries.entries()) {
    const line = codec.base64Encode(entry)
    const leaf = hasher.leaf(entry)
    lines.push(line)
    leaves.push(leaf)
    end += line.length + 1
    ends[i] = end
    edge.append(leaf, hasher, made)
  }
  const text = codec.asciiEncode(lines.join('\n') + '\n')
  return { text, ends, leaves, edge, root: edge.root(hasher), tileRoots }
}
