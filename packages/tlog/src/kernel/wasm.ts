import { decodeBase64Into } from '../base64.ts'
import { pureCodec, type Codec } from '../codec.ts'
import { Edge } from '../edge.ts'
import { TlogError } from '../errors.ts'
import {
  EMPTY_ROOT,
  HASH_LENGTH,
  HASH_SIZE,
  hashBytes,
  nobleHasher,
  type Hash,
  type Hasher,
} from '../hash.ts'
import { MAX_SIZE, divPow2 } from '../math.ts'
import { MAX_ENTRY_SIZE } from '../tile-text.ts'
import { TILE_HEIGHT, TILE_WIDTH } from '../tile.ts'
import {
  checkOffsets,
  countOf,
  LENGTH_BYTES,
  type BinaryContent,
  type BundleContent,
  type Extension,
  type Kernel,
  type PackedEntries,
} from './kernel.ts'
import { instantiate, type Functions } from './module.ts'
import { plainKernel } from './plain.ts'

/** Entries or hashes in one call of the module. */
const COUNT = 2048
/** A call takes another entry only while its entries have at most this many bytes. */
const ROOM = 256 * 1024
const BYTES = ROOM + MAX_ENTRY_SIZE
const TEXT = Math.ceil(BYTES / 3) * 4 + COUNT
/** Levels of the tree of 2^53 - 1 entries. */
const LEVELS = 53
/** A line of a hash tile. */
const LINE = HASH_LENGTH + 1
/** Messages that the module hashes at once. */
const LANES = 4
/** An entry of this many times the length `longFrom` is hashed alone: three lanes would wait for the fourth. */
const ALONE = 16
/** The module may read or write this many bytes more. */
const SLACK = 128

export interface WasmKernelOptions {
  /** Hashes the messages that the module would hash more slowly. */
  hasher?: Hasher
  codec?: Codec
  /**
   * `hasher` hashes entries of at least this mean length, in bytes, and fewer than four entries, because it is faster there than the
   * module. Default: the module hashes all entries.
   */
  longFrom?: number
}

/**
 * Returns a kernel in WebAssembly that hashes four messages at once; {@link plainKernel} where WebAssembly or its SIMD is missing. It
 * has about 1 MiB of memory.
 */
export function wasmKernel(options: WasmKernelOptions = {}): Kernel {
  const { hasher = nobleHasher, codec = pureCodec, longFrom = Number.POSITIVE_INFINITY } = options
  const functions = instantiate()
  const plain = plainKernel(hasher, codec)
  return functions === undefined ? plain : new WasmKernel(functions, { hasher, codec, longFrom }, plain)
}

class WasmKernel implements Kernel {
  readonly #functions: Functions
  readonly #hasher: Hasher
  readonly #codec: Codec
  readonly #longFrom: number
  readonly #plain: Kernel
  readonly #memory: Uint8Array
  readonly #words: Uint32Array
  // Addresses.
  readonly #offsets: number
  readonly #ends: number
  readonly #bytes: number
  readonly #text: number
  readonly #hashes: number

