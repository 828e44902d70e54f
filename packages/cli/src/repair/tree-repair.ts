/**
 * Compares the sealed files of one second tree with the entries of the log, and replaces the files that differ.
 *
 * The right bytes are computed from the entries that the log's own tree proves. Before the first write, the computed tree must have each root
 * hash that the log binds, and the root hash of the tree's signed checkpoint. These root hashes prove the files of the tree, and the repair
 * writes no other bytes. If the entries of a bundle are lost, its stored tile takes part in the computation: the root hashes prove it, too.
 */
import { ClientError } from '@service-fs/client/errors'
import { BundleRoots, rootAt, upperTiles } from '@service-fs/client/second-tree/bundle-roots'
import { treeBundle, type TreeBundle } from '@service-fs/client/second-tree/tree-bundle'
import { openTreeCheckpoint } from '@service-fs/client/second-tree/tree-text'
import { treeAlgorithm, treeOrigin, type TreeAlgorithm } from '@service-fs/format/tree-binding'
import { equalBytes, nativeCodec } from '@service-fs/native/native'
import { treeHasher, type TreeHasher } from '@service-fs/native/tree-hasher'
import type { Hash } from '@service-fs/tlog/hash'
import type { PackedEntries } from '@service-fs/tlog/kernel/kernel'
import { subtreeRoot } from '@service-fs/tlog/proof'
import { TILE_WIDTH, tileSpan } from '@service-fs/tlog/tile'
import { formatHashTile } from '@service-fs/tlog/tile-text'
import type { Finding } from './finding.ts'
import type { SourceTiles } from './source-tiles.ts'
import { tileOf, type Found, type StoredTiles } from './stored-tiles.ts'
import type { BoundTree } from './tree-bindings.ts'
import { textIn, tilePath, TreeFiles } from './tree-files.ts'

export interface TreeRepairOptions {
  algorithm: TreeAlgorithm
  /** The origin of the log. */
  origin: string
  /** The ledger's directory. */
  dir: string
  stored: StoredTiles
  /** Has bundles that the ledger lacks if damage is only reported; otherwise the repair of the log has put them in place. */
  source: SourceTiles
  /** Replaces a file by the right bytes, and returns the new path of the damaged file. If undefined, damage is only reported. */
  put: ((path: string, bytes: Uint8Array) => Promise<string | undefined>) | undefined
  found: (finding: Finding) => void
}

/** The proven end of the log. */
export interface LogEnd {
  /** The bindings of the tree, in the order of their entries. */
  bindings: readonly BoundTree[]
  /** The entries after the last full bundle; undefined when they could not be read. */
  rest: readonly Uint8Array[] | undefined
}

/** A root hash that the tree must have: stated by `from`, and reported for the path `file`. */
interface Claim {
  size: number
  root: Hash
  from: string
  file: string
}

/** A damaged or missing file of the tree, and its right text. `end`: the number of entries of the smallest tree that has the file. */
interface DamagedFile {
  path: string
  found: Found
  problem: string
  expected: string
  text: () => Promise<Uint8Array>
  end: number
}

export class TreeRepair {
  readonly algorithm: TreeAlgorithm
  readonly #options: TreeRepairOptions
  readonly #origin: string
  readonly #hasher: TreeHasher
  readonly #files: TreeFiles
  /** The hashes of the bundles in this tree, up to the first bundle whose hash is unknown. */
  readonly #roots = new BundleRoots()
  /** Bundles whose tile differs from their entries. */
  readonly #damaged: number[] = []
  /** The number of bundles that were added. */
  #count = 0
  #hasLost = false
  /** The first bundle whose entries and tile are both lost. */
  #broken: number | undefined
  /** The number of entries that the claims cover, and of those whose tiles are proven. */
  #covered = 0
  #proven = 0

  constructor(options: TreeRepairOptions) {
    this.algorithm = options.algorithm
    this.#options = options
    this.#origin = treeOrigin(options.origin, options.algorithm)
    this.#hasher = treeHasher(options.algorithm)
    this.#files = new TreeFiles(options.dir, options.algorithm)
  }

