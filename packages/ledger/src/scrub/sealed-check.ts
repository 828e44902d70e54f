/**
 * Compares the sealed tiles and bundles on the disk with the signed tree.
 *
 * The check normally takes the hash of a tile from the tile above it, or from memory. Neither has the hash if the tile above is damaged, or
 * if it is not full yet and its lower tiles have not been read since the ledger was opened. A higher level then proves only one hash over a
 * whole run of tiles. In this case the check takes the hashes from the tiles of the run. If they do not combine to the proven hash, the
 * check computes some of them from the content below the tiles.
 */
import { codeOf } from '@service-fs/format/errors'
import { formatObjectName, type SealedName } from '@service-fs/storage/object-name'
import { TlogError } from '@service-fs/tlog/errors'
import { HASH_SIZE, type Hash } from '@service-fs/tlog/hash'
import type { Kernel } from '@service-fs/tlog/kernel/kernel'
import { plainKernel } from '@service-fs/tlog/kernel/plain'
import { subtreeRoot } from '@service-fs/tlog/proof'
import { TILE_WIDTH } from '@service-fs/tlog/tile'
import type { Runtime } from '../runtime.ts'
import type { SealedTiles } from '../sealed-tiles.ts'
import { openRuns } from './open-runs.ts'
import { Stopped, type Pacer } from './pacer.ts'

/** A damaged file, with the content that the tree proves and the content that was found, both described without quoting them. */
export interface Finding {
  path: string
  expected: string
  found: string
}

/** The result of a check. */
export interface Checked {
  /** The paths that were checked. */
  paths: string[]
  /** The damaged files among `paths`. */
  findings: Finding[]
}

/** The result of the check of a bundle. */
export interface CheckedBundle extends Checked {
  /** The text of the bundle; undefined unless the tree proves it. */
  text: Uint8Array | undefined
}

/** Reads a sealed object; undefined when there is none. Calls `pause` after each part, with the number of bytes read. */
export type ReadSealed = (
  name: SealedName,
  pause: (bytes: number) => Promise<void>,
) => Promise<Uint8Array | undefined>

/** The state of an object on the disk: its text and the hash over its 256 lines, or the reason why it has no such hash. */
type Stored = { root: Hash; text: Uint8Array } | { root: undefined; problem: string }

type MaybeHashes = readonly (Hash | undefined)[]

/** A run of tiles whose hashes combine to one hash. */
interface Run {
  first: number
  width: number
  hash: Hash
}

/**
 * `roots`: the tile hashes that runs prove. `broken`: the runs whose hash cannot be combined from any hashes on the disk, by the first tile
 * of the run.
 */
interface Resolved {
  roots: Map<number, Hash>
  broken: Map<number, Run>
}

/** The number of bytes of text to parse and hash at once. */
const SLICE_BYTES = 128 * 1024
const LINE_FEED = 0x0a
/** The largest number of doubtful tiles in a run for which the check tries all combinations. */
const MAX_DOUBTFUL = 6

export class SealedCheck {
  readonly #sealed: SealedTiles
  readonly #runtime: Runtime
  readonly #kernel: Kernel
  readonly #read: ReadSealed
  readonly #pacer: Pacer
  /** The hashes computed for the last group of tiles whose tile above could not be used; `group` is the path of that tile. */
  #resolved: { group: string; found: Resolved } | undefined
  /** The number of bytes that were read. */
  bytes = 0

  constructor(sealed: SealedTiles, runtime: Runtime, read: ReadSealed, pacer: Pacer) {
    this.#sealed = sealed
    this.#runtime = runtime
    this.#kernel = kernelOf(runtime)
    this.#read = read
    this.#pacer = pacer
  }

  /**
   * Checks the bundle `index`, its hash tile, and the higher tiles that it completes.
   * @throws Stopped; StorageError when the disk could not be read for a reason other than damage
   */
  async bundle(index: number): Promise<CheckedBundle> {
    const tile = await this.#tile(0, index)
    const bundle = await this.#bundle(index)
    const expected = await this.#expected(0, index)
    const checked: CheckedBundle = { paths: [], findings: [], text: textOf(bundle, expected) }
    // If no hash is proven and a tile differs from its bundle, either of the two files may be damaged.
    const other = (one: Stored): Hash | undefined => expected ?? one.root
    this.#judge({ kind: 'tile', level: 0, index }, tile, other(bundle), checked)
    this.#judge({ kind: 'bundle', index }, bundle, other(tile), checked)
    if (expected === undefined) this.#reportBroken(0, index, checked)
    for (let level = 1, at = index + 1; at % TILE_WIDTH === 0; level++) {
      at /= TILE_WIDTH
      await this.#upper(level, at - 1, checked)
    }
    return checked
  }

