/** HalfSipHash-2-4 with a 64-bit result (Aumasson and Bernstein, "SipHash: a fast short-input PRF", 32-bit version). */

/** The 64-bit key. */
export type FingerprintKey = readonly [number, number]

/** Returns a random key. A writer who does not know it can't choose identifiers with equal fingerprints. */
export function randomKey(): FingerprintKey {
  const [a = 0, b = 0] = crypto.getRandomValues(new Uint32Array(2))
  return [a, b]
}

/** The state of one computation; reused, because a call must not allocate. */
let v0 = 0
let v1 = 0
let v2 = 0
let v3 = 0

function rounds(count: number): void {
  let [a, b, c, d] = [v0, v1, v2, v3]
  for (let i = 0; i < count; i++) {
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
  v0 = a
  v1 = b
  v2 = c
  v3 = d
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
  v0 = k0
  v1 = k1 ^ 0xee
  v2 = 0x6c796765 ^ k0
  v3 = 0x74656462 ^ k1
  const whole = to - ((to - from) & 3)
  for (let i = from; i < whole; i += 4)
    absorb(bytes[i]! | (bytes[i + 1]! << 8) | (bytes[i + 2]! << 16) | (bytes[i + 3]! << 24))
  let last = (to - from) << 24
  for (let i = whole; i < to; i++) last |= bytes[i]! << (8 * (i - whole))
  absorb(last)
  v2 ^= 0xee
  rounds(4)
  words[at] = v1 ^ v3
  v1 ^= 0xdd
  rounds(4)
  words[at + 1] = v1 ^ v3
}

function absorb(word: number): void {
  v3 ^= word
  rounds(2)
  v0 ^= word
}
