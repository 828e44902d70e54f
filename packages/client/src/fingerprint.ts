/** HalfSipHash-2-4 with a 64-bit result (Aumasson and Bernstein, "SipHash: a fast short-input PRF", 32-bit version). */

/** The 64-bit key. */
export type FingerprintKey = readonly [number, number]

/** Returns a random key. It is secret, so that no writer can choose identifiers with equal fingerprints. */
export function randomKey(): FingerprintKey {
  const [a = 0, b = 0] = crypto.getRandomValues(new Uint32Array(2))
  return [a, b]
}

/** Writes the fingerprint of `bytes` from `from` up to, but not including, `to` into two words of `words` at `at`. */
export function fingerprint(
  bytes: Uint8Array,
  from: number,
  to: number,
  key: FingerprintKey,
  words: Uint32Array,
  at: number,
): void {
  const k0 = key[0]
  const k1 = key[1]
  let a = k0 | 0
  let b = (k1 ^ 0xee) | 0
  let c = 0x6c796765 ^ k0
  let d = 0x74656462 ^ k1
  const last = from + ((to - from) & ~3)
  // Process each block with two rounds, and then the two halves of the result with four rounds.
  for (let i = from, rounds = 2; ;) {
    let word = 0
    if (i < last) word = bytes[i]! | (bytes[i + 1]! << 8) | (bytes[i + 2]! << 16) | (bytes[i + 3]! << 24)
    else if (i === last) word = lastBlock(bytes, last, to, to - from)
    d ^= word
    do {
      a = (a + b) | 0
      b = ((b << 5) | (b >>> 27)) ^ a
      a = (a << 16) | (a >>> 16)
      c = (c + d) | 0
      d = ((d << 8) | (d >>> 24)) ^ c
      a = (a + d) | 0
      d = ((d << 7) | (d >>> 25)) ^ a
      c = (c + b) | 0
      b = ((b << 13) | (b >>> 19)) ^ c
      c = (c << 16) | (c >>> 16)
    } while (--rounds > 0)
    a ^= word
    if (i <= last) {
      rounds = i < last ? 2 : 4
      if (i === last) c ^= 0xee
    } else if (i === last + 4) {
      words[at] = b ^ d
      b ^= 0xdd
      rounds = 4
    } else {
      words[at + 1] = b ^ d
      return
    }
    i += 4
  }
}

/** Returns the remaining bytes, at most three, together with the length. */
function lastBlock(bytes: Uint8Array, from: number, to: number, length: number): number {
  let last = length << 24
  for (let i = from; i < to; i++) last |= bytes[i]! << (8 * (i - from))
  return last
}
