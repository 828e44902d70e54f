/** Seals tiles, and reads them back, each checked against the tree. */
import type { StorageCapability } from '@service-fs/storage/capability'
import { formatObjectName, type SealedName } from '@service-fs/storage/object-name'
import type { Edge } from '@service-fs/tlog/edge'
import type { Hash } from '@service-fs/tlog/hash'
import { subtreeRoot } from '@service-fs/tlog/proof'
import { formatHashTile, parseHashTile } from '@service-fs/tlog/tile-text'
import { BundleText } from './bundle-text.ts'
import { BinaryTile, TextTile, type CheckedTile } from './checked-tile.ts'
import { LedgerError, unreadable } from './errors.ts'
import { Frontier } from './frontier.ts'
import { WeightedCache } from './lru.ts'
import type { Runtime } from './runtime.ts'

type TileName = Extract<SealedName, { kind: 'tile' }>

/** How many tiles are remembered as checked. One takes about 200 bytes of memory. */
const CHECKED_TILES = 16_384

/** The share of the cache's bytes that the texts of bundles have, with a kernel and without; hash tiles have the rest. */
const TEXTS_SHARE = { kernel: 1 / 8, plain: 1 / 3 }

/** A full bundle: the text and the leaf hashes of 256 entries, and the root hash over them where it is known. */
export interface SealableBundle {
  readonly text: Uint8Array
  readonly leaves: readonly Hash[]
  readonly root: Hash | undefined
}

export class SealedTiles {
  readonly #storage: StorageCapability
  readonly #runtime: Runtime
  readonly #frontier: Frontier
  /** Texts of stored bundles, and checked hash tiles. */
  readonly #texts: WeightedCache<BundleText>
  readonly #tiles: WeightedCache<CheckedTile>
  /** The hash of each tile's text that was checked against the tree. The same text is not checked again. */
  readonly #checked = new WeightedCache<Hash>(CHECKED_TILES)
  readonly #reading = new Map<string, Promise<unknown>>()

  /** `edge`: the right edge at the end of the sealed entries, a multiple of 256. `cacheBytes` bounds the cache of tiles. */
  constructor(storage: StorageCapability, runtime: Runtime, edge: Edge, cacheBytes: number) {
    this.#storage = storage
    this.#runtime = runtime
    this.#frontier = new Frontier(edge, (level, index) => this.#rawTile(level, index), runtime.hasher)
    const texts = TEXTS_SHARE[runtime.kernel === undefined ? 'plain' : 'kernel']
    this.#texts = new WeightedCache(cacheBytes * texts)
    this.#tiles = new WeightedCache(cacheBytes * (1 - texts))
  }

  /** Entries in sealed bundles whose tiles are all sealed. */
  get entries(): number {
    return this.#frontier.tiles * 256
  }

  /** Returns the right edge at {@link entries}. */
  edge(): Edge {
    return this.#frontier.edge()
  }

  /** Returns how many full tiles are sealed at `level`. */
  sealedAt(level: number): number {
    return this.#frontier.sealedAt(level)
  }

  /**
   * Seals the next bundles, their hash tiles, and the higher tiles that they fill; durable when it resolves. When it rejects, the first
   * ones may count as sealed.
   *
   * A bundle is written after all tiles of its group. So if a bundle and all earlier ones exist, every tile above them exists too.
   */
  async seal(bundles: readonly SealableBundle[]): Promise<void> {
    for (let from = 0; from < bundles.length;) {
      const group = bundles.slice(from, from + this.#frontier.room)
      await this.#sealGroup(group)
      from += group.length
    }
  }

  /** Seals bundles of which only the last can fill a higher tile. */
  async #sealGroup(bundles: readonly SealableBundle[]): Promise<void> {
    const first = this.#frontier.tiles
    const roots = bundles.map(({ leaves, root }) => root ?? subtreeRoot(leaves, this.#runtime.hasher))
    const full = await this.#frontier.completedBy(roots)
    await Promise.all([
      ...bundles.map(({ leaves }, i) => this.#putTile({ kind: 'tile', level: 0, index: first + i }, leaves)),
      ...full.map(({ level, index, hashes }) => this.#putTile({ kind: 'tile', level, index }, hashes)),
    ])
    await Promise.all(
      bundles.map(({ text }, i) => this.#storage.seal({ kind: 'bundle', index: first + i }, text)),
    )
    this.#frontier.push(roots, full)
  }

  #putTile(name: TileName, hashes: readonly Hash[]): Promise<void> {
    return this.#storage.seal(name, this.#runtime.codec.asciiEncode(formatHashTile(hashes)))
  }

  /** Returns line `at` (from 0) of a sealed bundle: any text, not yet compared with its leaf hash. */
  async line(index: number, at: number): Promise<string> {
    const text = await this.#bundleText(index)
    const line = text.line(at)
    if (line !== undefined) return this.#decoded({ kind: 'bundle', index }, line)
    const name = formatObjectName({ kind: 'bundle', index })
    throw new LedgerError('corrupt', `${name}: expected 256 lines, found ${at} or fewer`)
  }

  /** Returns the bytes of a sealed bundle's file: any bytes, not yet compared with the leaf hashes. Does not keep them in the cache. */
  async bundleFile(index: number): Promise<Uint8Array> {
    return this.#texts.get(`entries/${index}`)?.bytes ?? this.#bytes({ kind: 'bundle', index })
  }

  /** Returns {@link bundleFile} as text. */
  async bundleText(index: number): Promise<string> {
    return this.#decoded({ kind: 'bundle', index }, await this.bundleFile(index))
  }

  async #bundleText(index: number): Promise<BundleText> {
    const key = `entries/${index}`
    const cached = this.#texts.get(key)
    if (cached !== undefined) return cached
    return this.#once(key, async () => {
      const text = new BundleText(await this.#bytes({ kind: 'bundle', index }))
      this.#texts.set(key, text, text.bytes.length)
      return text
    })
  }

  /** Returns a sealed tile of 256 hashes, checked against the signed tree. */
  async tile(level: number, index: number): Promise<CheckedTile> {
    const key = `${level}/${index}`
    const cached = this.#tiles.get(key)
    if (cached !== undefined) return cached
    return this.#once(key, async () => {
      const name = { kind: 'tile', level, index } as const
      const bytes = await this.#bytes(name)
      const digest = this.#runtime.hasher.leaf(bytes)
      const isChecked = this.#checked.get(key) === digest
      const tile = this.#tile(name, bytes, isChecked)
      if (!isChecked) {
        await this.#checkRoot(name, tile.root())
        this.#checked.set(key, digest, 1)
      }
      this.#tiles.set(key, tile, tile.weight)
      return tile
    })
  }

