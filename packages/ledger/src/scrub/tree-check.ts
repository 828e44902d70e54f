/**
 * Compares the full tiles of a second tree with the entries of the log.
 *
 * The tree of the log proves a bundle, and the hashes of its entries are the lines of the second tree's tile at level 0. A line of a higher
 * tile is the hash over a tile below it, which the pass has checked before. If a line and that tile disagree, the line is compared with the
 * hash that the entries give.
 */
import type { TreeAlgorithm } from '@service-fs/format/tree-binding'
import { equalBytes } from '@service-fs/tlog/codec'
import { foldHashes, HashTree, tileFromLines, type TreeHash } from '@service-fs/tlog/hash-tree'
import type { Kernel } from '@service-fs/tlog/kernel/kernel'
import { TILE_WIDTH } from '@service-fs/tlog/tile'
import { formatTreePath } from '../second-tree/tree-path.ts'
import type { Runtime } from '../runtime.ts'
import type { Pacer } from './pacer.ts'
import { damageText, kernelOf, sliceAt, type Checked, type ReadSealed } from './sealed-check.ts'

export interface TreeCheckOptions {
  readonly algorithm: TreeAlgorithm
  readonly hash: TreeHash
  /** The number of entries that the tree covers: the folder must have all full tiles over them. */
  readonly size: number
  /** Reads a file in the tree's folder. */
  readonly read: ReadSealed
  readonly runtime: Runtime
}

/** The services of the log's check that the checks of second trees use. */
export interface CheckedLog {
  readonly pacer: Pacer
  /** Pauses after a read of this many bytes. @throws Stopped */
  readonly pause: (bytes: number) => Promise<void>
  /** Returns the text of a bundle; undefined unless the tree of the log proves it. @throws as SealedCheck.bundle() */
  readonly bundle: (index: number) => Promise<Uint8Array | undefined>
}

/** Checks the tiles of one second tree; see {@link TreeCheck}. */
export interface SecondTreeCheck {
  readonly algorithm: TreeAlgorithm
  /**
   * Checks the tiles that the entries of the bundle `index` complete. `text`: the text of the bundle; undefined unless the tree of the log
   * proves it.
   */
  bundle(index: number, text: Uint8Array | undefined, log: CheckedLog): Promise<Checked>
}

/** A tile on the disk: its hashes, or the reason why it has none. */
type Stored = { hashes: Uint8Array } | { hashes: undefined; problem: string }

export class TreeCheck implements SecondTreeCheck {
  readonly algorithm: TreeAlgorithm
  readonly #options: TreeCheckOptions
  readonly #kernel: Kernel

  constructor(options: TreeCheckOptions) {
    this.algorithm = options.algorithm
    this.#options = options
    this.#kernel = kernelOf(options.runtime)
  }

