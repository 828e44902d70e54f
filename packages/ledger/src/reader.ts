/** Reads entries, tiles and proofs of the durable tree from the sealed tiles and from memory. The caller checks the bounds. */
import { EMPTY_ROOT, HASH_SIZE, type Hash } from '@service-fs/tlog/hash'
import { foldNodes } from '@service-fs/tlog/edge'
import {
  computeProof,
  consistencyPlan,
  inclusionPlan,
  nodePlace,
  planTiles,
  rootPlan,
  subtreeRoot,
  type NodePlace,
  type Plan,
} from '@service-fs/tlog/proof'
import { hashTileToBinary } from '@service-fs/tlog/tile-text'
import type { BinaryBundle } from './binary-bundle.ts'
import { BinaryTiles, checkedEntry } from './binary-tiles.ts'
import { LedgerError } from './errors.ts'
import type { Runtime } from './runtime.ts'
import type { SealedTiles } from './sealed-tiles.ts'
import type { TailMemory } from './tail-memory.ts'

/** Milliseconds of reading after which other work gets a turn. */
const TURN_MS = 10

/** A range of fewer entries is read line by line: checking a whole bundle takes as long as checking some hundred entries. */
const FEW_ENTRIES = 32

export class Reader {
  readonly #sealed: SealedTiles
  readonly #memory: TailMemory
  readonly #runtime: Runtime
  readonly #binary: BinaryTiles
  #turnEnd = Number.NEGATIVE_INFINITY
  #turn: Promise<void> | undefined

  /** `cacheBytes` bounds the memory that keeps tiles in their binary form. */
  constructor(sealed: SealedTiles, memory: TailMemory, runtime: Runtime, cacheBytes: number) {
    this.#sealed = sealed
    this.#memory = memory
    this.#runtime = runtime
    this.#binary = new BinaryTiles(sealed, memory, runtime, cacheBytes)
  }