  async #upper(level: number, index: number, checked: Checked): Promise<void> {
    const stored = await this.#tile(level, index)
    const expected = await this.#expected(level, index)
    this.#judge({ kind: 'tile', level, index }, stored, expected, checked)
    if (expected === undefined) this.#reportBroken(level, index, checked)
  }

  /** Returns the text of a bundle; undefined unless the tree proves it. @throws as {@link bundle} */
  async textOf(index: number): Promise<Uint8Array | undefined> {
    return textOf(await this.#bundle(index), await this.#expected(0, index))
  }

  /** Pauses after a read of this many bytes, and counts them. @throws Stopped */
  readonly pause: (count: number) => Promise<void> = async (count) => {
    this.bytes += count
    await this.#pacer.read(count)
  }

  /** Forgets the hashes that were computed because tiles were damaged. Call it when files may have been repaired. */
  forget(): void {
    this.#resolved = undefined
  }

  #judge(name: SealedName, stored: Stored, expected: Hash | undefined, { paths, findings }: Checked): void {
    const path = formatObjectName(name)
    paths.push(path)
    const hash = expected === undefined ? '256 lines of its format' : `the hash ${expected} over its lines`
    if (stored.root === undefined) findings.push({ path, expected: hash, found: stored.problem })
    else if (expected !== undefined && stored.root !== expected)
      findings.push({ path, expected: hash, found: `the hash ${stored.root}` })
  }

  /**
   * Reports, once for a whole run, that its tiles and bundles agree with each other but contradict the tree. The finding names the first
   * tile of the run.
   */
  #reportBroken(level: number, index: number, { findings }: Checked): void {
    const run = this.#resolved?.found.broken.get(index)
    const path = formatObjectName({ kind: 'tile', level, index })
    if (run === undefined || findings.some((finding) => finding.path === path)) return
    const last = run.first + run.width - 1
    findings.push({
      path,
      expected: `the hash ${run.hash} over the tiles ${run.first} to ${last} of its level`,
      found: 'another hash over them',
    })
  }

  /** Returns the hash of a tile in the signed tree; undefined when damage hides it. */
  async #expected(level: number, index: number): Promise<Hash | undefined> {
    try {
      return await this.#sealed.rootOf(level, index)
    } catch (error) {
      if (!isDamage(error)) throw error
    }
    const above = Math.floor(index / TILE_WIDTH)
    const group = `${level + 1}/${above}`
    let known = this.#resolved?.group === group ? this.#resolved.found : undefined
    if (known === undefined || (!known.roots.has(index) && isOpen(this.#sealed, level, above))) {
      known = await this.#resolve(level, above)
      this.#resolved = { group, found: known }
    }
    return known.roots.get(index)
  }

  /** Finds the hashes of the tiles below the tile `above` of the next level. */
  async #resolve(level: number, above: number): Promise<Resolved> {
    const resolved: Resolved = { roots: new Map(), broken: new Map() }
    for (const run of await this.#runs(level, above)) {
      const indexes = Array.from({ length: run.width }, (_, i) => run.first + i)
      const own: (Hash | undefined)[] = []
      for (const index of indexes) own.push((await this.#tile(level, index)).root)
      const below: (Hash | undefined)[] = []
      for (const [i, index] of indexes.entries())
        if (own[i] === undefined) below[i] = await this.#contentRoot(level, index)
      let roots = this.#combination(run, own, below)
      if (roots === undefined) {
        for (const [i, index] of indexes.entries()) below[i] ??= await this.#contentRoot(level, index)
        roots = this.#combination(run, own, below)
      }
      roots?.forEach((root, i) => resolved.roots.set(run.first + i, root))
      const agree = own.every((root, i) => root !== undefined && root === below[i])
      if (roots === undefined && agree) resolved.broken.set(run.first, run)
    }
    return resolved
  }

  async #runs(level: number, above: number): Promise<Run[]> {
    const first = above * TILE_WIDTH
    if (isOpen(this.#sealed, level, above)) return openRuns(this.#sealed.edge(), level, first)
    const hash = await this.#expected(level + 1, above)
    return hash === undefined ? [] : [{ first, width: TILE_WIDTH, hash }]
  }

  /**
   * Returns hashes for the tiles of a run that combine to the run's hash. Each of these hashes is computed from the tile itself, or from
   * the content below it.
   */
  #combination({ hash }: Run, own: MaybeHashes, below: MaybeHashes): readonly Hash[] | undefined {
    const doubtful = own.flatMap((root, i) => (root && below[i] && root !== below[i] ? [i] : []))
    const tried = doubtful.length > MAX_DOUBTFUL ? [0, 2 ** doubtful.length - 1] : undefined
    for (const mask of tried ?? Array.from({ length: 2 ** doubtful.length }, (_, i) => i)) {
      const roots = own.map((root, i) => {
        const bit = doubtful.indexOf(i)
        return bit >= 0 && Math.floor(mask / 2 ** bit) % 2 === 1 ? below[i] : (root ?? below[i])
      })
      if (this.#combines(roots, hash)) return roots
    }
    return undefined
  }

  #combines(roots: MaybeHashes, hash: Hash): roots is readonly Hash[] {
    const known = roots.filter((root) => root !== undefined)
    return known.length === roots.length && subtreeRoot(known, this.#runtime.hasher) === hash
  }

  /** Returns the hash over a tile, computed from the content below it. */
  async #contentRoot(level: number, index: number): Promise<Hash | undefined> {
    if (level === 0) return (await this.#bundle(index)).root
    const roots: Hash[] = []
    for (let i = 0; i < TILE_WIDTH; i++) {
      const { root } = await this.#tile(level - 1, index * TILE_WIDTH + i)
      if (root === undefined) return undefined
      roots.push(root)
    }
    return subtreeRoot(roots, this.#runtime.hasher)
  }

  async #tile(level: number, index: number): Promise<Stored> {
    return this.#stored({ kind: 'tile', level, index }, (bytes) =>
      this.#pacer.compute(() => this.#kernel.readHashTile(bytes, TILE_WIDTH)),
    )
  }

  async #bundle(index: number): Promise<Stored> {
    return this.#stored({ kind: 'bundle', index }, (bytes) => this.#leaves(bytes))
  }

  /** Reads an object, and returns the root hash over the binary hashes that `parse` extracts from its text. */
  async #stored(name: SealedName, parse: (bytes: Uint8Array) => Promise<Uint8Array>): Promise<Stored> {
    try {
      const text = await this.#read(name, this.pause)
      if (text === undefined) return { root: undefined, problem: 'none' }
      const hashes = await parse(text)
      return { root: this.#runtime.codec.base64Encode(this.#kernel.rootOf(hashes)), text }
    } catch (error) {
      return { root: undefined, problem: damageText(error) }
    }
  }

  /** Parses a bundle slice by slice; returns its leaf hashes in binary. @throws TlogError */
  async #leaves(bytes: Uint8Array): Promise<Uint8Array> {
    const leaves = new Uint8Array(TILE_WIDTH * HASH_SIZE)
    let at = 0
    for (let count = 0; count < TILE_WIDTH;) {
      const slice = sliceAt(bytes, at, TILE_WIDTH - count)
      const found = await this.#pacer.compute(() =>
        this.#kernel.readBundle(bytes.subarray(at, slice.end), slice.lines),
      )
      leaves.set(found.leaves, count * HASH_SIZE)
      at = slice.end
      count += slice.lines
    }
    if (at < bytes.length) throw new TlogError('tile', `expected ${TILE_WIDTH} lines, found more`)
    return leaves
  }
}

