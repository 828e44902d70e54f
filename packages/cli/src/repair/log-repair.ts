/**
 * Compares each full tile and bundle of one log with its signed tree, from the top down, and replaces the files that differ.
 *
 * The signed checkpoint proves the hashes of the highest tiles, and the lines of each tile prove the tiles below it. So the repair knows
 * the hash of every file's right bytes before it reads them from the source, and accepts no other bytes.
 */
import { nativeKernel } from '@service-fs/native/native'
import type { Hash } from '@service-fs/tlog/hash'
import type { PackedEntries } from '@service-fs/tlog/kernel/kernel'
import { storedPath, TILE_WIDTH, tileSpan, type Tile } from '@service-fs/tlog/tile'
import type { Finding, Origin } from './finding.ts'
import { RunHashes } from './run-hashes.ts'
import type { Run, SignedRuns } from './signed-runs.ts'
import { binary, type Offered, type SourceTiles } from './source-tiles.ts'
import {
  hashAt,
  tileOf,
  type BundleHashes,
  type Hashes,
  type Stored,
  type StoredTiles,
} from './stored-tiles.ts'

export interface LogRepairOptions {
  /** The log's folder in the ledger: '' or `audit/`. */
  folder: string
  tree: SignedRuns
  stored: StoredTiles
  source: SourceTiles
  /** Replaces a file by the right bytes, and returns the new path of the damaged file. If undefined, damage is only reported. */
  put: ((path: string, bytes: Uint8Array) => Promise<string | undefined>) | undefined
  found: (finding: Finding) => void
  /**
   * Called for each full bundle, in order, with its proven entries; undefined when neither the ledger nor the source has them. Not called for
   * bundles below a tile whose hashes are unknown.
   */
  bundle?: ((index: number, entries: PackedEntries | undefined) => Promise<void>) | undefined
  progress?: ((entries: number, size: number) => void) | undefined
}

/** The proven bytes of a file and their origin, or the reason why there are none. */
type Right = { text: () => Uint8Array; from: Origin } | { reason: string }

export class LogRepair {
  readonly #options: LogRepairOptions
  readonly #hashes: RunHashes

  constructor(options: LogRepairOptions) {
    this.#options = options
    this.#hashes = new RunHashes(options.stored, options.source)
  }

  /** @throws ClientError `connection`, `file` */
  async run(): Promise<void> {
    for (const run of this.#options.tree.runs) {
      const roots = await this.#hashes.of(run)
      if (roots === undefined) this.#broken(run)
      else for (const [i, root] of roots.entries()) await this.#tile(run.level, run.first + i, root)
    }
  }