  constructor(functions: Functions, { hasher, codec, longFrom }: Required<WasmKernelOptions>, plain: Kernel) {
    this.#functions = functions
    this.#hasher = hasher
    this.#codec = codec
    this.#longFrom = longFrom
    this.#plain = plain
    this.#memory = new Uint8Array(functions.memory.buffer)
    this.#words = new Uint32Array(functions.memory.buffer)
    let next = Math.ceil(functions.base.value / 64) * 64
    const region = (size: number): number => {
      const at = next
      next = Math.ceil((at + size + SLACK) / 64) * 64
      return at
    }
    this.#offsets = region(4 * (COUNT + 1))
    this.#ends = region(4 * COUNT)
    this.#bytes = region(SLACK + Math.ceil(TEXT / 4) * 3) + SLACK
    this.#text = region(TEXT)
    // An edge node goes before the hashes of each level.
    this.#hashes = region((LEVELS + COUNT) * HASH_SIZE) + LEVELS * HASH_SIZE
    if (next > this.#memory.length)
      throw new Error(`expected ${next} bytes of memory, found ${this.#memory.length}`)
  }

  hashLeaves(bytes: Uint8Array, offsets: Uint32Array): Uint8Array {
    const long = (entry: Uint8Array, out: Uint8Array, at: number): void =>
      decodeBase64Into(this.#hasher.leaf(entry), out, at)
    return this.#hashAll(bytes, offsets, (count) => this.#leaves(count), long)
  }

  digests(bytes: Uint8Array, offsets: Uint32Array): Uint8Array {
    const some = (count: number): void =>
      this.#functions.digests(this.#bytes, this.#offsets, count, this.#hashes)
    return this.#hashAll(bytes, offsets, some, (message, out, at) =>
      out.set(this.#hasher.sha256(message), at),
    )
  }

  /** Hashes messages: calls `some` for the messages in the memory, and `long` for a message that does not fit there. */
  #hashAll(
    bytes: Uint8Array,
    offsets: Uint32Array,
    some: (count: number) => void,
    long: (message: Uint8Array, out: Uint8Array, at: number) => void,
  ): Uint8Array {
    const count = checkOffsets(bytes, offsets)
    const out = new Uint8Array(count * HASH_SIZE)
    for (let from = 0; from < count;) {
      const to = this.#batch(from, count, (i) => offsets[i + 1]! - offsets[i]!)
      const first = offsets[from]!
      if (offsets[to]! - first > BYTES) {
        long(bytes.subarray(first, offsets[to]), out, from * HASH_SIZE)
      } else {
        this.#memory.set(bytes.subarray(first, offsets[to]), this.#bytes)
        for (let i = from; i <= to; i++) this.#words[this.#offsets / 4 + i - from] = offsets[i]! - first
        some(to - from)
        this.#copyOut(this.#hashes, to - from, out, from)
      }
      from = to
    }
    return out
  }

  hashNodes(pairs: Uint8Array): Uint8Array {
    const count = countOf(pairs, 2 * HASH_SIZE)
    const out = new Uint8Array(count * HASH_SIZE)
    const step = COUNT / 2
    for (let from = 0; from < count; from += step) {
      const some = Math.min(step, count - from)
      this.#memory.set(pairs.subarray(from * 2 * HASH_SIZE, (from + some) * 2 * HASH_SIZE), this.#hashes)
      this.#functions.nodes(this.#hashes, some, this.#hashes)
      this.#copyOut(this.#hashes, some, out, from)
    }
    return out
  }

  rootOf(hashes: Uint8Array): Uint8Array {
    let count = countOf(hashes, HASH_SIZE)
    if (count === 0) return hashBytes(EMPTY_ROOT)
    let row = hashes
    // Replace each group of COUNT hashes, and the remaining ones, by the root over the group.
    while (count > COUNT) {
      const roots = new Uint8Array(Math.ceil(count / COUNT) * HASH_SIZE)
      for (let i = 0; i * COUNT < count; i++)
        roots.set(this.#root(row.subarray(i * COUNT * HASH_SIZE, (i + 1) * COUNT * HASH_SIZE)), i * HASH_SIZE)
      row = roots
      count = row.length / HASH_SIZE
    }
    return this.#root(row).slice()
  }

  /** Returns a view of the memory. */
  #root(hashes: Uint8Array): Uint8Array {
    this.#memory.set(hashes, this.#hashes)
    this.#functions.root(this.#hashes, hashes.length / HASH_SIZE)
    return this.#memory.subarray(this.#hashes, this.#hashes + HASH_SIZE)
  }

  readBundle(text: Uint8Array, width: number): BundleContent {
    const bytes = new Uint8Array(Math.ceil(text.length / 4) * 3)
    const offsets = new Uint32Array(TILE_WIDTH + 1)
    const leaves = this.#read(text, width, (count, first) => {
      const from = offsets[first]!
      const length = this.#words[this.#offsets / 4 + count]!
      bytes.set(this.#memory.subarray(this.#bytes, this.#bytes + length), from)
      for (let i = 1; i <= count; i++) offsets[first + i] = from + this.#words[this.#offsets / 4 + i]!
    })
    // The plain kernel throws an error that names the fault.
    if (leaves === undefined) return this.#plain.readBundle(text, width)
    return { bytes: bytes.subarray(0, offsets[width]), offsets: offsets.subarray(0, width + 1), leaves }
  }

