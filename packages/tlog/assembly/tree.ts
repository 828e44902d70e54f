// The hashes of RFC 6962 section 2.1, many at once.
import { compress, compressLastOf65, digest, start, startLane } from './sha256'

/** Memory for four blocks that this file builds: the first and the last blocks of messages. */
const BLOCKS: usize = memory.data(256, 16)
/** 64 bytes of ones, then 64 of zeros. */
const MASK: usize = memory.data<u64>([-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0])
/** For each lane: the address after the message's first byte, the length of the message, the bytes hashed so far, the address of its hash. */
const LANES: usize = memory.data(64, 16)

/** Whether each message begins with a zero byte that is not in the memory. */
let isPrefixed: bool = false

/**
 * Writes the leaf hash SHA-256(0x00 || entry) of each of `count` entries to `out`. Entry i is the bytes at `bytes` from the i-th of
 * `offsets` up to the next one. The byte before the first entry and the 128 bytes after the last one must be readable.
 */
export function leaves(bytes: usize, offsets: usize, count: usize, out: usize): void {
  isPrefixed = true
  hashAll(bytes, offsets, count, out)
}

/** Writes the SHA-256 of each of `count` messages to `out`; the arguments are as in {@link leaves}. */
export function digests(bytes: usize, offsets: usize, count: usize, out: usize): void {
  isPrefixed = false
  hashAll(bytes, offsets, count, out)
}

function hashAll(bytes: usize, offsets: usize, count: usize, out: usize): void {
  let next: usize = 0
  let running: usize = 0
  for (let lane: usize = 0; lane < 4; lane++) {
    if (next < count) {
      assign(lane, bytes, offsets, next, out)
      next++
      running++
    } else store<usize>(LANES + 16 * lane, 0)
  }
  while (running > 0) {
    const block0 = block(0)
    const block1 = block(1)
    const block2 = block(2)
    const block3 = block(3)
    compress(block0, block1, block2, block3)
    for (let lane: usize = 0; lane < 4; lane++) {
      const at = LANES + 16 * lane
      // The padding of at least 9 bytes fits the last block.
      if (load<usize>(at) == 0 || load<u32>(at, 8) < load<u32>(at, 4) + 9) continue
      digest(lane, load<usize>(at, 12))
      if (next < count) {
        assign(lane, bytes, offsets, next, out)
        next++
      } else {
        store<usize>(at, 0)
        running--
      }
    }
  }
}

/** Gives a lane message number `i`. */
function assign(lane: usize, bytes: usize, offsets: usize, i: usize, out: usize): void {
  const from = load<u32>(offsets + 4 * i)
  const at = LANES + 16 * lane
  const prefix: u32 = isPrefixed ? 1 : 0
  store<usize>(at, bytes + from + 1 - prefix)
  store<u32>(at, load<u32>(offsets + 4 * i, 4) - from + prefix, 4)
  store<u32>(at, 0, 8)
  store<usize>(at, out + 32 * i, 12)
  startLane(lane)
}

/** Returns the address of the next block of a lane's message. */
function block(lane: usize): usize {
  const at = LANES + 16 * lane
  const second = load<usize>(at)
  const built = BLOCKS + 64 * lane
  if (second == 0) return built
  const length = load<i32>(at, 4)
  const hashed = load<i32>(at, 8)
  store<i32>(at, hashed + 64, 8)
  const source = second + hashed - 1
  const left = length - hashed
  if (hashed > 0 && left >= 64) return source
  const mask = MASK + 64 - <usize>max(min(left, 64), 0)
  v128.store(built, v128.and(v128.load(source), v128.load(mask)))
  v128.store(built, v128.and(v128.load(source, 16), v128.load(mask, 16)), 16)
  v128.store(built, v128.and(v128.load(source, 32), v128.load(mask, 32)), 32)
  v128.store(built, v128.and(v128.load(source, 48), v128.load(mask, 48)), 48)
  if (hashed == 0 && isPrefixed) store<u8>(built, 0)
  if (left >= 0 && left < 64) store<u8>(built + left, 0x80)
  if (left < 56) store<u32>(built, bswap<u32>(8 * length), 60)
  return built
}

/**
 * Writes SHA-256(0x01 || left || right) of each of `count` pairs of hashes at `pairs` to `out`, which may be the same address. The byte
 * before the first pair must be readable.
 */
export function nodes(pairs: usize, count: usize, out: usize): void {
  for (let i: usize = 0; i < count; i += 4) {
    const last = count - 1
    const pair0 = pairs + 64 * i
    const pair1 = pairs + 64 * min(i + 1, last)
    const pair2 = pairs + 64 * min(i + 2, last)
    const pair3 = pairs + 64 * min(i + 3, last)
    firstBlock(pair0, BLOCKS)
    firstBlock(pair1, BLOCKS + 64)
    firstBlock(pair2, BLOCKS + 128)
    firstBlock(pair3, BLOCKS + 192)
    start()
    compress(BLOCKS, BLOCKS + 64, BLOCKS + 128, BLOCKS + 192)
    compressLastOf65(load<u8>(pair0, 63), load<u8>(pair1, 63), load<u8>(pair2, 63), load<u8>(pair3, 63))
    const found = min(<usize>4, count - i)
    for (let lane: usize = 0; lane < found; lane++) digest(lane, out + 32 * (i + lane))
  }
}

// @ts-ignore: decorator
@inline
function firstBlock(pair: usize, out: usize): void {
  v128.store(out, i8x16.replace_lane(v128.load(pair - 1), 0, 1))
  v128.store(out, v128.load(pair + 15), 16)
  v128.store(out, v128.load(pair + 31), 32)
  v128.store(out, v128.load(pair + 47), 48)
}

/**
 * Replaces the first of `count` > 0 hashes at `hashes` by the root hash of their tree, and overwrites the others.
 */
export function root(hashes: usize, count: usize): void {
  while (count > 1) {
    const pairs = count / 2
    nodes(hashes, pairs, hashes)
    if (count % 2 == 1) memory.copy(hashes + 32 * pairs, hashes + 32 * (count - 1), 32)
    count = (count + 1) / 2
  }
}