function textOf(bundle: Stored, expected: Hash | undefined): Uint8Array | undefined {
  return bundle.root !== undefined && bundle.root === expected ? bundle.text : undefined
}

/** Describes the damage that a failed read of a file shows. @throws the error when it shows no damage */
export function damageText(error: unknown): string {
  if (error instanceof TlogError) return 'other text'
  if (error instanceof Stopped || !isDamage(error)) throw error
  return codeOf(error) === 'io' ? 'an I/O error' : 'another file'
}

export function kernelOf({ kernel, hasher, codec }: Runtime): Kernel {
  return kernel ?? plainKernel(hasher, codec)
}

/**
 * Returns the end and the number of the lines from `at` on that together have about {@link SLICE_BYTES}: at least one line, and at most
 * `most` lines.
 */
export function sliceAt(bytes: Uint8Array, at: number, most: number): { end: number; lines: number } {
  let end = at
  let lines = 0
  while (lines < most && (lines === 0 || end - at < SLICE_BYTES)) {
    const next = bytes.indexOf(LINE_FEED, end) + 1
    if (next === 0) throw new TlogError('tile', `expected ${TILE_WIDTH} lines, found fewer`)
    end = next
    lines += 1
  }
  return { end, lines }
}

/** Reports whether the tile `above` the tiles of `level` is not full yet. */
function isOpen(sealed: SealedTiles, level: number, above: number): boolean {
  return above >= sealed.sealedAt(level + 1)
}

/** Reports whether an error means that a stored object is damaged: it differs from the tree, or the medium fails. */
function isDamage(error: unknown): boolean {
  return codeOf(error) === 'corrupt' || codeOf(error) === 'io'
}
