/** The second trees of a ledger: computes them during the walk of the log's tree, and compares the entries that bind them. */
import {
  isTreeAlgorithm,
  misplacedBinding,
  TREE_ALGORITHMS,
  treeOrigin,
  type TreeAlgorithm,
} from '@service-fs/format/tree-binding'
import { nativeHasher } from '@service-fs/native/native'
import type { TreeHasher } from '@service-fs/native/tree-hasher'
import { EMPTY_ROOT, type Hash } from '@service-fs/tlog/hash'
import { TILE_WIDTH, tileWidth, type Tile } from '@service-fs/tlog/tile'
import { ahead } from '../ahead.ts'
import type { LedgerFiles, ListedFile } from '../ledger-files.ts'
import type { Problems } from '../problems.ts'
import type { PlacedBinding } from '../records.ts'
import type { LogSource } from '../source.ts'
import type { OtherTrees } from '../walk.ts'
import { BundleRoots, rootAt } from './bundle-roots.ts'
import { SecondTree } from './second-tree.ts'
import type { TreeBundle } from './tree-bundle.ts'

/** The report of `verify` about a second tree. */
export interface SecondTreeReport {
  algorithm: TreeAlgorithm
  origin: string
  /** The size and the root hash of the tree's signed checkpoint; absent when the ledger has no such checkpoint. */
  size?: number
  root?: Hash
  /** The number of hash tiles that were compared with the entries. */
  tiles: number
  /** The indexes of the entries that bind the tree. */
  boundAt: number[]
  /** The size of the first tree that an entry binds. */
  boundSize?: number
}

export interface SecondTreesOptions {
  origin: string
  files: LedgerFiles
  problems: Problems
  notes: string[]
  /** The vkeys that the caller pins for an origin. */
  pinned: (origin: string) => readonly string[]
}

/** The results of the walk. */
export interface WalkedLog {
  /** The size of the log's newest checkpoint. */
  size: number
  source: Pick<LogSource, 'bundle'>
  bindings: readonly PlacedBinding[]
  /** Whether the log was read over HTTP, where the folders of second trees can't be listed. */
  isRemote: boolean
}

/** The parts of a tree that are needed to compute its root hashes. */
type Computed = Pick<SecondTree, 'roots' | 'covers'> & { hasher: TreeHasher }

/** The hashes of the log's own tree. */
const LOG_HASHER: TreeHasher = {
  leaf: (entry) => nativeHasher.leaf(entry),
  node: (left, right) => nativeHasher.node(left, right),
  empty: EMPTY_ROOT,
}

/** The second trees of one ledger. */
export class SecondTrees implements OtherTrees {
  readonly #options: SecondTreesOptions
  readonly #stored: SecondTree[] = []
  /** The log's tree. */
  readonly #log = new BundleRoots()
  #isLogBroken = false

  constructor(options: SecondTreesOptions) {
    this.#options = options
  }

