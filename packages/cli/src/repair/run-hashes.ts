/**
 * Finds the hashes of the tiles in a run. The tree proves only the hash over all of them, so it does not show which of the tiles is
 * damaged. The hashes come from the tiles themselves, from the content below them, or from the source. The repair accepts only hashes that
 * combine to the proven hash, so their origin does not matter.
 */
import { nativeHasher } from '@service-fs/native/native'
import type { Hash } from '@service-fs/tlog/hash'
import { subtreeRoot } from '@service-fs/tlog/proof'
import { TILE_WIDTH } from '@service-fs/tlog/tile'
import type { Run } from './signed-runs.ts'
import type { SourceTiles } from './source-tiles.ts'
import type { StoredTiles } from './stored-tiles.ts'

/** The most choices that are tried for one run. */
const MOST_CHOICES = 4096

export class RunHashes {
  readonly #stored: StoredTiles
  readonly #source: SourceTiles

  constructor(stored: StoredTiles, source: SourceTiles) {
    this.#stored = stored
    this.#source = source
  }

  /** Returns the hashes of the run's tiles; undefined when no choice combines to its hash. @throws ClientError `connection`, `file` */
  async of({ level, first, width, hash }: Run): Promise<Hash[] | undefined> {
    if (width === 1) return [hash]
    const indexes = Array.from({ length: width }, (_, i) => first + i)
    const own: (Hash | undefined)[] = []
    for (const index of indexes) own.push((await this.#stored.tile(level, index)).root)
    const below: (Hash | undefined)[] = []
    for (const [i, index] of indexes.entries())
      if (own[i] === undefined) below[i] = await this.#below(level, index)
    const plain = choose(
      own.map((root, i) => distinct(root ?? below[i])),
      hash,
    )
    if (plain !== undefined) return plain
    for (const [i, index] of indexes.entries()) below[i] ??= await this.#below(level, index)
    const asked: (Hash | undefined)[] = []
    const ask = async (i: number): Promise<Hash | undefined> =>
      (asked[i] ??= (await this.#source.tile(level, first + i)).root)
    const doubtful: Hash[][] = []
    for (const [i, root] of own.entries())
      doubtful.push(root !== undefined && root === below[i] ? [root] : distinct(root, below[i], await ask(i)))
    const found = choose(doubtful, hash)
    if (found !== undefined) return found
    const offered: Hash[][] = []
    for (const [i, root] of own.entries()) offered.push(distinct((await ask(i)) ?? root ?? below[i]))
    return choose(offered, hash)
  }

  /** Returns the hash of a tile, computed from the stored content below it; undefined when some of this content is missing. */
  async #below(level: number, index: number): Promise<Hash | undefined> {
    if (level === 0) return (await this.#stored.entries(index))?.root
    const roots: Hash[] = []
    for (let i = 0; i < TILE_WIDTH; i++) {
      const { root } = await this.#stored.tile(level - 1, index * TILE_WIDTH + i)
      if (root === undefined) return undefined
      roots.push(root)
    }
    return subtreeRoot(roots, nativeHasher)
  }
}

function distinct(...hashes: (Hash | undefined)[]): Hash[] {
  return [...new Set(hashes.filter((hash) => hash !== undefined))]
}

/**
 * Chooses one hash from each list so that the chosen hashes combine to `hash`. If there are too many choices, tries only the first of each
 * list, the second (or last) of each list, and so on.
 */
export function choose(lists: readonly (readonly Hash[])[], hash: Hash): Hash[] | undefined {
  const choices = lists.reduce((product, list) => product * list.length, 1)
  if (choices === 0) return undefined
  const most = Math.max(...lists.map((list) => list.length))
  const count = choices <= MOST_CHOICES ? choices : most
  for (let n = 0; n < count; n++) {
    let rest = n
    const chosen = lists.map((list) => {
      if (choices > MOST_CHOICES) return list[Math.min(n, list.length - 1)] as Hash
      const one = list[rest % list.length] as Hash
      rest = Math.floor(rest / list.length)
      return one
    })
    if (subtreeRoot(chosen, nativeHasher) === hash) return chosen
  }
  return undefined
}
