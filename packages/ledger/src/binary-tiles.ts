/**
 * Keeps tiles and entry bundles in the binary form of c2sp.org/tlog-tiles, each checked against the tree once, so
 * that a read from the cache decodes, checks and encodes nothing. Tiles that are not sealed yet grow in place: the
 * durable part of a ledger never changes.
 */
import { bundlePath } from '@service-fs/storage/object-name'
import { TlogError } from '@service-fs/tlog/errors'
import { HASH_SIZE, type Hash } from '@service-fs/tlog/hash'
import type { BinaryContent, Kernel } from '@service-fs/tlog/kernel/kernel'
import { TILE_WIDTH } from '@service-fs/tlog/tile'
import { MAX_ENTRY_SIZE } from '@service-fs/tlog/tile-text'
import { BinaryBundle } from './binary-bundle.ts'
import { LedgerError } from './errors.ts'
import { WeightedCache } from './lru.ts'
import type { Runtime } from './runtime.ts'
import type { SealedTiles } from './sealed-tiles.ts'
import type { TailMemory } from './tail-memory.ts'

/**
 * The share of the cache's bytes that hash tiles have, with a kernel and without; bundles have the rest. With a kernel, SealedTiles keeps
 * the sealed tiles in binary.
 */
const HASHES_SHARE = { kernel: 1 / 16, plain: 2 / 5 }
/** Memory that a cached item takes besides its bytes. */
const ITEM_BYTES = 256
/** The first capacity of a bundle that is not sealed. */
const GROWING_BYTES = 4096

/** The first hashes of a tile. */
interface BinaryTile {
  readonly bytes: Uint8Array
  width: number
}

/** A sealed bundle up to its first entry that differs from the tree, and the error about that entry. */
interface Loaded {
  readonly bundle: BinaryBundle
  readonly damage: unknown
}

export class BinaryTiles {
  readonly #sealed: SealedTiles
  readonly #memory: TailMemory
  readonly #runtime: Runtime
  readonly #tiles: WeightedCache<BinaryTile>
  readonly #bundles: WeightedCache<BinaryBundle>
  readonly #loading = new Map<number, Promise<Loaded>>()

  constructor(sealed: SealedTiles, memory: TailMemory, runtime: Runtime, cacheBytes: number) {
    this.#sealed = sealed
    this.#memory = memory
    this.#runtime = runtime
    const hashes = HASHES_SHARE[runtime.kernel === undefined ? 'plain' : 'kernel']
    this.#tiles = new WeightedCache(cacheBytes * hashes)
    this.#bundles = new WeightedCache(cacheBytes * (1 - hashes))
  }

  /** Bytes that the cached tiles and bundles take. */
  get weight(): number {
    return this.#tiles.weight + this.#bundles.weight
  }

  /** Returns the first `width` hashes of a tile. When the cache lacks some of them, `read` must return the same hashes, checked. */
  async hashTile(
    level: number,
    index: number,
    width: number,
    read: () => Promise<Uint8Array>,
  ): Promise<Uint8Array> {
    const key = `${level}/${index}`
    const held = this.#tiles.get(key)
    if (held !== undefined && held.width >= width) return held.bytes.subarray(0, width * HASH_SIZE)
    const found = await read()
    // Another read may have extended the tile meanwhile, with the same hashes.
    const tile = this.#tiles.get(key) ?? { bytes: new Uint8Array(TILE_WIDTH * HASH_SIZE), width: 0 }
    tile.bytes.set(found)
    tile.width = Math.max(tile.width, width)
    this.#tiles.set(key, tile, tile.bytes.length + ITEM_BYTES)
    return found
  }

  /** Returns entry `at` of a bundle if the cache has it: a view, which the caller must not change. */
  heldEntry(index: number, at: number): Uint8Array | undefined {
    const held = this.#bundles.get(String(index))
    return held !== undefined && at < held.width ? held.entry(at) : undefined
  }

  /**
   * Returns a bundle with at least its first `width` entries, each checked against its leaf hash.
   * @throws LedgerError `corrupt` when one of them differs
   */
  async bundle(index: number, width: number): Promise<BinaryBundle> {
    const held = this.#bundles.get(String(index))
    if (held !== undefined && held.width >= width) return held
    const grown = this.#grown(index, width, held)
    if (grown !== undefined) return grown
    const { bundle, damage } = await this.#once(index)
    if (bundle.width >= width) return bundle
    throw damage
  }