  /** Reads the folders of the second trees. Call it before the log's newest checkpoint is read. @throws ClientError `file` */
  async open(listed: readonly ListedFile[]): Promise<void> {
    const { origin, pinned } = this.#options
    for (const { name, kind } of listed) {
      if (kind !== 'directory' || !isTreeAlgorithm(name)) continue
      const tree = new SecondTree(name, { ...this.#options, isStored: true })
      await tree.open(pinned(treeOrigin(origin, name)))
      this.#stored.push(tree)
    }
  }

  /** The trees whose folders the ledger has. */
  get stored(): readonly SecondTree[] {
    return this.#stored
  }

  /** The algorithms of the trees to compute during the walk, in the order of `CheckedBundle.trees`. */
  get algorithms(): TreeAlgorithm[] {
    return this.#stored.map(({ algorithm }) => algorithm)
  }

  /** Reports files that do not belong to a second tree. Returns the number of the trees' files, and the tiles beyond the log's size. */
  async list(size: number): Promise<{ count: number; beyond: { tile: Tile; file: string }[] }> {
    const found = await Promise.all(this.#stored.map((tree) => tree.list(size)))
    return {
      count: found.reduce((sum, { count }) => sum + count, 0),
      beyond: found.flatMap(({ beyond }) => beyond),
    }
  }

  async checked(root: Hash, trees: readonly TreeBundle[]): Promise<void> {
    this.#addToLog(root)
    for (const [i, tree] of this.#stored.entries()) await tree.add(trees[i] as TreeBundle)
  }

  async entries(root: Hash | undefined, entries: readonly Uint8Array[] | undefined): Promise<void> {
    this.#addToLog(root)
    for (const tree of this.#stored) await tree.addEntries(entries)
  }

  #addToLog(root: Hash | undefined): void {
    if (root === undefined) this.#isLogBroken = true
    else if (!this.#isLogBroken) this.#log.add(root)
  }

  /** Compares the checkpoints, the upper tiles and the bindings with the entries. */
  async end(walked: WalkedLog): Promise<SecondTreeReport[]> {
    const reports: SecondTreeReport[] = []
    for (const { name } of TREE_ALGORITHMS) {
      const bindings = walked.bindings.filter(({ binding }) => binding.algorithm === name)
      const stored = this.#stored.find(({ algorithm }) => algorithm === name)
      if (stored === undefined && bindings.length === 0) continue
      const tree = stored ?? (await this.#computed(name, bindings, walked))
      await tree.end(bindings)
      await this.#absence(tree, bindings, walked)
      await this.#checkpoint(tree, walked)
      for (const placed of bindings) await this.#binding(tree, placed, walked)
      const { checkpoint } = tree
      reports.push({
        algorithm: name,
        origin: tree.origin,
        ...(checkpoint === undefined ? {} : { size: checkpoint.size, root: checkpoint.root }),
        tiles: tree.tiles,
        boundAt: bindings.map(({ place }) => place.index ?? -1),
        ...(bindings[0] === undefined ? {} : { boundSize: bindings[0].binding.size }),
      })
    }
    return reports
  }

  /** Yields the files of the trees that verified, for a copy. Call it after `end`. @throws ClientError `file` */
  async *files(): AsyncGenerator<readonly [path: string, bytes: Uint8Array]> {
    for (const tree of this.#stored) yield* tree.files()
  }

  /** Computes a tree whose folder the ledger lacks, up to the largest size that an entry binds. Reads the entries again. */
  async #computed(
    algorithm: TreeAlgorithm,
    bindings: readonly PlacedBinding[],
    { size, source }: WalkedLog,
  ): Promise<SecondTree> {
    const tree = new SecondTree(algorithm, { ...this.#options, isStored: false })
    const sizes = bindings.map(({ binding }) => binding.size).filter((bound) => bound <= size)
    const bundles = Math.floor(Math.max(0, ...sizes) / TILE_WIDTH)
    const read = (i: number): Promise<Uint8Array[] | undefined> =>
      source.bundle(i, TILE_WIDTH).catch(() => undefined)
    for await (const entries of ahead(bundles, 2, read)) await tree.addEntries(entries)
    return tree
  }

  /** Reports that a bound tree has no folder. Notes a tree that the ledger leaves out or does not bind. */
  async #absence(
    tree: SecondTree,
    bindings: readonly PlacedBinding[],
    { isRemote }: WalkedLog,
  ): Promise<void> {
    const { problems, notes, files } = this.#options
    const { algorithm } = tree
    const [first] = bindings
    if (isRemote)
      notes.push(`${algorithm}: only the roots that the log binds were checked, not the second tree itself`)
    else if (tree.isLeftOut) notes.push(`${algorithm}: this copy leaves out the second tree`)
    else if (!tree.isStored && (await files.list(algorithm)).length > 0)
      notes.push(`${algorithm}: the second tree was begun during this check, which did not compare its files`)
    else if (!tree.isStored)
      problems.add(
        { file: algorithm },
        `the second tree that entry ${first?.place.index ?? 0} binds`,
        'nothing',
      )
    else if (first === undefined)
      notes.push(`${algorithm}: no entry of the log binds this second tree, which may still be in the making`)
  }

  async #checkpoint(tree: SecondTree, walked: WalkedLog): Promise<void> {
    const { checkpoint, algorithm } = tree
    if (checkpoint === undefined) return
    const { size, root } = checkpoint
    const file = `${algorithm}/checkpoint`
    if (size > walked.size) {
      this.#options.problems.add({ file }, `a size of at most ${walked.size}, that of the log`, String(size))
      return
    }
    const found = await this.#rootOf(tree, size, walked)
    if (found !== undefined && found !== root)
      this.#options.problems.add({ file }, `root hash ${found} of the ${size} entries`, root)
  }

  async #binding(tree: SecondTree, { binding, place }: PlacedBinding, walked: WalkedLog): Promise<void> {
    const { problems, origin } = this.#options
    const misplaced = misplacedBinding(binding, { origin, index: place.index ?? 0 })
    if (misplaced !== undefined) {
      problems.add(place, `${misplaced.field}: ${misplaced.expected}`, misplaced.found)
      return
    }
    const { size, root, sha256Root, vkey, algorithm } = binding
    if (tree.vkey !== undefined && tree.vkey !== vkey)
      problems.add({ file: `${algorithm}/keys` }, `the key ${vkey} of entry ${place.index ?? 0}`, tree.vkey)
    const second = await this.#rootOf(tree, size, walked)
    if (second !== undefined && second !== root)
      problems.add(place, `root: ${second} of the first ${size} entries`, root)
    const log: Computed = { roots: this.#log, hasher: LOG_HASHER, covers: (to) => this.#logCovers(to) }
    const first = await this.#rootOf(log, size, walked)
    if (first !== undefined && first !== sha256Root)
      problems.add(place, `sha256Root: ${first} of the first ${size} entries`, sha256Root)
  }

  #logCovers(size: number): boolean {
    return !this.#isLogBroken && this.#log.count >= Math.floor(size / TILE_WIDTH)
  }

  /** Returns the root hash over the first `size` entries; undefined when an entry is missing, which the walk reports. */
  async #rootOf(tree: Computed, size: number, { source, size: all }: WalkedLog): Promise<Hash | undefined> {
    const { roots, hasher } = tree
    if (!tree.covers(size)) return undefined
    const rest = size % TILE_WIDTH
    let entries: readonly Uint8Array[] = []
    if (rest > 0) {
      const bundle = Math.floor(size / TILE_WIDTH)
      const width = tileWidth('entries', bundle, all)
      const read = await source.bundle(bundle, width).catch(() => undefined)
      if (read === undefined || read.length < rest) return undefined
      entries = read.slice(0, rest)
    }
    const leaves = entries.map((entry) => hasher.leaf(entry))
    return rootAt(roots, size, leaves, hasher)
  }
}
