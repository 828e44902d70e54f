/**
 * Derives a whole tree again: every entry's leaf hash, every line of every hash tile, up to the root. Each tile is compared
 * with what stands below it, so that one changed byte is one problem, named where it is.
 */
import { Edge } from '@service-fs/tlog/edge'
import type { Hash, Hasher } from '@service-fs/tlog/hash'
import { subtreeRoot } from '@service-fs/tlog/proof'
import { TILE_HEIGHT, TILE_WIDTH, tileWidth, type Tile } from '@service-fs/tlog/tile'
import { ahead } from './ahead.ts'
import type { Problems } from './problems.ts'
import type { RecordCheck } from './records.ts'

/** What stands in the files of a ledger, or comes over HTTP, unchecked. */
export interface TreeFiles {
  /** A tile's name in the report. */
  name(tile: Tile): string
  /** Whether a tile has to be there as a file. */
  required(tile: Tile): boolean
  /** The hashes of a tile; undefined when it is not there. @throws when it is not a tile of that width */
  hashTile(tile: Tile): Promise<readonly Hash[] | undefined>
  /** The entries of a bundle; undefined when it is not there. @throws when it is not a bundle of that width */
  bundle(tile: Tile): Promise<readonly Uint8Array[] | undefined>
}

/** What else speaks of the tree while it is walked: the tail, checkpoints. */
export interface Beside {
  /** Before the entries from `from` up to, not including, `to` are walked; at the end, the size and one more. */
  reach(from: number, to: number): Promise<void>
  /** An entry that no bundle holds, and where it stands. */
  entry(index: number): { bytes: Uint8Array; file: string } | undefined
  /** The leaf hash of an entry, as the tree has it. */
  leaf(index: number, leaf: Hash): void
  /** The right edge, at every size from 0 on; not within a bundle whose leaf hashes can't be had. */
  at(edge: Edge): void
}

/** Takes the tiles of a tree while it is walked: the bundles in order, each level in order, partial ones last. */
export interface TreeCopy {
  bundle(index: number, entries: readonly Uint8Array[]): Promise<void>
  hashTile(level: number, index: number, hashes: readonly Hash[]): Promise<void>
}

export interface WalkOptions {
  files: TreeFiles
  size: number
  beside: Beside
  records: RecordCheck
  problems: Problems
  hasher: Hasher
  /** Bundles read ahead. */
  width: number
  progress?: ((entries: number) => void) | undefined
  /** Is given what was walked, as long as nothing wrong was found. */
  copy?: TreeCopy | undefined
}

export interface WalkCounts {
  entries: number
  bundles: number
  tiles: number
}

/** One bundle with its hash tile, as read. */
interface Pair {
  entries: readonly Uint8Array[] | undefined
  hashes: readonly Hash[] | undefined
}

/** A level above the leaves: the tile being filled. */
interface Level {
  index: number
  computed: Hash[]
  stored: readonly Hash[] | undefined
}

export class TreeWalk {
  readonly counts: WalkCounts = { entries: 0, bundles: 0, tiles: 0 }
  readonly #options: WalkOptions
  readonly #levels: (Level | undefined)[] = []
  /** The right edge so far; undefined once entries are missing whose hashes are nowhere. */
  #edge: Edge | undefined = new Edge()

  constructor(options: WalkOptions) {
    this.#options = options
  }

  /** Walks the tree to its end. @throws what reading throws, when it failed for a reason other than the content */
  async run(): Promise<void> {
    const { size, beside, records, progress } = this.#options
    const count = Math.ceil(size / TILE_WIDTH)
    let bundle = 0
    for await (const pair of ahead(count, this.#options.width, (i) => this.#read(i))) {
      const first = bundle * TILE_WIDTH
      const width = tileWidth('entries', bundle, size)
      await beside.reach(first, first + width)
      this.#at()
      await this.#bundle(bundle, width, pair)
      bundle += 1
      progress?.(first + width)
    }
    await beside.reach(size, size + 1)
    this.#at()
    records.end({ file: 'tile/entries', index: size - 1 })
    // The tiles above the leaves that are not full; level 0 has none here.
    for (const [level, tile] of this.#levels.entries())
      if (tile !== undefined && tile.computed.length < TILE_WIDTH)
        await this.#copy()?.hashTile(level, tile.index, tile.computed)
  }

  #copy(): TreeCopy | undefined {
    return this.#options.problems.count === 0 ? this.#options.copy : undefined
  }

  async #read(index: number): Promise<Pair> {
    const { files, size } = this.#options
    const width = tileWidth('entries', index, size)
    const [entries, hashes] = await Promise.all([
      this.#tile({ level: 'entries', index, width }, (tile) => files.bundle(tile)),
      this.#tile({ level: 0, index, width }, (tile) => files.hashTile(tile)),
    ])
    return { entries, hashes }
  }

