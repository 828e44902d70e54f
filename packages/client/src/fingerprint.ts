/** HalfSipHash-2-4 with a 64-bit result (Aumasson and Bernstein, "SipHash: a fast short-input PRF", 32-bit version). */

/** The 64-bit key. */
export type FingerprintKey = readonly [number, number]

/** Returns a random key. A writer who does not know it can't choose identifiers with equal fingerprints. */
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
  const [k0, k1] = key
  let [a, b, c, d] = [k0 | 0, (k1 ^ 0xee) | 0, 0x6c796765 ^ k0, 0x74656462 ^ k1]
  const blocks = ((to - from) >> 2) + 1
  // Each block, then the two halves of the result.
  for (let step = 0; step < blocks + 2; step++) {
    const isBlock = step < blocks
    const word = isBlock ? block(bytes, from, to, step) : 0
    if (step === blocks) c ^= 0xee
    if (step === blocks + 1) b ^= 0xdd
    d ^= word
    for (let i = isBlock ? 2 : 4; i > 0; i--) {
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
    }
    a ^= word
    if (!isBlock) words[at + step - blocks] = b ^ d
  }
}

/** Returns four bytes, or the up to three bytes that are left together with the length. */
function block(bytes: Uint8Array, from: number, to: number, index: number): number {
  const at = from + 4 * index
  if (at + 4 <= to)
    return bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)
  let last = (to - from) << 24
  for (let i = at; i < to; i++) last |= bytes[i]! << (8 * (i - at))
  return last
}
