/** Reads entries, tiles and proofs of the durable tree from the sealed tiles and from memory. The caller checks the bounds. */
import { bundlePath } from '@service-fs/storage/object-name'
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
import { LedgerError } from './errors.ts'
import { TlogError } from '@service-fs/tlog/errors'
import type { Runtime } from './runtime.ts'
import type { SealedTiles } from './sealed-tiles.ts'
import type { TailMemory } from './tail-memory.ts'

export class Reader {
  readonly #sealed: SealedTiles
  readonly #memory: TailMemory
  readonly #runtime: Runtime

  constructor(sealed: SealedTiles, memory: TailMemory, runtime: Runtime) {
    this.#sealed = sealed
    this.#memory = memory
    this.#runtime = runtime
  }

  /** Returns the bytes of the entry at `index`, checked against its leaf hash. */
  async entry(index: number): Promise<Uint8Array> {
    const line = this.#memory.line(index)
    if (line !== undefined) return this.#runtime.codec.base64Decode(line)
    const bundle = Math.floor(index / 256)
    const at = index % 256
    const [stored, hashes] = await Promise.all([this.#sealed.line(bundle, at), this.#sealed.tile(0, bundle)])
    return this.#checked(bundle, at, stored, hashes)
  }

  /** Returns the entries from `from` up to, not including, `to`, all of one bundle, each checked against its leaf hash. */
  async entries(from: number, to: number): Promise<Uint8Array[]> {
    const held = this.#memory.lines(from, to)
    if (held !== undefined) return held.map((line) => this.#runtime.codec.base64Decode(line))
    const bundle = Math.floor(from / 256)
    const [lines, hashes] = await Promise.all([this.#sealed.lines(bundle), this.#sealed.tile(0, bundle)])
    const entries: Uint8Array[] = []
    for (let at = from % 256; at < to - bundle * 256; at++)
      entries.push(this.#checked(bundle, at, lines[at] ?? '', hashes))
    return entries
  }

  #checked(bundle: number, at: number, line: string, hashes: readonly Hash[]): Uint8Array {
    const expected = hashes[at]
    const bytes = this.#decoded(line)
    const found = bytes === undefined ? 'no canonical base64' : this.#runtime.hasher.leaf(bytes)
    if (bytes !== undefined && found === expected) return bytes
    throw new LedgerError(
      'corrupt',
      `${bundlePath(bundle)}: line ${at + 1}: expected an entry with the leaf hash ${expected}, found ${found}`,
      { index: bundle * 256 + at },
    )
  }

  #decoded(line: string): Uint8Array | undefined {
    try {
      return this.#runtime.codec.base64Decode(line)
    } catch (error) {
      if (error instanceof TlogError) return undefined
      throw error
    }
  }

  /** Returns the first `width` lines of the entry bundle `index`, each checked against its leaf hash. */
  async bundle(index: number, width: number): Promise<readonly string[]> {
    const held = this.#memory.lines(index * 256, index * 256 + width)
    if (held !== undefined) return held
    const [lines, hashes] = await Promise.all([this.#sealed.bundle(index), this.#sealed.tile(0, index)])
    for (let i = 0; i < width; i++) this.#checked(index, i, lines[i] as string, hashes)
    return lines.slice(0, width)
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
    // Durable, but not sealed yet: compute the hash from the tile below, which is in memory.
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
