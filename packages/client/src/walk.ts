/**
 * Recomputes a whole tree, from the leaf hash of each entry through every hash of every tile to the root. Compares each tile with the
 * hashes computed from below, so that one changed byte is reported as one problem with its place.
 */
import { Edge } from '@service-fs/tlog/edge'
import type { Hash, Hasher } from '@service-fs/tlog/hash'
import { subtreeRoot } from '@service-fs/tlog/proof'
import { TILE_HEIGHT, TILE_WIDTH, tileCount, tileWidth, type Tile } from '@service-fs/tlog/tile'
import { messageOf } from '@service-fs/format/errors'
import { ahead } from './ahead.ts'
import type { BundleCheck, BundleText, CheckedBundle } from './bundle-check.ts'
import { ClientError } from './errors.ts'
import type { Problems } from './problems.ts'
import type { RecordCheck } from './records.ts'
import type { TreeBundle } from './second-tree/tree-bundle.ts'

/** The unverified tiles of a ledger, in files or over HTTP. */
export interface TreeFiles {
  /** Returns the name of a tile in the report. */
  name(tile: Tile): string
  /** Reports whether the ledger must store this tile as a file. */
  required(tile: Tile): boolean
  /** Reads the hashes of a tile; undefined when it is missing. @throws when the file is not a tile of that width */
  hashTile(tile: Tile): Promise<readonly Hash[] | undefined>
  /** Reads the entries of a bundle; undefined when it is missing. @throws when the file is not a bundle of that width */
  bundle(tile: Tile): Promise<readonly Uint8Array[] | undefined>
}

/** Other data that is compared with the tree during the walk: the tail and checkpoints. */
export interface Beside {
  /**
   * Called before the walk reads the entries from `from` up to, but not including, `to`. At the end it is called with the tree size and the
   * tree size + 1.
   */
  reach(from: number, to: number): Promise<void>
  /** Reports whether there is anything to compare from `from` up to `to`: an entry, or the root hash at a size in this range. */
  compares(from: number, to: number): boolean
  /** Returns an entry that is in no bundle, and the name of the file that has it. */
  entry(index: number): { bytes: Uint8Array; file: string } | undefined
  /** Receives the leaf hash of each entry, except in bundles for which `compares` returned false. */
  leaf(index: number, leaf: Hash): void
  /**
   * Receives the right edge at every size from 0 on, except within a bundle whose leaf hashes are unknown or for which `compares` returned
   * false.
   */
  at(edge: Edge): void
}

/** Receives the tiles of a tree during the walk: bundles in order, and the tiles of each level in order. The partial tiles come last. */
export interface TreeCopy {
  /**
   * Receives a full bundle and its hash tile as stored text, and the hash of the tile. Called instead of `bundle` and `hashTile` when the
   * walk has the stored text.
   */
  stored?(index: number, text: BundleText, root: Hash): Promise<void>
  bundle(index: number, entries: readonly Uint8Array[]): Promise<void>
  hashTile(level: number, index: number, hashes: readonly Hash[]): Promise<void>
}

/** Other trees over the same entries, with other hashes. Receives each full bundle, in order. */
export interface OtherTrees {
  /** Receives a bundle that was checked: the hash of its tile, and its hashes in each of the other trees. */
  checked(root: Hash, trees: readonly TreeBundle[]): Promise<void>
  /** Receives a bundle that was not checked ahead: the hash of its tile, and its entries, or undefined when some entries are unknown. */
  entries(root: Hash | undefined, entries: readonly Uint8Array[] | undefined): Promise<void>
}

/** Checks the full bundles of a tree, and the hash tiles of their leaves, ahead of the walk. */
export interface BundleChecks {
  /**
   * Returns the check of the next bundle, starting with the first. Resolves to undefined when the bundle or its hash tile has a fault or
   * can't be read.
   */
  next(): Promise<CheckedBundle | undefined>
}

export interface WalkOptions {
  files: TreeFiles
  size: number
  beside: Beside
  records: RecordCheck
  problems: Problems
  hasher: Hasher
  /** The number of bundles to read ahead. */
  width: number
  /** Reads and checks the full bundles. If absent, the walk reads them. */
  checks?: BundleChecks | undefined
  /** Checks full bundles that the walk has read. If absent, the walk checks each entry separately. */
  check?: BundleCheck | undefined
  progress?: ((entries: number) => void) | undefined
  /** Other trees over the same entries. */
  others?: OtherTrees | undefined
  /** Receives the tiles until a problem is found. */
  copy?: TreeCopy | undefined
}

