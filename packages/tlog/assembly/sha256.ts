// SHA-256 (FIPS 180-4) of four messages at once: lane i of every vector belongs to message i.

const K: usize = memory.data<u32>([
  0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
  0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
  0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
  0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
  0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
  0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
  0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
  0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
])

const INITIAL: usize = memory.data<u32>([
  0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
])

/** The chaining values: 8 vectors. */
const STATE: usize = memory.data(128, 16)
/** The message schedule: 64 vectors. */
const SCHEDULE: usize = memory.data(1024, 16)

/** Starts all four messages. */
export function start(): void {
  for (let i: usize = 0; i < 8; i++) v128.store(STATE + 16 * i, v128.load32_splat(INITIAL + 4 * i))
}

/** Starts the message of one lane. */
export function startLane(lane: usize): void {
  for (let i: usize = 0; i < 8; i++) store<u32>(STATE + 16 * i + 4 * lane, load<u32>(INITIAL + 4 * i))
}

/** Writes the 32 bytes of a lane's digest to `out`. */
export function digest(lane: usize, out: usize): void {
  for (let i: usize = 0; i < 8; i++) store<u32>(out + 4 * i, bswap<u32>(load<u32>(STATE + 16 * i + 4 * lane)))
}

/** Hashes the next block of each message: 64 bytes at each address. */
export function compress(block0: usize, block1: usize, block2: usize, block3: usize): void {
  for (let at: usize = 0; at < 64; at += 16) {
    const a = bigEndian(v128.load(block0 + at))
    const b = bigEndian(v128.load(block1 + at))
    const c = bigEndian(v128.load(block2 + at))
    const d = bigEndian(v128.load(block3 + at))
    const ab = v128.shuffle<i32>(a, b, 0, 4, 1, 5)
    const cd = v128.shuffle<i32>(c, d, 0, 4, 1, 5)
    const efgh = v128.shuffle<i32>(a, b, 2, 6, 3, 7)
    const ijkl = v128.shuffle<i32>(c, d, 2, 6, 3, 7)
    const out = SCHEDULE + 4 * at
    v128.store(out, v128.shuffle<i64>(ab, cd, 0, 2))
    v128.store(out, v128.shuffle<i64>(ab, cd, 1, 3), 16)
    v128.store(out, v128.shuffle<i64>(efgh, ijkl, 0, 2), 32)
    v128.store(out, v128.shuffle<i64>(efgh, ijkl, 1, 3), 48)
  }
  rounds()
}

/**
 * Hashes the second block of four messages of 65 bytes. `last0` to `last3` are their last bytes: the rest of the block is padding.
 */
export function compressLastOf65(last0: u32, last1: u32, last2: u32, last3: u32): void {
  let word = i32x4.splat(0x00800000)
  word = i32x4.replace_lane(word, 0, 0x00800000 | (last0 << 24))
  word = i32x4.replace_lane(word, 1, 0x00800000 | (last1 << 24))
  word = i32x4.replace_lane(word, 2, 0x00800000 | (last2 << 24))
  word = i32x4.replace_lane(word, 3, 0x00800000 | (last3 << 24))
  v128.store(SCHEDULE, word)
  const zero = i32x4.splat(0)
  for (let i: usize = 1; i < 15; i++) v128.store(SCHEDULE + 16 * i, zero)
  v128.store(SCHEDULE + 16 * 15, i32x4.splat(65 * 8))
  rounds()
}

// @ts-ignore: decorator
@inline
function bigEndian(words: v128): v128 {
  return v128.shuffle<i8>(words, words, 3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12)
}

// @ts-ignore: decorator
@inline
function rotr(x: v128, n: i32): v128 {
  return v128.or(i32x4.shr_u(x, n), i32x4.shl(x, 32 - n))
}

// @ts-ignore: decorator
@inline
function add(a: v128, b: v128): v128 {
  return i32x4.add(a, b)
}

