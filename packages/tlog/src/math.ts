import { TlogError } from './errors.ts'

// Arithmetic on tree sizes and indexes, which are safe integers. JavaScript's bit operators truncate to 32 bits, so no other file
// may use them on a size. Division by a power of two is exact in a double.

/** The largest size and index: 2^53 - 1. */
export const MAX_SIZE: number = Number.MAX_SAFE_INTEGER

const POW2: number[] = []
for (let k = 0, power = 1; k < 1024; k++, power *= 2) POW2.push(power)

/** Reports whether `n` is a size or an index: an integer from 0 to 2^53 - 1. */
export function isSize(n: number): boolean {
  return Number.isSafeInteger(n) && n >= 0
}

/** Checks that `n` is a size or an index. `what` names it in the message. @throws TlogError `range` */
export function checkSize(n: number, what: string): void {
  if (!isSize(n)) throw new TlogError('range', `expected ${what} between 0 and 2^53 - 1, found ${n}`)
}

/** Returns 2^k, for k from 0 to 1023. */
export function pow2(k: number): number {
  return POW2[k]!
}

/** Returns floor(n / 2^k). */
export function divPow2(n: number, k: number): number {
  return Math.floor(n / POW2[k]!)
}

/** Returns n mod 2^k. */
export function modPow2(n: number, k: number): number {
  return n % POW2[k]!
}

/** Returns the number of 1 bits of `n`. */
export function popcount(n: number): number {
  return popcount32(n >>> 0) + popcount32(divPow2(n, 32))
}

function popcount32(n: number): number {
  let count = 0
  for (let rest = n; rest !== 0; rest &= rest - 1) count++
  return count
}

/** Returns the number of trailing 0 bits of `n`. @throws TlogError `range` for 0 */
export function trailingZeros(n: number): number {
  const low = n >>> 0
  if (low !== 0) return 31 - Math.clz32(low & -low)
  const high = divPow2(n, 32)
  if (high === 0) throw new TlogError('range', 'expected a positive integer, found 0')
  return 63 - Math.clz32(high & -high)
}

/** Returns the number of bits of `n`: 0 for 0, otherwise floor(log2(n)) + 1. */
export function bitLength(n: number): number {
  const high = divPow2(n, 32)
  return high === 0 ? 32 - Math.clz32(n) : 64 - Math.clz32(high)
}

/** Returns the largest power of two below `n`, for n ≥ 2: the split k of RFC 6962 section 2.1. */
export function largestPowerOfTwoBelow(n: number): number {
  return pow2(bitLength(n - 1) - 1)
}

/** Parses ASCII decimal without leading zeros, up to 2^53 - 1. Returns undefined for any other text. */
export function parseDecimal(text: string): number | undefined {
  if (text.length > 16 || !/^(?:0|[1-9][0-9]*)$/.test(text)) return undefined
  const value = Number(text)
  return value <= MAX_SIZE ? value : undefined
}