export interface WalkCounts {
  entries: number
  bundles: number
  tiles: number
}

/** The content of a bundle or a hash tile, or the error of reading it. Both are absent when the tile is missing. */
interface Attempt<T> {
  content?: readonly T[] | undefined
  error?: unknown
}

/** The results of reading one bundle and its hash tile. */
interface Pair {
  entries: Attempt<Uint8Array>
  hashes: Attempt<Hash>
}

/** A bundle that was read or checked ahead of the walk. If neither was done, the walk has to read it. */
interface Ahead {
  pair?: Pair
  checked?: CheckedBundle | undefined
}

/** The tile of a level above the leaves that is being computed. */
interface Level {
  index: number
  computed: Hash[]
  stored: readonly Hash[] | undefined
}

/** Walks one tree. */
export class TreeWalk {
  readonly counts: WalkCounts = { entries: 0, bundles: 0, tiles: 0 }
  readonly #options: WalkOptions
  readonly #levels: (Level | undefined)[] = []
  /** The right edge so far; undefined after missing entries whose hashes are unknown. */
  #edge: Edge | undefined = new Edge()

  constructor(options: WalkOptions) {
    this.#options = options
  }

  /** Walks the whole tree. @throws when reading fails for a reason other than the content */
  async run(): Promise<void> {
    const { size, beside, records, progress } = this.#options
    const count = Math.ceil(size / TILE_WIDTH)
    let bundle = 0
    for await (const found of this.#ahead(count)) {
      const first = bundle * TILE_WIDTH
      const width = tileWidth('entries', bundle, size)
      await beside.reach(first, first + width)
      this.#at()
      if (found.checked !== undefined && !beside.compares(first, first + width))
        await this.#checked(bundle, found.checked, found.pair)
      else await this.#bundle(bundle, width, found.pair ?? (await this.#read(bundle)))
      bundle += 1
      progress?.(first + width)
    }
    await beside.reach(size, size + 1)
    this.#at()
    records.end({ file: 'tile/entries', index: size - 1 })
    // The partial tiles above the leaves; #bundle has copied the partial tile of level 0.
    for (const [level, tile] of this.#levels.entries())
      if (tile !== undefined && tile.computed.length < TILE_WIDTH)
        await this.#copy()?.hashTile(level, tile.index, tile.computed)
  }

  #copy(): TreeCopy | undefined {
    return this.#options.problems.count === 0 ? this.#options.copy : undefined
  }

  async *#ahead(count: number): AsyncGenerator<Ahead> {
    const { checks, size, width } = this.#options
    if (checks === undefined) {
      for await (const pair of ahead(count, width, (i) => this.#read(i)))
        yield { pair, checked: this.#options.check?.read(pair.entries.content, pair.hashes.content) }
      return
    }
    const full = tileCount('entries', size)
    for (let i = 0; i < full; i++) yield { checked: await checks.next() }
    if (full < count) yield {}
  }

  async #read(index: number): Promise<Pair> {
    const { files, size } = this.#options
    const width = tileWidth('entries', index, size)
    const [entries, hashes] = await Promise.all([
      attempt(() => files.bundle({ level: 'entries', index, width })),
      attempt(() => files.hashTile({ level: 0, index, width })),
    ])
    return { entries, hashes }
  }

  /** Returns the content of a tile that was read. Reports it if it is required and missing, or malformed. */
  #content<T>(tile: Tile, { content, error }: Attempt<T>): readonly T[] | undefined {
    const { files, problems } = this.#options
    const file = files.name(tile)
    if (error === undefined) {
      if (content !== undefined) this.counts[tile.level === 'entries' ? 'bundles' : 'tiles'] += 1
      else if (files.required(tile)) problems.add({ file }, 'the file', 'nothing')
      return content
    }
    const first = typeof tile.level === 'string' || tile.level === 0 ? tile.index * TILE_WIDTH : undefined
    const line = Number(/in line (\d+)/.exec(messageOf(error))?.[1] ?? 0)
    const index = line > 0 && first !== undefined ? { index: first + line - 1 } : {}
    problems.addError(line > 0 ? { file, line, ...index } : { file }, error, 'a well-formed tile')
    return undefined
  }