/** Extends the schedule by the vector at `w`. */
// @ts-ignore: decorator
@inline
function extend(w: usize): void {
  const w2 = v128.load(w - 32)
  const w15 = v128.load(w - 240)
  const s1 = v128.xor(v128.xor(rotr(w2, 17), rotr(w2, 19)), i32x4.shr_u(w2, 10))
  const s0 = v128.xor(v128.xor(rotr(w15, 7), rotr(w15, 18)), i32x4.shr_u(w15, 3))
  v128.store(w, add(add(s1, v128.load(w - 112)), add(s0, v128.load(w - 256))))
}

/** The value that round number `t` + `n` adds to the working variables a and e: h + Σ1(e) + Ch(e, f, g) + K + W. */
// @ts-ignore: decorator
@inline
function first(e: v128, f: v128, g: v128, h: v128, t: usize, n: usize): v128 {
  const s1 = v128.xor(v128.xor(rotr(e, 6), rotr(e, 11)), rotr(e, 25))
  const ch = v128.xor(g, v128.and(e, v128.xor(f, g)))
  const kw = add(v128.load32_splat(K + 4 * (t + n)), v128.load(SCHEDULE + 16 * (t + n)))
  return add(add(h, kw), add(s1, ch))
}

/** Σ0(a) + Maj(a, b, c), with ab = a ^ b and bc = b ^ c. */
// @ts-ignore: decorator
@inline
function second(a: v128, b: v128, ab: v128, bc: v128): v128 {
  const s0 = v128.xor(v128.xor(rotr(a, 2), rotr(a, 13)), rotr(a, 22))
  return add(s0, v128.xor(b, v128.and(ab, bc)))
}

/** Extends the schedule from its first 16 vectors, runs the 64 rounds, and adds the result to the chaining values. */
function rounds(): void {
  for (let t: usize = 16; t < 64; t += 4) {
    const w = SCHEDULE + 16 * t
    extend(w)
    extend(w + 16)
    extend(w + 32)
    extend(w + 48)
  }
  let a = v128.load(STATE)
  let b = v128.load(STATE, 16)
  let c = v128.load(STATE, 32)
  let d = v128.load(STATE, 48)
  let e = v128.load(STATE, 64)
  let f = v128.load(STATE, 80)
  let g = v128.load(STATE, 96)
  let h = v128.load(STATE, 112)
  let odd = v128.xor(b, c)
  for (let t: usize = 0; t < 64; t += 8) {
    // Eight rounds, after which every variable is in its place again.
    h = first(e, f, g, h, t, 0)
    d = add(d, h)
    let even = v128.xor(a, b)
    h = add(h, second(a, b, even, odd))
    g = first(d, e, f, g, t, 1)
    c = add(c, g)
    odd = v128.xor(h, a)
    g = add(g, second(h, a, odd, even))
    f = first(c, d, e, f, t, 2)
    b = add(b, f)
    even = v128.xor(g, h)
    f = add(f, second(g, h, even, odd))
    e = first(b, c, d, e, t, 3)
    a = add(a, e)
    odd = v128.xor(f, g)
    e = add(e, second(f, g, odd, even))
    d = first(a, b, c, d, t, 4)
    h = add(h, d)
    even = v128.xor(e, f)
    d = add(d, second(e, f, even, odd))
    c = first(h, a, b, c, t, 5)
    g = add(g, c)
    odd = v128.xor(d, e)
    c = add(c, second(d, e, odd, even))
    b = first(g, h, a, b, t, 6)
    f = add(f, b)
    even = v128.xor(c, d)
    b = add(b, second(c, d, even, odd))
    a = first(f, g, h, a, t, 7)
    e = add(e, a)
    odd = v128.xor(b, c)
    a = add(a, second(b, c, odd, even))
  }
  v128.store(STATE, add(a, v128.load(STATE)))
  v128.store(STATE, add(b, v128.load(STATE, 16)), 16)
  v128.store(STATE, add(c, v128.load(STATE, 32)), 32)
  v128.store(STATE, add(d, v128.load(STATE, 48)), 48)
  v128.store(STATE, add(e, v128.load(STATE, 64)), 64)
  v128.store(STATE, add(f, v128.load(STATE, 80)), 80)
  v128.store(STATE, add(g, v128.load(STATE, 96)), 96)
  v128.store(STATE, add(h, v128.load(STATE, 112)), 112)
}