  async bundle(index: number, text: Uint8Array | undefined, log: CheckedLog): Promise<Checked> {
    const checked: Checked = { paths: [], findings: [] }
    if ((index + 1) * TILE_WIDTH > this.#options.size) return checked
    await this.#leaves(index, text, log, checked)
    for (let level = 1, at = index + 1; at % TILE_WIDTH === 0; level++) {
      at /= TILE_WIDTH
      await this.#upper(level, at - 1, log, checked)
    }
    return checked
  }

  /** Without the text of the bundle, reports only a tile that is no tile. Everything else shows once the bundle has been repaired. */
  async #leaves(
    index: number,
    text: Uint8Array | undefined,
    log: CheckedLog,
    checked: Checked,
  ): Promise<void> {
    const stored = await this.#tile(0, index, log)
    const expected = text && (await this.#leafHashes(text, log))
    const right = expected && (await this.#hashText(expected, log))
    if (stored.hashes === undefined) this.#damaged(0, index, right, stored.problem, checked)
    else if (expected === undefined) return
    else if (equalBytes(stored.hashes, expected)) checked.paths.push(this.#path(0, index))
    else this.#damaged(0, index, right, await this.#hashText(stored.hashes, log), checked)
  }

  async #upper(level: number, index: number, log: CheckedLog, checked: Checked): Promise<void> {
    const stored = await this.#tile(level, index, log)
    if (stored.hashes === undefined) return this.#damaged(level, index, undefined, stored.problem, checked)
    let isDecided = true
    for (let i = 0; i < TILE_WIDTH; i++) {
      const line = this.#hashAt(stored.hashes, i)
      const below = index * TILE_WIDTH + i
      if (await this.#agrees(line, level - 1, below, log)) continue
      const right = await this.#root(level - 1, below, log)
      if (right === undefined) isDecided = false
      else if (!equalBytes(line, right))
        return this.#damaged(level, index, `${this.#text(right)} in line ${i + 1}`, this.#text(line), checked)
    }
    if (isDecided) checked.paths.push(this.#path(level, index))
  }

  /** Reports whether the hash is that over the lines of a stored tile. */
  async #agrees(hash: Uint8Array, level: number, index: number, log: CheckedLog): Promise<boolean> {
    const { hashes } = await this.#tile(level, index, log)
    return hashes !== undefined && equalBytes(hash, await this.#fold(hashes, log))
  }

  /** Returns the hash over a tile, computed from the entries; undefined when a bundle below it is damaged. */
  async #root(level: number, index: number, log: CheckedLog): Promise<Uint8Array | undefined> {
    if (level === 0) {
      const text = await log.bundle(index)
      return text && this.#fold(await this.#leafHashes(text, log), log)
    }
    const { bytes } = this.#options.hash
    const roots = new Uint8Array(TILE_WIDTH * bytes)
    for (let i = 0; i < TILE_WIDTH; i++) {
      const root = await this.#root(level - 1, index * TILE_WIDTH + i, log)
      if (root === undefined) return undefined
      roots.set(root, i * bytes)
    }
    return this.#fold(roots, log)
  }

  /** Returns the hashes of a bundle's entries in this tree. */
  async #leafHashes(text: Uint8Array, { pacer }: CheckedLog): Promise<Uint8Array> {
    const tree = new HashTree(this.#options.hash)
    let leaves = new Uint8Array()
    for (let at = 0, count = 0; count < TILE_WIDTH;) {
      const { end, lines } = sliceAt(text, at, TILE_WIDTH - count)
      await pacer.compute(() => {
        const { bytes, offsets } = this.#kernel.readBundle(text.subarray(at, end), lines)
        for (let i = 0; i < lines; i++)
          tree.append(bytes.subarray(offsets[i], offsets[i + 1]), (level, _, hashes) => {
            if (level === 0) leaves = Uint8Array.from(hashes)
          })
      })
      at = end
      count += lines
    }
    return leaves
  }

  async #tile(level: number, index: number, log: CheckedLog): Promise<Stored> {
    const { read, hash, runtime } = this.#options
    try {
      const text = await read({ kind: 'tile', level, index }, log.pause)
      if (text === undefined) return { hashes: undefined, problem: 'none' }
      return {
        hashes: await log.pacer.compute(() => tileFromLines(text, hash.bytes, TILE_WIDTH, runtime.codec)),
      }
    } catch (error) {
      return { hashes: undefined, problem: damageText(error) }
    }
  }

  #damaged(
    level: number,
    index: number,
    right: string | undefined,
    found: string,
    { paths, findings }: Checked,
  ): void {
    const path = this.#path(level, index)
    paths.push(path)
    findings.push({ path, expected: right ?? '256 lines of its format', found })
  }

  async #hashText(hashes: Uint8Array, log: CheckedLog): Promise<string> {
    return `${this.#text(await this.#fold(hashes, log))} over its lines`
  }

  #text(hash: Uint8Array): string {
    return `the hash ${this.#options.runtime.codec.base64Encode(hash)}`
  }

  #hashAt(hashes: Uint8Array, i: number): Uint8Array {
    const { bytes } = this.#options.hash
    return hashes.subarray(i * bytes, (i + 1) * bytes)
  }

  #fold(hashes: Uint8Array, { pacer }: CheckedLog): Promise<Uint8Array> {
    return pacer.compute(() => foldHashes(hashes, this.#options.hash))
  }

  #path(level: number, index: number): string {
    return formatTreePath({ algorithm: this.algorithm, name: { kind: 'tile', level, index } })
  }
}