  /** Adds a bundle that was checked: its entries, and its hash to the tile above. */
  async #checked(bundle: number, checked: CheckedBundle, pair: Pair | undefined): Promise<void> {
    const { records, files, hasher } = this.#options
    const { root, text } = checked
    const first = bundle * TILE_WIDTH
    const tile: Tile = { level: 'entries', index: bundle, width: TILE_WIDTH }
    const file = files.name(tile)
    let entries = pair?.entries.content
    await records.bundle(
      checked,
      (i) => ({ file, line: i + 1, index: first + i }),
      async (i) => (entries ??= await this.#again(tile, root))[i] as Uint8Array,
    )
    this.counts.entries += TILE_WIDTH
    this.counts.bundles += 1
    this.counts.tiles += 1
    await this.#options.others?.checked(root, checked.trees ?? [])
    if (text !== undefined) await this.#copy()?.stored?.(bundle, text, root)
    else if (pair !== undefined) {
      await this.#copy()?.bundle(bundle, pair.entries.content ?? [])
      await this.#copy()?.hashTile(0, bundle, pair.hashes.content ?? [])
    }
    if (this.#edge !== undefined) this.#edge = appendSubtree(this.#edge, TILE_HEIGHT, root, hasher)
    await this.#up(1, bundle, root)
  }

  /** Reads the entries of a bundle that was checked before. @throws ClientError `file` if the entries have changed since then */
  async #again(tile: Tile, root: Hash): Promise<readonly Uint8Array[]> {
    const { files, hasher } = this.#options
    const { content } = await attempt(() => files.bundle(tile))
    const leaves = content?.map((entry) => hasher.leaf(entry))
    if (content === undefined || leaves?.length !== TILE_WIDTH || subtreeRoot(leaves, hasher) !== root)
      throw new ClientError('file', `${files.name(tile)}: changed while it was verified`)
    return content
  }

  async #bundle(bundle: number, width: number, pair: Pair): Promise<void> {
    const first = bundle * TILE_WIDTH
    const read = this.#content({ level: 'entries', index: bundle, width }, pair.entries)
    const stored = this.#content({ level: 0, index: bundle, width }, pair.hashes)
    const { entries, hashes } = this.#entries(first, width, read)
    const line = width === TILE_WIDTH ? await this.#parentLine(0, bundle) : undefined
    const leaves = this.#judge(bundle, stored, hashes, line)
    const isFull = width === TILE_WIDTH
    const root = isFull && leaves !== undefined ? subtreeRoot(leaves, this.#options.hasher) : undefined
    if (isFull)
      await this.#options.others?.entries(root ?? line, entries.length === width ? entries : undefined)
    if (leaves === undefined) return this.#skip(bundle, width, line)
    await this.#copy()?.bundle(bundle, entries)
    await this.#copy()?.hashTile(0, bundle, leaves)
    for (const [i, leaf] of leaves.entries()) {
      this.#options.beside.leaf(first + i, leaf)
      this.#edge?.append(leaf, this.#options.hasher)
      if (i < leaves.length - 1) this.#at()
    }
    if (root !== undefined) await this.#up(1, bundle, root)
  }

  #at(): void {
    if (this.#edge !== undefined) this.#options.beside.at(this.#edge)
  }