  /** Reads a tile; one that is missing, or is not what it should be, is a problem. */
  async #tile<T>(
    tile: Tile,
    read: (tile: Tile) => Promise<readonly T[] | undefined>,
  ): Promise<readonly T[] | undefined> {
    const { files, problems } = this.#options
    const file = files.name(tile)
    const first = typeof tile.level === 'string' || tile.level === 0 ? tile.index * TILE_WIDTH : undefined
    try {
      const content = await read(tile)
      if (content !== undefined) this.counts[tile.level === 'entries' ? 'bundles' : 'tiles'] += 1
      else if (files.required(tile)) problems.add({ file }, 'the file', 'nothing')
      return content
    } catch (error) {
      const line = Number(/in line (\d+)/.exec(String(error))?.[1] ?? 0)
      const index = line > 0 && first !== undefined ? { index: first + line - 1 } : {}
      problems.addError(line > 0 ? { file, line, ...index } : { file }, error, 'a tile that can be read')
      return undefined
    }
  }

  async #bundle(bundle: number, width: number, pair: Pair): Promise<void> {
    const first = bundle * TILE_WIDTH
    const { entries, hashes } = this.#entries(first, width, pair)
    const line = width === TILE_WIDTH ? await this.#parentLine(0, bundle) : undefined
    const leaves = this.#judge(bundle, pair.hashes, hashes, line)
    if (leaves === undefined) return this.#skip(bundle, width, line)
    await this.#copy()?.bundle(bundle, entries)
    await this.#copy()?.hashTile(0, bundle, leaves)
    for (const [i, leaf] of leaves.entries()) {
      this.#options.beside.leaf(first + i, leaf)
      this.#edge?.append(leaf, this.#options.hasher)
      if (i < leaves.length - 1) this.#at()
    }
    if (width === TILE_WIDTH) await this.#up(1, bundle, subtreeRoot(leaves, this.#options.hasher))
  }

  #at(): void {
    if (this.#edge !== undefined) this.#options.beside.at(this.#edge)
  }

  /** The entries, from the bundle or from beside, and the leaf hash of each; undefined where there is none. */
  #entries(
    first: number,
    width: number,
    pair: Pair,
  ): { entries: Uint8Array[]; hashes: (Hash | undefined)[] } {
    const { beside, records, problems, hasher, files } = this.#options
    const bundleTile: Tile = { level: 'entries', index: first / TILE_WIDTH, width }
    const bundleName = files.name(bundleTile)
    let missing = 0
    const entries: Uint8Array[] = []
    const hashes: (Hash | undefined)[] = []
    for (let i = 0; i < width; i++) {
      const index = first + i
      const own = pair.entries?.[i]
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
    // A bundle that has to be there and is not, or is broken, is a problem already.
    if (missing > 0 && pair.entries === undefined && !files.required(bundleTile)) {
      problems.add(
        { file: bundleName, index: first },
        `${width} entries in the bundle or the tail`,
        `${width - missing}`,
      )
    }
    return { entries, hashes }
  }

  /** The leaf hashes that the tree has; says which file is wrong when entries and hash tile differ. */
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
      line === undefined ? `, which ${other} has (no tile above says which of the two was changed)` : ''
    for (const i of differing) {
      const [expected, found] = tileIsWrong ? [computed[i], stored[i]] : [stored[i], computed[i]]
      const place = { file, line: i + 1, index: bundle * TILE_WIDTH + i }
      problems.add(place, `leaf hash ${expected}${undecided}`, String(found))
    }
    return tileIsWrong ? whole : stored
  }

  /** Goes on without the leaf hashes of a bundle, by the hash that the tile above has, if it has one. */
  async #skip(bundle: number, width: number, line: Hash | undefined): Promise<void> {
    const edge = this.#edge
    // The hash of a subtree is worth as much as its leaf hashes for all that comes after it.
    this.#edge = undefined
    if (line === undefined || width < TILE_WIDTH) return
    if (edge !== undefined) this.#edge = appendSubtree(edge, TILE_HEIGHT, line, this.#options.hasher)
    await this.#up(1, bundle, line)
  }

  /** The tile being filled at a level, read when its first hash comes. */
  async #level(level: number, index: number): Promise<Level> {
    const known = this.#levels[level]
    if (known?.index === index) return known
    const { files, size } = this.#options
    const tile: Tile = { level, index, width: tileWidth(level, index, size) }
    const stored = await this.#tile(tile, (wanted) => files.hashTile(wanted))
    const fresh: Level = { index, computed: [], stored }
    this.#levels[level] = fresh
    return fresh
  }

  /** What the tile above says the hash of a full tile is. */
  async #parentLine(level: number, index: number): Promise<Hash | undefined> {
    const above = await this.#level(level + 1, Math.floor(index / TILE_WIDTH))
    return above.stored?.[index % TILE_WIDTH]
  }

  /** Hash number `at` of a level: compares it with its line, and goes up when the tile is full. */
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

/** The edge with a perfect subtree of 2^level entries more; its size is a multiple of 2^level. */
export function appendSubtree(edge: Edge, level: number, hash: Hash, hasher: Hasher): Edge {
  const width = 2 ** level
  const hashes = edge.hashes()
  let top = hash
  for (let n = edge.size / width; n % 2 === 1; n = (n - 1) / 2) top = hasher.node(hashes.pop() as Hash, top)
  return new Edge(edge.size + width, [...hashes, top])
}
