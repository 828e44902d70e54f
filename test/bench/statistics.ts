// Medians, ranges, percentiles, and ratios of paired rounds.

/** The median of some values with the lowest and the highest of them. */
export interface Spread {
  median: number
  min: number
  max: number
}

/** Returns the middle value, or the mean of the two in the middle. Throws a RangeError without values. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const upper = sorted[Math.floor(sorted.length / 2)]
  if (upper === undefined) throw new RangeError('median: expected at least one value')
  return sorted.length % 2 === 1 ? upper : ((sorted[sorted.length / 2 - 1] ?? upper) + upper) / 2
}

/** Returns median and range. Throws a RangeError without values. */
export function spreadOf(values: readonly number[]): Spread {
  return { median: median(values), min: Math.min(...values), max: Math.max(...values) }
}

/**
 * Returns the percentile by the nearest-rank method: the smallest value such that at least p percent of all values are not greater.
 * Throws a RangeError without values, and unless 0 < p ≤ 100.
 */
export function percentile(values: readonly number[], p: number): number {
  if (!(p > 0 && p <= 100)) throw new RangeError(`percentile: expected 0 < p <= 100, found ${p}`)
  const rank = Math.ceil((p / 100) * values.length)
  const found = values.toSorted((a, b) => a - b)[rank - 1]
  if (found === undefined) throw new RangeError('percentile: expected at least one value')
  return found
}

/**
 * Returns the spread of the ratios a ÷ b, round by round; undefined when no round has both. The values of a round were measured one after
 * the other, so a disturbance of the whole round cancels out.
 */
export function ratioOf(a: ReadonlyMap<number, number>, b: ReadonlyMap<number, number>): Spread | undefined {
  const ratios = [...a].flatMap(([round, value]) => {
    const other = b.get(round)
    return other === undefined || other === 0 ? [] : [value / other]
  })
  return ratios.length === 0 ? undefined : spreadOf(ratios)
}
