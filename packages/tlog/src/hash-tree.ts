import { base64Length, decodeBase64Into, encodeBase64, isCanonicalBase64 } from './base64.ts'
import { type RootForm } from './checkpoint.ts'
import { pureCodec, type Codec } from './codec.ts'
import { TlogError, quote } from './errors.ts'
import { MAX_SIZE, checkSize, divPow2, modPow2 } from './math.ts'
import { MAX_ENTRY_SIZE } from './tile-text.ts'
import { TILE_HEIGHT, TILE_WIDTH } from './tile.ts'

// Trees of RFC 6962 section 2.1 with any hash. Hashes are in binary; several hashes are concatenated.

/** A hash function for trees. */
export interface TreeHash {
  /** The number of bytes of a hash. */
  readonly bytes: number
  /** Returns the hash of `data`. */
  readonly digest: (data: Uint8Array) => Uint8Array
}

/** Receives a tile that a tree has completed. The receiver may keep and change the bytes. */
export type FullTile = (level: number, index: number, hashes: Uint8Array) => void

/** Returns the size of the root hashes of a hash function, and its empty root, for checkpoints. */
export function rootForm({ bytes, digest }: TreeHash): RootForm {
  return { bytes, empty: encodeBase64(digest(new Uint8Array())) }
}

/**
 * Returns the root hash over perfect subtrees of equal size, given by their hashes; only the last subtree may be smaller. Without any
 * subtree, returns the root hash of the empty tree.
 */
export function foldHashes(hashes: Uint8Array, hash: TreeHash): Uint8Array {
  const { bytes } = hash
  let count = hashes.length / bytes
  if (!Number.isInteger(count))
    throw new RangeError(`expected hashes of ${bytes} bytes, found ${hashes.length} bytes`)
  if (count === 0) return hash.digest(hashes)
  const row = Uint8Array.from(hashes)
  const pair = new Uint8Array(1 + 2 * bytes).fill(1, 0, 1)
  while (count > 1) {
    const pairs = Math.floor(count / 2)
    for (let i = 0; i < pairs; i++) {
      pair.set(row.subarray(2 * i * bytes, 2 * (i + 1) * bytes), 1)
      row.set(hash.digest(pair), i * bytes)
    }
    if (count % 2 === 1) row.copyWithin(pairs * bytes, (count - 1) * bytes, count * bytes)
    count = Math.ceil(count / 2)
  }
  return row.slice(0, bytes)
}

/** A growing tree. Keeps the hashes of the partial tile of each level (tlog-tiles), so its memory is bounded. */
export class HashTree {
  readonly hash: TreeHash
  #size = 0
  /** For each level, the hashes of the partial tile, with room for a full tile. */
  readonly #partials: Uint8Array[] = []
  readonly #leaf = new Uint8Array(1 + MAX_ENTRY_SIZE)

  /** Restores the tree of `size` entries from the hashes of its partial tiles, by level. @throws RangeError, TlogError `range` */
  constructor(hash: TreeHash, size: number = 0, partials: readonly Uint8Array[] = []) {
    checkSize(size, 'a tree size')
    this.hash = hash
    this.#size = size
    for (let level = 0; divPow2(size, TILE_HEIGHT * level) > 0; level++) {
      const expected = this.#width(level) * hash.bytes
      const found = partials[level] ?? new Uint8Array()
      if (found.length !== expected)
        throw new RangeError(`expected ${expected} bytes of the partial tile ${level}, found ${found.length}`)
      this.#partial(level).set(found)
    }
  }

  /** The tree size, in entries. */
  get size(): number {
    return this.#size
  }

  /** Appends an entry. `full` receives the tiles that the entry completes, from level 0 upwards. @throws TlogError `range` */
  append(entry: Uint8Array, full?: FullTile): void {
    if (this.#size === MAX_SIZE)
      throw new TlogError('range', 'expected a tree below 2^53 - 1 entries to append to')
    let hash = this.#leafHash(entry)
    const { bytes } = this.hash
    for (let level = 0; ; level++) {
      const width = this.#width(level)
      const partial = this.#partial(level)
      partial.set(hash, width * bytes)
      if (width < TILE_WIDTH - 1) break
      const index = divPow2(this.#size, TILE_HEIGHT * (level + 1))
      hash = foldHashes(partial, this.hash)
      full?.(level, index, partial.slice())
    }
    this.#size += 1
  }

  #leafHash(entry: Uint8Array): Uint8Array {
    const { length } = entry
    const leaf = length <= MAX_ENTRY_SIZE ? this.#leaf : new Uint8Array(1 + length)
    leaf.set(entry, 1)
    return this.hash.digest(leaf.subarray(0, 1 + length))
  }

  /** Returns the root hash. */
  root(): Uint8Array {
    const { bytes } = this.hash
    let below = new Uint8Array()
    for (let level = 0; level < this.#partials.length; level++) {
      const width = this.#width(level) * bytes
      const row = new Uint8Array(width + below.length)
      row.set(this.#partial(level).subarray(0, width))
      row.set(below, width)
      if (row.length > 0) below = Uint8Array.from(foldHashes(row, this.hash))
    }
    return below.length === 0 ? this.hash.digest(below) : below
  }

  /** Returns the hashes of the partial tile of a level; empty if there is no such tile. */
  partial(level: number): Uint8Array {
    return this.#partial(level).slice(0, this.#width(level) * this.hash.bytes)
  }

  /** The number of hashes in the partial tile of a level. */
  #width(level: number): number {
    return modPow2(divPow2(this.#size, TILE_HEIGHT * level), TILE_HEIGHT) % TILE_WIDTH
  }

  #partial(level: number): Uint8Array {
    return (this.#partials[level] ??= new Uint8Array(TILE_WIDTH * this.hash.bytes))
  }
}

/** Returns the stored text of a tile: a line of base64 for each hash. */
export function tileLines(hashes: Uint8Array, bytes: number, codec: Codec = pureCodec): Uint8Array {
  let text = ''
  for (let at = 0; at < hashes.length; at += bytes)
    text += `${codec.base64Encode(hashes.subarray(at, at + bytes))}\n`
  return codec.asciiEncode(text)
}

/** Returns the hashes in the stored text of a tile of `width` hashes. @throws TlogError `tile` */
export function tileFromLines(
  text: Uint8Array,
  bytes: number,
  width: number,
  codec: Codec = pureCodec,
): Uint8Array {
  const lines = codec.utf8Decode(text).split('\n')
  if (lines.length !== width + 1 || lines[width] !== '')
    throw new TlogError('tile', `expected ${width} lines, found ${lines.length - 1}`)
  const hashes = new Uint8Array(width * bytes)
  for (let i = 0; i < width; i++) {
    const line = lines[i]!
    if (!isCanonicalBase64(line) || base64Length(line) !== bytes)
      throw new TlogError(
        'tile',
        `expected the base64 of ${bytes} bytes in line ${i + 1}, found ${quote(line)}`,
      )
    decodeBase64Into(line, hashes, i * bytes)
  }
  return hashes
}