  readBinaryBundle(text: Uint8Array, width: number): BinaryContent {
    // Each line ends with a line feed, which decodes to nothing.
    const bytes = new Uint8Array(Math.ceil((text.length * 3) / 4) + LENGTH_BYTES * TILE_WIDTH)
    const ends = new Uint32Array(TILE_WIDTH)
    let at = 0
    const leaves = this.#read(text, width, (count, first) => {
      const words = this.#offsets / 4
      for (let i = 0; i < count; i++) {
        const from = this.#words[words + i]!
        const length = this.#words[words + i + 1]! - from
        bytes[at] = length >> 8
        bytes[at + 1] = length
        const entry = this.#bytes + from
        bytes.set(this.#memory.subarray(entry, entry + length), at + LENGTH_BYTES)
        ends[first + i] = at += LENGTH_BYTES + length
      }
    })
    if (leaves === undefined) return this.#plain.readBinaryBundle(text, width)
    return { bytes: bytes.subarray(0, at), ends: ends.subarray(0, width), leaves }
  }

  /**
   * Decodes the text of a bundle, and returns the leaf hashes of its entries; undefined when it is malformed. Calls `take` with the number of
   * entries that are in the memory, and the number of the first of them.
   */
  #read(
    text: Uint8Array,
    width: number,
    take: (count: number, first: number) => void,
  ): Uint8Array | undefined {
    if (!(width >= 1 && width <= TILE_WIDTH)) return undefined
    const leaves = new Uint8Array(width * HASH_SIZE)
    let done = 0
    for (let at = 0; done < width || at < text.length;) {
      const part = text.subarray(at, at + TEXT)
      this.#memory.set(part, this.#text)
      const wanted = width - done
      const found = this.#functions.decodeLines(this.#text, part.length, wanted, this.#bytes, this.#offsets)
      const good = Math.min(found, wanted)
      if (good === 0 || this.#longest(good) > MAX_ENTRY_SIZE) return undefined
      take(good, done)
      this.#leaves(good)
      this.#copyOut(this.#hashes, good, leaves, done)
      at += this.#characters(good)
      done += good
    }
    return leaves
  }

  /** Returns the length of the longest of `count` decoded lines. */
  #longest(count: number): number {
    let longest = 0
    for (let at = this.#offsets / 4, i = 0; i < count; i++)
      longest = Math.max(longest, this.#words[at + i + 1]! - this.#words[at + i]!)
    return longest
  }

  /** Returns the characters of `count` decoded lines. */
  #characters(count: number): number {
    let characters = 0
    for (let at = this.#offsets / 4, i = 0; i < count; i++)
      characters += Math.ceil((this.#words[at + i + 1]! - this.#words[at + i]!) / 3) * 4 + 1
    return characters
  }

  readHashTile(text: Uint8Array, width: number): Uint8Array {
    if (width >= 1 && width <= TILE_WIDTH && text.length === width * LINE) {
      this.#memory.set(text, this.#text)
      const good = this.#functions.decodeLines(this.#text, text.length, width, this.#hashes, this.#offsets)
      if (good === width && this.#isEven(width)) return this.#slice(this.#hashes, width * HASH_SIZE)
    }
    return this.#plain.readHashTile(text, width)
  }

  /** Reports whether each of `count` decoded lines has the bytes of a hash. */
  #isEven(count: number): boolean {
    for (let i = 1; i <= count; i++) if (this.#words[this.#offsets / 4 + i] !== i * HASH_SIZE) return false
    return true
  }

  hashLines(hashes: Uint8Array): Uint8Array {
    const count = countOf(hashes, HASH_SIZE)
    const out = new Uint8Array(count * LINE)
    for (let from = 0; from < count; from += COUNT) {
      const some = Math.min(COUNT, count - from)
      this.#memory.set(hashes.subarray(from * HASH_SIZE, (from + some) * HASH_SIZE), this.#hashes)
      this.#functions.encodeHashes(this.#hashes, some, this.#text)
      out.set(this.#memory.subarray(this.#text, this.#text + some * LINE), from * LINE)
    }
    return out
  }

  extend(before: Edge, batches: readonly PackedEntries[], spare = 0): Extension {
    const { count, characters } = sizesOf(batches)
    if (count > MAX_SIZE - before.size)
      throw new TlogError('range', 'expected a tree below 2^53 - 1 entries to append to')
    const text = new Uint8Array(characters + spare).subarray(0, characters)
    const ends = new Uint32Array(count)
    const leaves: Hash[] = []
    const edge = new BinaryEdge(before)
    const roots: Uint8Array[] = []
    const next = { batch: 0, entry: 0 }
    for (let from = 0; from < count;) {
      const to = from + this.#load(batches, next)
      this.#encode(from, to, text, ends)
      this.#leaves(to - from)
      this.#asText(this.#hashes, to - from, leaves)
      this.#climb(edge, to - from, roots)
      from = to
    }
    const extended = new Edge(edge.size, this.#texts(edge.nodes()))
    const root = extended.root(this.#hasher)
    return { text, spare, ends, leaves, edge: extended, root, tileRoots: this.#texts(roots) }
  }

  /** Copies entries to the memory, starting at `next`, as many as one call takes. Returns their number, and moves `next` behind them. */
  #load(batches: readonly PackedEntries[], next: { batch: number; entry: number }): number {
    const alone = ALONE * this.#longFrom
    const first = this.#offsets / 4
    let count = 0
    let at = 0
    let isFull = false
    this.#words[first] = 0
    for (; next.batch < batches.length && !isFull; next.batch++, next.entry = 0) {
      const { bytes, offsets } = batches[next.batch]!
      const from = next.entry
      const start = at
      for (; next.entry + 1 < offsets.length; next.entry++) {
        const length = offsets[next.entry + 1]! - offsets[next.entry]!
        isFull =
          count === COUNT || at > ROOM || (count > 0 && length >= alone) || (count === 1 && at >= alone)
        if (isFull) break
        at += length
        this.#words[first + ++count] = at
      }
      this.#memory.set(bytes.subarray(offsets[from], offsets[next.entry]), this.#bytes + start)
      if (isFull) break
    }
    return count
  }

  /** Writes the lines of the loaded entries [from, to) to `text`, and their ends to `ends`. */
  #encode(from: number, to: number, text: Uint8Array, ends: Uint32Array): void {
    const start = from === 0 ? 0 : ends[from - 1]!
    const end = this.#functions.encodeLines(this.#bytes, this.#offsets, to - from, this.#text, this.#ends)
    text.set(this.#memory.subarray(this.#text, end), start)
    for (let i = from; i < to; i++) ends[i] = start + this.#words[this.#ends / 4 + i - from]!
  }

  /** Writes the leaf hashes of the `count` loaded entries to the memory. */
  #leaves(count: number): void {
    const first = this.#offsets / 4
    const length = this.#words[first + count]!
    if (length < count * this.#longFrom && (count >= LANES || this.#longFrom === Number.POSITIVE_INFINITY))
      return this.#functions.leaves(this.#bytes, this.#offsets, count, this.#hashes)
    for (let i = 0; i < count; i++) {
      const entry = this.#memory.subarray(
        this.#bytes + this.#words[first + i]!,
        this.#bytes + this.#words[first + i + 1]!,
      )
      decodeBase64Into(this.#hasher.leaf(entry), this.#memory, this.#hashes + i * HASH_SIZE)
    }
  }

  /** Appends the `count` leaf hashes in the memory to the edge, each level in one call. Adds the roots of full tiles to `roots`. */
  #climb(edge: BinaryEdge, count: number, roots: Uint8Array[]): void {
    let row = this.#hashes
    let size = edge.size
    edge.size += count
    for (let level = 0, length = count; length > 0; level++, size = divPow2(size, 1)) {
      if (level === TILE_HEIGHT)
        for (let i = 0; i < length; i++) roots.push(this.#slice(row + i * HASH_SIZE, HASH_SIZE))
      if (size % 2 === 1) {
        row -= HASH_SIZE
        this.#memory.set(edge.levels[level]!, row)
        length += 1
      }
      if (length % 2 === 1) edge.levels[level] = this.#slice(row + (length - 1) * HASH_SIZE, HASH_SIZE)
      length = (length - (length % 2)) / 2
      this.#functions.nodes(row, length, row)
    }
  }

  /** Returns the end of the next batch of entries: at least one. */
  #batch(from: number, count: number, lengthOf: (i: number) => number): number {
    let bytes = 0
    let to = from
    for (; to < count && to < from + COUNT && bytes <= ROOM; to++) {
      const length = lengthOf(to)
      if (length >= ALONE * this.#longFrom) return Math.max(to, from + 1)
      if (to > from && bytes + length > BYTES) break
      bytes += length
    }
    return to
  }

  #copyOut(from: number, count: number, out: Uint8Array, at: number): void {
    out.set(this.#memory.subarray(from, from + count * HASH_SIZE), at * HASH_SIZE)
  }

  #slice(from: number, length: number): Uint8Array {
    return this.#memory.slice(from, from + length)
  }

  /** Adds `count` hashes in the memory to `texts`. */
  #asText(hashes: number, count: number, texts: Hash[]): void {
    if (count === 0) return
    this.#functions.encodeHashes(hashes, count, this.#text)
    const lines = this.#codec.utf8Decode(this.#memory.subarray(this.#text, this.#text + count * LINE))
    for (let i = 0; i < count; i++) texts.push(lines.slice(i * LINE, i * LINE + HASH_LENGTH))
  }

  #texts(hashes: readonly Uint8Array[]): Hash[] {
    const texts: Hash[] = []
    for (const [i, hash] of hashes.entries()) this.#memory.set(hash, this.#hashes + i * HASH_SIZE)
    this.#asText(this.#hashes, hashes.length, texts)
    return texts
  }
}

/** Returns the number of entries, and of the characters of their lines with line feeds. @throws RangeError for a longer entry */
function sizesOf(batches: readonly PackedEntries[]): { count: number; characters: number } {
  let count = 0
  let characters = 0
  for (const { bytes, offsets } of batches) {
    count += checkOffsets(bytes, offsets)
    for (let i = 1; i < offsets.length; i++) {
      const length = offsets[i]! - offsets[i - 1]!
      if (length > MAX_ENTRY_SIZE)
        throw new RangeError(`expected an entry of at most ${MAX_ENTRY_SIZE} bytes, found ${length}`)
      characters += Math.ceil(length / 3) * 4 + 1
    }
  }
  return { count, characters }
}

/** An edge in binary. */
class BinaryEdge {
  size: number
  /** The hash of the perfect subtree of 2^level entries, where the size has that bit. */
  readonly levels: (Uint8Array | undefined)[] = []

  constructor(edge: Edge) {
    this.size = edge.size
    const hashes = edge.hashes()
    for (let level = 0, size = edge.size; size > 0; level++, size = divPow2(size, 1))
      if (size % 2 === 1) this.levels[level] = hashBytes(hashes.pop()!)
  }

  /** Returns the hashes of the edge, largest subtree first. */
  nodes(): Uint8Array[] {
    const nodes: Uint8Array[] = []
    for (let level = 0, size = this.size; size > 0; level++, size = divPow2(size, 1))
      if (size % 2 === 1) nodes.unshift(this.levels[level]!)
    return nodes
  }
}