  /** Adds the proven entries of a bundle; undefined when they are lost. The entries of bundles that the caller leaves out are lost, too. */
  async add(index: number, entries: PackedEntries | undefined): Promise<void> {
    await this.upTo(index)
    if (entries === undefined) return this.#addLost()
    const stored = await this.#files.tile(0, index)
    const { root, leaves } = this.#bundle(entries, stored)
    if (leaves !== undefined) this.#damaged.push(index)
    if (this.#broken === undefined) this.#roots.add(root)
    this.#count += 1
  }

  /** Counts bundles as lost until `count` bundles were added. */
  async upTo(count: number): Promise<void> {
    while (this.#count < count) await this.#addLost()
  }

  async #addLost(): Promise<void> {
    const index = this.#count++
    this.#hasLost = true
    if (this.#broken !== undefined) return
    const leaves = await this.#files.hashes(0, index)
    if (leaves === undefined) this.#broken = index
    else this.#roots.add(subtreeRoot(leaves, this.#hasher))
  }

  #bundle({ bytes, offsets }: PackedEntries, stored: Found | undefined): TreeBundle {
    const entry = (i: number): Uint8Array => bytes.subarray(offsets[i], offsets[i + 1])
    return treeBundle(entry, this.#hasher, stored instanceof Uint8Array ? stored : undefined)
  }

  /** Compares the root hashes, then replaces the damaged files. @throws ClientError `file` */
  async end({ bindings, rest }: LogEnd): Promise<void> {
    const bound = bindings.at(-1)?.binding.vkey
    const vkey = bound ?? textIn(await this.#files.text('keys/ed25519.vkey'))?.trimEnd()
    const claims = [...bindings.map(claimOf), ...(await this.#checkpoint(vkey))]
    for (const claim of claims) {
      const root = await this.#rootAt(claim.size, rest)
      if (root !== undefined && root !== claim.root) return this.#contradicted(claim, root)
      if (root !== undefined) this.#proven = Math.max(this.#proven, claim.size)
      this.#covered = Math.max(this.#covered, claim.size)
    }
    if (bound !== undefined) await this.#identity(bound)
    for (const index of this.#damaged) await this.#leafTile(index)
    await this.#lostTile()
    await this.#upper()
  }

  /** Returns the claim of the tree's checkpoint; none when the checkpoint does not verify, which `verify` reports. */
  async #checkpoint(vkey: string | undefined): Promise<Claim[]> {
    const note = textIn(await this.#files.text('checkpoint'))
    if (note === undefined || vkey === undefined) return []
    try {
      const { bytes } = treeAlgorithm(this.algorithm)
      const { size, root } = openTreeCheckpoint(note, [vkey], { origin: this.#origin, bytes })
      return [{ size, root, from: "the tree's signed checkpoint", file: 'checkpoint' }]
    } catch {
      return []
    }
  }

  /** Returns the root hash of the first `size` entries; undefined when it cannot be computed. */
  async #rootAt(size: number, rest: LogEnd['rest']): Promise<Hash | undefined> {
    const full = Math.floor(size / TILE_WIDTH)
    const width = size % TILE_WIDTH
    if (this.#roots.count < full) return undefined
    const leaves = width === 0 ? [] : await this.#leaves(full, rest)
    if (leaves === undefined || leaves.length < width) return undefined
    return rootAt(this.#roots, size, leaves.slice(0, width), this.#hasher)
  }

  /** Returns the leaf hashes of a bundle, or those of the entries after the last full bundle. */
  async #leaves(index: number, rest: LogEnd['rest']): Promise<readonly Hash[] | undefined> {
    if (index === this.#count) return rest?.map((entry) => this.#hasher.leaf(entry))
    if (index >= this.#roots.count) return undefined
    const stored = await this.#files.hashes(0, index)
    if (stored !== undefined && subtreeRoot(stored, this.#hasher) === this.#root(index)) return stored
    return this.#computed(index)
  }

  /** Computes the leaf hashes of a bundle again; undefined when neither the ledger nor the source has its entries. */
  async #computed(index: number): Promise<readonly Hash[] | undefined> {
    const { stored, source } = this.#options
    const own = this.#leavesOf(index, (await stored.entries(index))?.entries)
    if (own !== undefined) return own
    const offered = await source.bundle(index)
    return offered.root === undefined ? undefined : this.#leavesOf(index, offered.entries)
  }

  /** Returns the leaf hashes of a bundle if these are its entries. */
  #leavesOf(index: number, entries: PackedEntries | undefined): readonly Hash[] | undefined {
    if (entries === undefined) return undefined
    const { root, leaves } = this.#bundle(entries, undefined)
    return root === this.#root(index) ? leaves : undefined
  }

  /** Returns the hash of a bundle; undefined when it is unknown. */
  #root(index: number): Hash | undefined {
    return index < this.#roots.count ? this.#roots.hashes(index, index + 1)[0] : undefined
  }

  #contradicted({ size, root, from, file }: Claim, found: Hash): void {
    this.#options.found({
      path: this.#path(file),
      expected: `the root hash ${root} of ${size} entries, which ${from} states`,
      found: `the root hash ${found}`,
      outcome: 'unrepaired',
      reason: this.#hasLost
        ? 'the log has lost entries, and the tiles of this tree over them may be damaged, too; no file of the tree was changed'
        : 'the entries, which the tree of the log proves, do not give it; no file of the tree was changed',
    })
  }

  /** Replaces the tree's origin and key. */
  async #identity(vkey: string): Promise<void> {
    for (const [path, line] of [
      ['origin', this.#origin],
      ['keys/ed25519.vkey', vkey],
    ] as const) {
      const text = nativeCodec.utf8Encode(`${line}\n`)
      const found = await this.#files.text(path)
      if (found instanceof Uint8Array && equalBytes(found, text)) continue
      const problem = found instanceof Uint8Array ? 'other text' : found.problem
      const expected = 'the text that the log binds'
      await this.#repair({ path, found, problem, expected, text: async () => text, end: 0 })
    }
  }

  async #leafTile(index: number): Promise<void> {
    const found = await this.#files.tile(0, index)
    const root = this.#root(index)
    await this.#tile(
      0,
      index,
      found,
      root === undefined ? undefined : `the hash ${root} over its lines`,
      async () => {
        const leaves = await this.#computed(index)
        if (leaves !== undefined) return nativeCodec.asciiEncode(formatHashTile(leaves))
        throw new ClientError(
          'file',
          `${this.#path(tilePath(0, index))}: its entries changed during the repair`,
        )
      },
    )
  }

  /** Reports the tile whose loss ends the computation. */
  async #lostTile(): Promise<void> {
    if (this.#broken === undefined) return
    const path = tilePath(0, this.#broken)
    if ((this.#broken + 1) * TILE_WIDTH > this.#covered) return
    this.#options.found({
      path: this.#path(path),
      expected: '256 lines of its format',
      found: this.#files.problem(await this.#files.tile(0, this.#broken)),
      outcome: 'unrepaired',
      reason: 'the entries of its bundle are lost, too; the tiles above it were not checked',
    })
  }

  async #upper(): Promise<void> {
    for (const { level, index, hashes } of upperTiles(this.#roots, this.#hasher)) {
      const text = nativeCodec.asciiEncode(formatHashTile(hashes))
      const found = await this.#files.tile(level, index)
      if (found instanceof Uint8Array && equalBytes(found, text)) continue
      const expected = `the hash ${subtreeRoot(hashes, this.#hasher)} over its lines`
      await this.#tile(level, index, found, expected, async () => text)
    }
  }

  #tile(
    level: number,
    index: number,
    found: Found,
    expected: string | undefined,
    text: () => Promise<Uint8Array>,
  ): Promise<void> {
    return this.#repair({
      path: tilePath(level, index),
      found,
      problem: this.#files.problem(found),
      expected: expected ?? 'the hashes of its entries',
      text,
      end: tileSpan(tileOf(level, index)).end,
    })
  }

  /** Reports a file, and replaces it if the tree proves the right bytes. */
  async #repair({ path: file, found, problem, expected, text, end }: DamagedFile): Promise<void> {
    const isMissing = !(found instanceof Uint8Array) && found.isMissing
    // The tree has not sealed this tile yet.
    if (isMissing && end > this.#covered) return
    const path = this.#path(file)
    const what = { path, expected, found: problem }
    if (end > this.#proven) {
      const reason = 'no root hash that the log binds or the tree has signed proves it'
      return this.#options.found({ ...what, outcome: 'unrepaired', reason })
    }
    const { put } = this.#options
    if (put === undefined) return this.#options.found({ ...what, outcome: 'repairable', from: 'ledger' })
    const kept = await put(path, await text())
    this.#options.found({
      ...what,
      outcome: 'repaired',
      from: 'ledger',
      ...(kept === undefined ? {} : { kept }),
    })
  }

  #path(path: string): string {
    return `${this.algorithm}/${path}`
  }
}

function claimOf({ index, binding: { size, root } }: BoundTree): Claim {
  return { size, root, from: `entry ${index} of the log`, file: 'tile' }
}