  /** Extends a bundle from the entries in memory; undefined when memory lacks one of them. */
  #grown(index: number, width: number, held: BinaryBundle | undefined): BinaryBundle | undefined {
    const first = index * TILE_WIDTH
    const lines = this.#memory.lines(first + (held?.width ?? 0), first + width)
    if (lines === undefined) return undefined
    const bundle = held ?? new BinaryBundle(GROWING_BYTES)
    for (const line of lines) bundle.push(this.#runtime.codec.base64Decode(line))
    this.#keep(index, bundle)
    return bundle
  }

  #keep(index: number, bundle: BinaryBundle): void {
    this.#bundles.set(String(index), bundle, bundle.weight + ITEM_BYTES)
  }

  /** Shares one read of a sealed bundle among concurrent callers. Keeps the bundle unless it is damaged. */
  #once(index: number): Promise<Loaded> {
    const loading = this.#loading.get(index)
    if (loading !== undefined) return loading
    const started = this.#load(index).finally(() => this.#loading.delete(index))
    this.#loading.set(index, started)
    return started
  }

  async #load(index: number): Promise<Loaded> {
    const bundle = await this.#loadAtOnce(index)
    if (bundle === undefined) return this.#loadByLine(index)
    this.#keep(index, bundle)
    return { bundle, damage: undefined }
  }

  /** Reads a sealed bundle by the kernel; undefined without a kernel, and when the bundle differs from the tree. */
  async #loadAtOnce(index: number): Promise<BinaryBundle | undefined> {
    const { kernel, codec } = this.#runtime
    if (kernel === undefined) return undefined
    const [file, root] = await Promise.all([this.#sealed.bundleFile(index), this.#sealed.rootOf(0, index)])
    const content = contentOf(file, kernel)
    // If the hash over all leaves is that of the signed tree, so is each leaf hash, and the hash tile need not be read.
    if (content === undefined || codec.base64Encode(kernel.rootOf(content.leaves)) !== root) return undefined
    return BinaryBundle.of(content)
  }

  /** Reads a sealed bundle up to its first line that differs from the tree. */
  async #loadByLine(index: number): Promise<Loaded> {
    const [text, tile] = await Promise.all([this.#sealed.bundleText(index), this.#sealed.tile(0, index)])
    const hashes = tile.hashes()
    const bundle = new BinaryBundle(Math.ceil((text.length * 3) / 4) + 2 * TILE_WIDTH)
    const lines = text.split('\n')
    if (lines.length !== TILE_WIDTH + 1 || lines[TILE_WIDTH] !== '')
      return { bundle, damage: corrupt(index, `expected ${TILE_WIDTH} lines, found ${lines.length - 1}`) }
    try {
      for (let at = 0; at < TILE_WIDTH; at++)
        bundle.push(checkedEntry(index, at, lines[at] as string, hashes[at], this.#runtime))
    } catch (error) {
      if (!(error instanceof LedgerError)) throw error
      return { bundle, damage: error }
    }
    this.#keep(index, bundle)
    return { bundle, damage: undefined }
  }
}

/** Returns the entries and leaf hashes of a bundle's file; undefined when it is malformed. */
function contentOf(file: Uint8Array, kernel: Kernel): BinaryContent | undefined {
  try {
    return kernel.readBinaryBundle(file, TILE_WIDTH)
  } catch (error) {
    if (error instanceof TlogError) return undefined
    throw error
  }
}

/** Returns entry `at` of a bundle from its stored line. @throws LedgerError `corrupt` unless it has the leaf hash `expected` */
export function checkedEntry(
  index: number,
  at: number,
  line: string,
  expected: Hash | undefined,
  { codec, hasher }: Pick<Runtime, 'codec' | 'hasher'>,
): Uint8Array {
  const bytes = decoded(line, codec)
  const found = bytes === undefined ? 'no canonical base64' : hasher.leaf(bytes)
  if (bytes === undefined || found !== expected)
    throw corrupt(
      index,
      `line ${at + 1}: expected an entry with the leaf hash ${expected}, found ${found}`,
      at,
    )
  if (bytes.length > MAX_ENTRY_SIZE)
    throw corrupt(
      index,
      `line ${at + 1}: expected at most ${MAX_ENTRY_SIZE} bytes, found ${bytes.length}`,
      at,
    )
  return bytes
}

function decoded(line: string, codec: Runtime['codec']): Uint8Array | undefined {
  try {
    return codec.base64Decode(line)
  } catch (error) {
    if (error instanceof TlogError) return undefined
    throw error
  }
}

function corrupt(index: number, what: string, at?: number): LedgerError {
  const entry = at === undefined ? {} : { index: index * TILE_WIDTH + at }
  return new LedgerError('corrupt', `${bundlePath(index)}: ${what}`, entry)
}