  /** Returns {@link tile} in the binary form of tlog-tiles. The caller must not change the bytes. */
  async tileBytes(level: number, index: number): Promise<Uint8Array> {
    return (await this.tile(level, index)).bytes()
  }

  /** Parses a tile's text. `isChecked`: whether the same text was parsed and checked before. */
  #tile(name: TileName, bytes: Uint8Array, isChecked: boolean): CheckedTile {
    const { kernel, codec, hasher } = this.#runtime
    if (kernel !== undefined) {
      const hashes = parsed(name, bytes, (text) => kernel.readHashTile(text, 256))
      return new BinaryTile(hashes, kernel, codec)
    }
    const hashes = isChecked ? this.#decoded(name, bytes).split('\n', 256) : this.#hashes(name, bytes)
    return new TextTile(hashes, hasher, codec)
  }

  /** Shares one read among concurrent callers. */
  #once<T>(key: string, read: () => Promise<T>): Promise<T> {
    const reading = this.#reading.get(key)
    if (reading !== undefined) return reading as Promise<T>
    const started = read().finally(() => this.#reading.delete(key))
    this.#reading.set(key, started)
    return started
  }

  /** Returns the partial tile at `level` ≥ 1, with the hashes of the full tiles below it that are sealed. */
  async partial(level: number): Promise<{ index: number; hashes: readonly Hash[] }> {
    return this.#frontier.partial(level)
  }

  /** Returns the hash of a sealed tile, which the tile above it holds, checked against the signed tree. */
  async rootOf(level: number, index: number): Promise<Hash> {
    const above = Math.floor(index / 256)
    for (;;) {
      if (above < this.#frontier.sealedAt(level + 1))
        return (await this.tile(level + 1, above)).hash(index % 256)
      const open = await this.#frontier.partial(level + 1)
      if (open.index === above) return open.hashes[index % 256] as Hash
    }
  }

  /** @throws LedgerError `corrupt` unless `found`, the hash over a tile, is that of the signed tree */
  async #checkRoot(name: TileName, found: Hash): Promise<void> {
    const expected = await this.rootOf(name.level, name.index)
    if (found === expected) return
    const path = formatObjectName(name)
    throw new LedgerError('corrupt', `${path}: expected the hash ${expected} over the tile, found ${found}`)
  }

  async #rawTile(level: number, index: number): Promise<readonly Hash[]> {
    const name = { kind: 'tile', level, index } as const
    return this.#hashes(name, await this.#bytes(name))
  }

  #hashes(name: TileName, bytes: Uint8Array): readonly Hash[] {
    return parsed(name, this.#decoded(name, bytes), (text) => parseHashTile(text, 256))
  }

  async #bytes(name: SealedName): Promise<Uint8Array> {
    const bytes = await this.#storage.read(name)
    if (bytes !== undefined) return bytes
    throw new LedgerError('corrupt', `${formatObjectName(name)}: expected a sealed tile, found none`)
  }

  #decoded(name: SealedName, bytes: Uint8Array): string {
    try {
      return this.#runtime.codec.utf8Decode(bytes)
    } catch (error) {
      throw unreadable(formatObjectName(name), error)
    }
  }
}

function parsed<T, V>(name: SealedName, content: T, parse: (content: T) => V): V {
  try {
    return parse(content)
  } catch (error) {
    throw unreadable(formatObjectName(name), error)
  }
}
