/** Seals tiles, and reads them back, each checked against the tree. */
import type { StorageCapability } from '@service-fs/storage/capability'
import { bundlePath, formatObjectName, type SealedName } from '@service-fs/storage/object-name'
import type { Edge } from '@service-fs/tlog/edge'
import type { Hash } from '@service-fs/tlog/hash'
import { subtreeRoot } from '@service-fs/tlog/proof'
import { formatHashTile, parseHashTile } from '@service-fs/tlog/tile-text'
import { LedgerError, unreadable } from './errors.ts'
import { Frontier } from './frontier.ts'
import { WeightedCache } from './lru.ts'
import type { Runtime } from './runtime.ts'

type TileName = Extract<SealedName, { kind: 'tile' }>

/** How many tiles are remembered as checked. One takes about 200 bytes of memory. */
const CHECKED_TILES = 16_384

/** The share of the cache's bytes that the texts of bundles have; hash tiles have the rest. */
const TEXTS_SHARE = 1 / 3

/** A full bundle: the text and the leaf hashes of 256 entries, and the root hash over them where it is known. */
export interface SealableBundle {
  readonly text: Uint8Array
  readonly leaves: readonly Hash[]
  readonly root: Hash | undefined
}

/** The text of a stored bundle, up to 22 MB, and the ends of its first lines, which are found when they are needed. */
interface BundleText {
  readonly text: string
  readonly ends: number[]
}

export class SealedTiles {
  readonly #storage: StorageCapability
  readonly #runtime: Runtime
  readonly #frontier: Frontier
  /** Texts of stored bundles, and checked hash tiles. */
  readonly #texts: WeightedCache<BundleText>
  readonly #tiles: WeightedCache<readonly Hash[]>
  /** The hash of each tile's text that was checked against the tree. The same text is not checked again. */
  readonly #checked = new WeightedCache<Hash>(CHECKED_TILES)
  readonly #reading = new Map<string, Promise<unknown>>()

  /** `edge`: the right edge at the end of the sealed entries, a multiple of 256. `cacheBytes` bounds the cache of tiles. */
  constructor(storage: StorageCapability, runtime: Runtime, edge: Edge, cacheBytes: number) {
    this.#storage = storage
    this.#runtime = runtime
    this.#frontier = new Frontier(edge, (level, index) => this.#rawTile(level, index), runtime.hasher)
    this.#texts = new WeightedCache(cacheBytes * TEXTS_SHARE)
    this.#tiles = new WeightedCache(cacheBytes * (1 - TEXTS_SHARE))
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
   * A bundle is written after all tiles of its group. So when all bundles up to one exist, every tile over them exists too.
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
    const { text, ends } = await this.#bundleText(index)
    while (ends.length <= at) {
      const end = text.indexOf('\n', (ends.at(-1) ?? -1) + 1)
      if (end < 0)
        throw new LedgerError('corrupt', `${bundlePath(index)}: expected 256 lines, found ${at} or fewer`)
      ends.push(end)
    }
    return text.slice((ends[at - 1] ?? -1) + 1, ends[at])
  }

  /** Returns the bytes of a sealed bundle's file: any bytes, not yet compared with the leaf hashes. */
  bundleFile(index: number): Promise<Uint8Array> {
    return this.#bytes({ kind: 'bundle', index })
  }

  /** Returns the text of a sealed bundle: any text, not yet compared with the leaf hashes. Does not keep it in the cache. */
  async bundleText(index: number): Promise<string> {
    const cached = this.#texts.get(`entries/${index}`)
    if (cached !== undefined) return cached.text
    const name = { kind: 'bundle', index } as const
    return this.#decoded(name, await this.#bytes(name))
  }

  async #bundleText(index: number): Promise<BundleText> {
    const name = { kind: 'bundle', index } as const
    const key = `entries/${index}`
    const cached = this.#texts.get(key)
    if (cached !== undefined) return cached
    return this.#once(key, async () => {
      const text = this.#decoded(name, await this.#bytes(name))
      const bundle: BundleText = { text, ends: [] }
      this.#texts.set(key, bundle, text.length)
      return bundle
    })
  }

  /** Returns the 256 hashes of a sealed tile, checked against the signed tree. */
  async tile(level: number, index: number): Promise<readonly Hash[]> {
    const name = { kind: 'tile', level, index } as const
    const key = `${level}/${index}`
    const cached = this.#tiles.get(key)
    if (cached !== undefined) return cached
    return this.#once(key, async () => {
      const bytes = await this.#bytes(name)
      const digest = this.#runtime.hasher.leaf(bytes)
      const isChecked = this.#checked.get(key) === digest
      const hashes = isChecked
        ? this.#decoded(name, bytes).split('\n', 256)
        : await this.#checkedHashes(name, bytes)
      if (!isChecked) this.#checked.set(key, digest, 1)
      this.#tiles.set(key, hashes, hashes.length * 64)
      return hashes
    })
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

  /** Returns the root of a sealed tile that the tile above it holds. */
  async #rootOf(level: number, index: number): Promise<Hash> {
    const above = Math.floor(index / 256)
    for (;;) {
      if (above < this.#frontier.sealedAt(level + 1))
        return (await this.tile(level + 1, above))[index % 256] as Hash
      const open = await this.#frontier.partial(level + 1)
      if (open.index === above) return open.hashes[index % 256] as Hash
    }
  }

  /** Returns the hashes in a tile's text, checked against the signed tree. */
  async #checkedHashes(name: TileName, bytes: Uint8Array): Promise<readonly Hash[]> {
    const hashes = this.#hashes(name, bytes)
    const expected = await this.#rootOf(name.level, name.index)
    const found = subtreeRoot(hashes, this.#runtime.hasher)
    if (found === expected) return hashes
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

function parsed(name: SealedName, text: string, parse: (text: string) => string[]): readonly string[] {
  try {
    return parse(text)
  } catch (error) {
    throw unreadable(formatObjectName(name), error)
  }
}