  /**
   * Returns a promise that the caller waits for before it reads; undefined while it may read at once. Reads of data in memory resolve
   * without a turn of the event loop, so a loop of them would hold up all other work.
   */
  #fairly(): Promise<void> | undefined {
    const runtime = this.#runtime
    if (this.#turn === undefined && runtime.monotonic() >= this.#turnEnd) {
      this.#turn = runtime.turn().then(() => {
        this.#turn = undefined
        this.#turnEnd = runtime.monotonic() + TURN_MS
      })
    }
    return this.#turn
  }

  /** Returns the bytes of the entry at `index`, checked against its leaf hash. The caller must not change them. */
  async entry(index: number): Promise<Uint8Array> {
    await this.#fairly()
    const bundle = Math.floor(index / 256)
    const at = index % 256
    const held = this.#binary.heldEntry(bundle, at)
    if (held !== undefined) return held
    const line = this.#memory.line(index)
    if (line !== undefined) return this.#runtime.codec.base64Decode(line)
    const [stored, tile] = await Promise.all([this.#sealed.line(bundle, at), this.#sealed.tile(0, bundle)])
    return checkedEntry(bundle, at, stored, tile.hash(at), this.#runtime)
  }

  /**
   * Returns the entries from `from` up to, not including, `to`, all of one bundle, each checked against its leaf hash. The caller must
   * not change them.
   */
  async entries(from: number, to: number): Promise<Uint8Array[]> {
    await this.#fairly()
    const index = Math.floor(from / 256)
    const bundle = to - from < FEW_ENTRIES ? undefined : await this.#bundleOrNone(index, to - index * 256)
    const entries: Uint8Array[] = []
    for (let at = from; at < to; at++) entries.push(bundle?.entry(at - index * 256) ?? (await this.entry(at)))
    return entries
  }

  /** Returns a bundle; undefined when one of its entries is damaged, even one that the caller does not need. */
  async #bundleOrNone(index: number, width: number): Promise<BinaryBundle | undefined> {
    try {
      return await this.#binary.bundle(index, width)
    } catch (error) {
      if (error instanceof LedgerError && error.code === 'corrupt') return undefined
      throw error
    }
  }

  /** Returns the first `width` entries of a bundle as base64 lines, each checked against its leaf hash. */
  async bundle(index: number, width: number): Promise<readonly string[]> {
    await this.#fairly()
    const held = this.#memory.lines(index * 256, index * 256 + width)
    if (held !== undefined) return held
    const bundle = await this.#binary.bundle(index, width)
    return Array.from({ length: width }, (_, at) => this.#runtime.codec.base64Encode(bundle.entry(at)))
  }

  /**
   * Returns the first `width` entries of a bundle in the binary form of tlog-tiles, each checked against its leaf hash. The caller must
   * not change the bytes.
   */
  async bundleBytes(index: number, width: number): Promise<Uint8Array> {
    await this.#fairly()
    return (await this.#binary.bundle(index, width)).prefix(width)
  }

  /** Returns {@link hashTile} in the binary form of tlog-tiles. The caller must not change the bytes. */
  async tileBytes(level: number, index: number, width: number): Promise<Uint8Array> {
    await this.#fairly()
    const isSealed = index < this.#sealed.sealedAt(level)
    const sealed = async (): Promise<Uint8Array> =>
      (await this.#sealed.tileBytes(level, index)).subarray(0, width * HASH_SIZE)
    if (isSealed && this.#runtime.kernel !== undefined) return sealed()
    return this.#binary.hashTile(level, index, width, async () =>
      isSealed ? sealed() : hashTileToBinary(await this.hashTile(level, index, width), this.#runtime.codec),
    )
  }

  /** Returns the first `width` hashes of the tile at `level`, `index`; all of them must be in the durable tree. */
  async hashTile(level: number, index: number, width: number): Promise<readonly Hash[]> {
    if (level === 0) {
      const held = this.#memory.leaves(index * 256, index * 256 + width)
      if (held !== undefined) return held
    }
    if (index < this.#sealed.sealedAt(level))
      return (await this.#sealed.tile(level, index)).hashes().slice(0, width)
    if (level === 0) throw new LedgerError('corrupt', `tile 0/${index}: neither sealed nor in memory`)
    const open = await this.#sealed.partial(level)
    const hashes = open.index === index ? open.hashes.slice(0, width) : []
    // The tile below is durable but not sealed yet. It is in memory: compute the hash from it.
    for (let i = hashes.length; i < width; i++) {
      hashes.push(subtreeRoot(await this.hashTile(level - 1, index * 256 + i, 256), this.#runtime.hasher))
    }
    return hashes
  }

  /** Returns the hash of a full tile, which the tile above it holds. */
  async tileHash(level: number, index: number): Promise<Hash> {
    if (index < this.#sealed.sealedAt(level)) return this.#sealed.rootOf(level, index)
    const [above, at] = [Math.floor(index / 256), index % 256]
    return (await this.hashTile(level + 1, above, at + 1))[at] as Hash
  }

  /** Returns the hashes of a proof plan over the tree of `size`. Reads each tile that it needs once. */
  async compute(plan: Plan, size: number): Promise<Hash[]> {
    const { kernel, codec, hasher } = this.#runtime
    if (kernel === undefined) {
      const tiles = await this.#tilesOf(plan, size, (level, index, width) =>
        this.hashTile(level, index, width),
      )
      return computeProof(plan, (level, index) => tiles.get(`${level}/${index}`) ?? [], hasher)
    }
    const tiles = await this.#tilesOf(plan, size, (level, index, width) =>
      this.tileBytes(level, index, width),
    )
    const subtree = ({ level, index, first, count }: NodePlace): Hash => {
      const hashes = tiles.get(`${level}/${index}`)?.subarray(first * HASH_SIZE, (first + count) * HASH_SIZE)
      if (hashes?.length !== count * HASH_SIZE)
        throw new Error(`tile ${level}/${index}: expected ${first + count} hashes, found fewer`)
      return codec.base64Encode(count === 1 ? hashes : kernel.rootOf(hashes))
    }
    return plan.map((nodes) =>
      foldNodes(
        nodes.map((node) => subtree(nodePlace(node))),
        hasher,
      ),
    )
  }

  /** Reads the tiles of a plan. */
  async #tilesOf<T>(
    plan: Plan,
    size: number,
    read: (level: number, index: number, width: number) => Promise<T>,
  ): Promise<Map<string, T>> {
    const tiles = new Map<string, T>()
    for (const { level, index, width } of planTiles(plan, size)) {
      if (level === 'entries') continue
      tiles.set(`${level}/${index}`, await read(level, index, width))
    }
    return tiles
  }

  async inclusion(index: number, size: number): Promise<{ leafHash: Hash; hashes: Hash[] }> {
    return {
      leafHash: await this.#leafHash(index),
      hashes: await this.compute(inclusionPlan(index, size), size),
    }
  }

  async #leafHash(index: number): Promise<Hash> {
    const [bundle, at] = [Math.floor(index / 256), index % 256]
    if (index < this.#sealed.entries) return (await this.#sealed.tile(0, bundle)).hash(at)
    return (await this.hashTile(0, bundle, at + 1))[at] as Hash
  }

  consistency(from: number, to: number): Promise<Hash[]> {
    return this.compute(consistencyPlan(from, to), to)
  }

  /** Returns the root hash of the tree over the first `size` entries. Reads nothing when `known` is that tree. */
  async root(size: number, known?: { size: number; root: Hash }): Promise<Hash> {
    if (size === known?.size) return known.root
    if (size === 0) return EMPTY_ROOT
    const [root] = await this.compute(rootPlan(size), size)
    return root as Hash
  }
}