  async #tile(level: number, index: number, hash: Hash): Promise<void> {
    if (level === 0) return this.#bundle(index, hash)
    const hashes = await this.#upper(level, index, hash)
    if (hashes === undefined) return
    for (let i = 0; i < TILE_WIDTH; i++)
      await this.#tile(level - 1, index * TILE_WIDTH + i, hashAt(hashes, i))
  }

  /** Repairs a tile above the leaves, and returns its hashes; undefined when neither the source nor the ledger has them. */
  async #upper(level: number, index: number, hash: Hash): Promise<Hashes | undefined> {
    const { stored, source } = this.#options
    const found = await stored.tile(level, index)
    if (found.root === hash) return found
    const offered = await source.tile(level, index)
    if (offered.root === hash) {
      await this.#repair(tileOf(level, index), found, hash, fromSource(offered))
      return offered
    }
    const run: Run = { level: level - 1, first: index * TILE_WIDTH, width: TILE_WIDTH, hash }
    const below = await this.#hashes.of(run)
    const hashes = below && binary(below)
    const right: Right =
      hashes === undefined
        ? {
            reason: `${refusal(offered, hash)}; the tiles below it do not yield it either and were not checked`,
          }
        : fromLedger(hashes)
    await this.#repair(tileOf(level, index), found, hash, right)
    return hashes
  }

  /** Repairs a bundle and the tile of its leaf hashes. */
  async #bundle(index: number, hash: Hash): Promise<void> {
    const { stored, progress, tree } = this.#options
    const bundle = await stored.bundle(index)
    const right = bundle.root === hash ? bundle : await this.#entries(index, bundle, hash)
    const tile = await stored.tile(0, index)
    if (tile.root !== hash) await this.#leafTile(index, tile, hash, right)
    await this.#options.bundle?.(index, right?.entries)
    progress?.((index + 1) * TILE_WIDTH, tree.size)
  }

  /** Replaces a bundle. Returns the bundle's entries if any copy of the bundle has them. */
  async #entries(index: number, found: Stored, hash: Hash): Promise<BundleHashes | undefined> {
    const { stored, source } = this.#options
    const tile = tileOf('entries', index)
    if (this.#isOptional(tile, found)) {
      const inTail = await stored.entries(index)
      return inTail?.root === hash ? inTail : undefined
    }
    const offered = await source.bundle(index)
    if (offered.root !== hash) {
      await this.#repair(tile, found, hash, { reason: refusal(offered, hash) })
      return undefined
    }
    await this.#repair(tile, found, hash, { text: () => offered.text, from: 'source' })
    return offered
  }

  async #leafTile(index: number, found: Stored, hash: Hash, leaves: Hashes | undefined): Promise<void> {
    const tile = tileOf(0, index)
    if (leaves !== undefined) return this.#repair(tile, found, hash, fromLedger(leaves))
    const offered = await this.#options.source.tile(0, index)
    const right: Right = offered.root === hash ? fromSource(offered) : { reason: refusal(offered, hash) }
    return this.#repair(tile, found, hash, right)
  }

  /** Reports a file, and replaces it if the right bytes are known. */
  async #repair(tile: Tile, found: Stored, hash: Hash, right: Right): Promise<void> {
    if (this.#isOptional(tile, found)) return
    const { put, folder } = this.#options
    const path = folder + storedPath(tile)
    const what = {
      path,
      expected: `the hash ${hash} over its lines`,
      found: found.root === undefined ? found.problem : `the hash ${found.root}`,
    }
    if ('reason' in right)
      return this.#options.found({ ...what, outcome: 'unrepaired', reason: right.reason })
    const { from } = right
    if (put === undefined) return this.#options.found({ ...what, outcome: 'repairable', from })
    const kept = await put(path, right.text())
    this.#options.found({ ...what, outcome: 'repaired', from, ...(kept === undefined ? {} : { kept }) })
  }

  /** Reports whether a file is missing because its entries have not been sealed yet. */
  #isOptional(tile: Tile, found: Stored): boolean {
    return found.root === undefined && found.isMissing && tileSpan(tile).end > this.#options.tree.sealed
  }

  #broken({ level, first, width, hash }: Run): void {
    const path = this.#options.folder + storedPath(tileOf(level, first))
    const of = width === 1 ? 'its lines' : `the tiles ${first} to ${first + width - 1} of its level`
    this.#options.found({
      path,
      expected: `the hash ${hash} over ${of}`,
      found: 'another hash, or none',
      outcome: 'unrepaired',
      reason:
        'neither the source nor the files below it yield that hash; the files below it were not checked',
    })
  }
}

function fromSource(hashes: Hashes): Right {
  return { text: () => nativeKernel.hashLines(hashes.bytes), from: 'source' }
}

function fromLedger(hashes: Hashes): Right {
  return { text: () => nativeKernel.hashLines(hashes.bytes), from: 'ledger' }
}

/** Returns the reason why the content from a source cannot be used. */
function refusal(offered: Offered<Hashes>, hash: Hash): string {
  return offered.root === undefined
    ? `the source has none: ${offered.reason}`
    : `the source has other content, with the hash ${offered.root} instead of ${hash}`
}
