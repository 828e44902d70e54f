/** Reads entries, tiles and proofs of the durable tree from the sealed tiles and from memory. The caller checks the bounds. */
import { EMPTY_ROOT, type Hash } from '@service-fs/tlog/hash'
import {
  computeProof,
  consistencyPlan,
  inclusionPlan,
  planTiles,
  rootPlan,
  subtreeRoot,
  type Plan,
} from '@service-fs/tlog/proof'
import { tileWidth } from '@service-fs/tlog/tile'
import type { BinaryBundle } from './binary-bundle.ts'
import { BinaryTiles, checkedEntry } from './binary-tiles.ts'
import { LedgerError } from './errors.ts'
import type { Runtime } from './runtime.ts'
import type { SealedTiles } from './sealed-tiles.ts'
import type { TailMemory } from './tail-memory.ts'

/** A range of fewer entries is read line by line: checking a whole bundle takes as long as checking some hundred entries. */
const FEW_ENTRIES = 32

export class Reader {
  readonly #sealed: SealedTiles
  readonly #memory: TailMemory
  readonly #runtime: Runtime
  readonly #binary: BinaryTiles

  /** `cacheBytes` bounds the memory that keeps tiles in their binary form. */
  constructor(sealed: SealedTiles, memory: TailMemory, runtime: Runtime, cacheBytes: number) {
    this.#sealed = sealed
    this.#memory = memory
    this.#runtime = runtime
    this.#binary = new BinaryTiles(sealed, memory, runtime, cacheBytes)
  }

  /** Returns the bytes of the entry at `index`, checked against its leaf hash. The caller must not change them. */
  async entry(index: number): Promise<Uint8Array> {
    const bundle = Math.floor(index / 256)
    const at = index % 256
    const held = this.#binary.heldEntry(bundle, at)
    if (held !== undefined) return held
    const line = this.#memory.line(index)
    if (line !== undefined) return this.#runtime.codec.base64Decode(line)
    const [stored, hashes] = await Promise.all([this.#sealed.line(bundle, at), this.#sealed.tile(0, bundle)])
    return checkedEntry(bundle, at, stored, hashes, this.#runtime)
  }

  /**
   * Returns the entries from `from` up to, not including, `to`, all of one bundle, each checked against its leaf hash. The caller must
   * not change them.
   */
  async entries(from: number, to: number): Promise<Uint8Array[]> {
    const index = Math.floor(from / 256)
    const bundle = to - from < FEW_ENTRIES ? undefined : await this.#bundleOrNone(index, to - index * 256)
    const entries: Uint8Array[] = []
    for (let at = from; at < to; at++) entries.push(bundle?.entry(at - index * 256) ?? (await this.entry(at)))
    return entries
  }

  /** Returns a bundle; undefined when one of its entries is damaged, which may be another than the caller needs. */
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
    return (await this.#binary.bundle(index, width)).prefix(width)
  }

  /** Returns {@link hashTile} in the binary form of tlog-tiles. The caller must not change the bytes. */
  tileBytes(level: number, index: number, width: number): Promise<Uint8Array> {
    return this.#binary.hashTile(level, index, width, () => this.hashTile(level, index, width))
  }

  /** Returns the first `width` hashes of the tile at `level`, `index`; all of them must be in the durable tree. */
  async hashTile(level: number, index: number, width: number): Promise<readonly Hash[]> {
    if (level === 0) {
      const held = this.#memory.leaves(index * 256, index * 256 + width)
      if (held !== undefined) return held
    }
    if (index < this.#sealed.sealedAt(level)) return (await this.#sealed.tile(level, index)).slice(0, width)
    if (level === 0) throw new LedgerError('corrupt', `tile 0/${index}: neither sealed nor in memory`)
    const open = await this.#sealed.partial(level)
    const hashes = open.index === index ? open.hashes.slice(0, width) : []
    // The tile below is durable but not sealed yet. It is in memory: compute the hash from it.
    for (let i = hashes.length; i < width; i++) {
      hashes.push(subtreeRoot(await this.hashTile(level - 1, index * 256 + i, 256), this.#runtime.hasher))
    }
    return hashes
  }

  /** Returns the hashes of a proof plan over the tree of `size`. Reads each tile that it needs once. */
  async compute(plan: Plan, size: number): Promise<Hash[]> {
    const tiles = new Map<string, readonly Hash[]>()
    for (const { level, index, width } of planTiles(plan, size)) {
      if (level === 'entries') continue
      tiles.set(`${level}/${index}`, await this.hashTile(level, index, width))
    }
    return computeProof(plan, (level, index) => tiles.get(`${level}/${index}`) ?? [], this.#runtime.hasher)
  }

  async inclusion(index: number, size: number): Promise<{ leafHash: Hash; hashes: Hash[] }> {
    const bundle = Math.floor(index / 256)
    const leaves = await this.hashTile(0, bundle, tileWidth(0, bundle, size))
    return {
      leafHash: leaves[index % 256] as Hash,
      hashes: await this.compute(inclusionPlan(index, size), size),
    }
  }

  consistency(from: number, to: number): Promise<Hash[]> {
    return this.compute(consistencyPlan(from, to), to)
  }

  /** Returns the root hash of the tree over the first `size` entries; that of `known` when it is the tree of this size. */
  async root(size: number, known?: { size: number; root: Hash }): Promise<Hash> {
    if (size === known?.size) return known.root
    if (size === 0) return EMPTY_ROOT
    const [root] = await this.compute(rootPlan(size), size)
    return root as Hash
  }
}