  /**
   * Returns the entries of a bundle, from the bundle or from the tail, and the leaf hash of each; undefined for a missing entry.
   */
  #entries(
    first: number,
    width: number,
    read: readonly Uint8Array[] | undefined,
  ): { entries: Uint8Array[]; hashes: (Hash | undefined)[] } {
    const { beside, records, problems, hasher, files } = this.#options
    const bundleTile: Tile = { level: 'entries', index: first / TILE_WIDTH, width }
    const bundleName = files.name(bundleTile)
    let missing = 0
    const entries: Uint8Array[] = []
    const hashes: (Hash | undefined)[] = []
    for (let i = 0; i < width; i++) {
      const index = first + i
      const own = read?.[i]
      const found = own === undefined ? beside.entry(index) : { bytes: own, file: bundleName }
      if (found === undefined) {
        missing += 1
        records.gap()
        hashes.push(undefined)
        continue
      }
      this.counts.entries += 1
      const place = own === undefined ? { file: found.file, index } : { file: bundleName, line: i + 1, index }
      records.next(found.bytes, place)
      entries.push(found.bytes)
      hashes.push(hasher.leaf(found.bytes))
    }
    // #content has reported a required bundle that is missing or malformed.
    if (missing > 0 && read === undefined && !files.required(bundleTile)) {
      problems.add(
        { file: bundleName, index: first },
        `${width} entries in the bundle or the tail`,
        `${width - missing}`,
      )
    }
    return { entries, hashes }
  }

  /** Returns the leaf hashes of the tree. If the entries and the hash tile differ, reports the file that is wrong. */
  #judge(
    bundle: number,
    stored: readonly Hash[] | undefined,
    computed: (Hash | undefined)[],
    line: Hash | undefined,
  ): readonly Hash[] | undefined {
    const whole = computed.every((leaf) => leaf !== undefined) ? computed : undefined
    if (stored === undefined) return whole
    const differing = [...computed.keys()].filter(
      (i) => computed[i] !== undefined && computed[i] !== stored[i],
    )
    if (differing.length === 0) return stored
    const { files, problems, hasher } = this.#options
    const tileIsWrong = whole !== undefined && line !== undefined && subtreeRoot(whole, hasher) === line
    const level = tileIsWrong ? 0 : 'entries'
    const file = files.name({ level, index: bundle, width: computed.length })
    const other = files.name({ level: 0, index: bundle, width: computed.length })
    const undecided =
      line === undefined ? `, as in ${other} (no tile above shows which of the two was changed)` : ''
    for (const i of differing) {
      const [expected, found] = tileIsWrong ? [computed[i], stored[i]] : [stored[i], computed[i]]
      const place = { file, line: i + 1, index: bundle * TILE_WIDTH + i }
      problems.add(place, `leaf hash ${expected}${undecided}`, String(found))
    }
    return tileIsWrong ? whole : stored
  }

  /** Skips a bundle whose leaf hashes are unknown. Uses its hash in the tile above if that tile exists. */
  async #skip(bundle: number, width: number, line: Hash | undefined): Promise<void> {
    const edge = this.#edge
    // Without the hash of this subtree, no later root can be computed.
    this.#edge = undefined
    if (line === undefined || width < TILE_WIDTH) return
    if (edge !== undefined) this.#edge = appendSubtree(edge, TILE_HEIGHT, line, this.#options.hasher)
    await this.#up(1, bundle, line)
  }

  /** Returns the tile that is being computed at a level. Reads the stored tile when the first hash is added. */
  async #level(level: number, index: number): Promise<Level> {
    const known = this.#levels[level]
    if (known?.index === index) return known
    const { files, size } = this.#options
    const tile: Tile = { level, index, width: tileWidth(level, index, size) }
    const stored = this.#content(tile, await attempt(() => files.hashTile(tile)))
    const fresh: Level = { index, computed: [], stored }
    this.#levels[level] = fresh
    return fresh
  }

  /** Returns the hash of a full tile that is stored in the tile above. */
  async #parentLine(level: number, index: number): Promise<Hash | undefined> {
    const above = await this.#level(level + 1, Math.floor(index / TILE_WIDTH))
    return above.stored?.[index % TILE_WIDTH]
  }

  /** Adds hash number `at` of a level, compares it with the stored hash, and continues one level up when the tile is full. */
  async #up(level: number, at: number, hash: Hash): Promise<void> {
    const { files, problems, size, hasher } = this.#options
    const index = Math.floor(at / TILE_WIDTH)
    const line = at % TILE_WIDTH
    const tile = await this.#level(level, index)
    const stored = tile.stored?.[line]
    if (stored !== undefined && stored !== hash) {
      const file = files.name({ level, index, width: tileWidth(level, index, size) })
      problems.add({ file, line: line + 1 }, `the hash of the tile below, ${hash}`, stored)
    }
    tile.computed[line] = hash
    if (line < TILE_WIDTH - 1) return
    await this.#copy()?.hashTile(level, index, tile.computed)
    const whole = [...tile.computed.keys()].every((i) => tile.computed[i] !== undefined)
    if (whole) await this.#up(level + 1, index, subtreeRoot(tile.computed, hasher))
  }
}

async function attempt<T>(read: () => Promise<readonly T[] | undefined>): Promise<Attempt<T>> {
  try {
    return { content: await read() }
  } catch (error) {
    return { error }
  }
}

/** Returns the edge extended by a perfect subtree of 2^level entries. The edge's size must be a multiple of 2^level. */
export function appendSubtree(edge: Edge, level: number, hash: Hash, hasher: Hasher): Edge {
  const width = 2 ** level
  const hashes = edge.hashes()
  let top = hash
  for (let n = edge.size / width; n % 2 === 1; n = (n - 1) / 2) top = hasher.node(hashes.pop() as Hash, top)
  return new Edge(edge.size + width, [...hashes, top])
}
