/**
 * The right edge of the upper tile levels, over the sealed tiles.
 *
 * Each level from 1 on has one partial tile. Its hashes are the roots of full tiles one level below. After opening, only their
 * combination is known: the right edge of the tree. The single hashes are read from the tiles below when they are needed, and must
 * combine to that edge.
 */
import { Edge } from '@service-fs/tlog/edge'
import type { Hash, Hasher } from '@service-fs/tlog/hash'
import { divPow2, modPow2, popcount, pow2 } from '@service-fs/tlog/math'
import { subtreeRoot } from '@service-fs/tlog/proof'
import { LedgerError } from './errors.ts'

/** Returns the hashes of a sealed full tile, not checked against the tree. */
export type RawTile = (level: number, index: number) => Promise<readonly Hash[]>

/** The partial tile of one level. */
interface OpenTile {
  /** The tile's index within its level. */
  index: number
  /** How many of its first hashes are not read yet. */
  missing: number
  /** The hashes after the missing ones. */
  hashes: Hash[]
  /** The running read of the missing hashes. */
  reading: Promise<void> | undefined
}

/** A tile at level 1 or above that new tiles have filled. */
export interface FullTile {
  level: number
  index: number
  hashes: readonly Hash[]
  /** The root hash over the tile. */
  root: Hash
}

export class Frontier {
  readonly #raw: RawTile
  readonly #hasher: Hasher
  /** The right edge over the roots of the sealed level-0 tiles. */
  readonly #edge: Edge
  readonly #open: OpenTile[] = []

  /** `edge`: the right edge at the end of the sealed entries, a multiple of 256. */
  constructor(edge: Edge, raw: RawTile, hasher: Hasher) {
    this.#edge = new Edge(edge.size / 256, edge.hashes())
    this.#raw = raw
    this.#hasher = hasher
  }

  /** Sealed tiles at level 0. */
  get tiles(): number {
    return this.#edge.size
  }

  /** Returns the right edge at the end of the sealed entries. */
  edge(): Edge {
    return new Edge(this.#edge.size * 256, this.#edge.hashes())
  }

  /** Returns how many full tiles are sealed at `level` (0 or above). */
  sealedAt(level: number): number {
    return divPow2(this.#edge.size, 8 * level)
  }

  /** Returns the partial tile at `level` (1 or above) with all its hashes. */
  async partial(level: number): Promise<{ index: number; hashes: readonly Hash[] }> {
    for (;;) {
      const tile = this.#at(level)
      if (tile.missing === 0) return tile
      await this.#fill(level, tile)
    }
  }

  /** How many level-0 tiles the partial tile of level 1 lacks. */
  get room(): number {
    return 256 - this.#width(1)
  }

  /** Returns the higher tiles that the next level-0 tiles fill, at most {@link room} of them, given by their roots. Changes nothing. */
  async completedBy(roots: readonly Hash[]): Promise<FullTile[]> {
    const full: FullTile[] = []
    for (let level = 1, next = roots; this.#width(level) + next.length === 256; level++) {
      const { index, hashes } = await this.partial(level)
      const all = [...hashes, ...next]
      const root = subtreeRoot(all, this.#hasher)
      full.push({ level, index, hashes: all, root })
      next = [root]
    }
    return full
  }

  /** Adds the roots of the next level-0 tiles. Call it when those tiles, and `full` of {@link completedBy}, are sealed. */
  push(roots: readonly Hash[], full: readonly FullTile[]): void {
    let next = roots
    for (const tile of full) {
      this.#open[tile.level] = { index: tile.index + 1, missing: 0, hashes: [], reading: undefined }
      next = [tile.root]
    }
    this.#at(full.length + 1).hashes.push(...next)
    for (const root of roots) this.#edge.append(root, this.#hasher)
  }

  #width(level: number): number {
    const tile = this.#at(level)
    return tile.missing + tile.hashes.length
  }

  #at(level: number): OpenTile {
    const known = this.#open[level]
    if (known !== undefined) return known
    const count = divPow2(this.#edge.size, 8 * (level - 1))
    const tile = { index: divPow2(count, 8), missing: modPow2(count, 8), hashes: [], reading: undefined }
    this.#open[level] = tile
    return tile
  }

  #fill(level: number, tile: OpenTile): Promise<void> {
    tile.reading ??= this.#read(level, tile).finally(() => {
      tile.reading = undefined
    })
    return tile.reading
  }

  async #read(level: number, tile: OpenTile): Promise<void> {
    const found: Hash[] = []
    for (let i = 0; i < tile.missing; i++) {
      found.push(subtreeRoot(await this.#raw(level - 1, tile.index * 256 + i), this.#hasher))
    }
    const hashes = [...found, ...tile.hashes]
    this.#check(level, tile, hashes)
    tile.hashes.unshift(...found)
    tile.missing = 0
  }

  /** Checks that the hashes combine to the perfect subtrees that the edge has at this level. */
  #check(level: number, tile: OpenTile, hashes: readonly Hash[]): void {
    const above = popcount(divPow2(this.#edge.size, 8 * level))
    const expected = this.#edge.hashes().slice(above)
    let at = 0
    for (let bit = 7; bit >= 0; bit--) {
      const width = pow2(bit)
      if (modPow2(divPow2(hashes.length, bit), 1) === 0) continue
      const hash = subtreeRoot(hashes.slice(at, at + width), this.#hasher)
      if (hash !== expected.shift()) throw this.#corrupt(level, tile, at, width)
      at += width
    }
  }

  #corrupt(level: number, tile: OpenTile, at: number, width: number): LedgerError {
    const first = tile.index * 256 + at
    return new LedgerError(
      'corrupt',
      `tile/${level - 1}: one of the tiles ${first} to ${first + width - 1} does not belong to the signed tree`,
    )
  }
}
