import type { Edge } from '@service-fs/tlog/edge'
import type { Hash } from '@service-fs/tlog/hash'
import { divPow2, modPow2, popcount, pow2 } from '@service-fs/tlog/math'

/**
 * Returns the perfect subtrees in the partial tile above `level`. Each subtree is a run of full tiles of that level. The run's hash is from
 * the right edge at the end of the sealed entries. `first` is the index of the first tile of `level` that the partial tile covers.
 */
export function openRuns(
  edge: Edge,
  level: number,
  first: number,
): { first: number; width: number; hash: Hash }[] {
  const tiles = divPow2(edge.size / 256, 8 * level)
  const hashes = edge.hashes().slice(popcount(divPow2(tiles, 8)))
  const runs = []
  let at = first
  for (let bit = 7; bit >= 0; bit--) {
    if (modPow2(divPow2(tiles, bit), 1) === 0) continue
    const width = pow2(bit)
    runs.push({ first: at, width, hash: hashes[runs.length] as Hash })
    at += width
  }
  return runs
}
