// The WebAssembly module of src/kernel. Its callers own the memory from `base` on, and pass addresses into it.
import { decodeLine, encode } from './base64'
export { digests, leaves, nodes, root } from './tree'

/** The first free address of the memory. */
export const base: usize = __heap_base

/**
 * Writes `count` lines of base64 to `out`, each with its line feed, and the offset after each to `ends`. Line i
 * encodes the bytes at `bytes` from the i-th of `offsets` up to the next one. Returns the address after the last
 * line.
 */
export function encodeLines(bytes: usize, offsets: usize, count: usize, out: usize, ends: usize): usize {
  let at = out
  for (let i: usize = 0; i < count; i++) {
    const from = load<u32>(offsets + 4 * i)
    at = encode(bytes + from, load<u32>(offsets + 4 * i, 4) - from, at)
    store<u8>(at, 0x0a)
    at += 1
    store<u32>(ends + 4 * i, <u32>(at - out))
  }
  return at
}

/** Writes the lines of `count` hashes to `out`: 45 bytes each. */
export function encodeHashes(hashes: usize, count: usize, out: usize): void {
  for (let i: usize = 0; i < count; i++) {
    const end = encode(hashes + 32 * i, 32, out + 45 * i)
    store<u8>(end, 0x0a)
  }
}

/**
 * Decodes `count` lines of base64 in the `length` bytes at `text`, each with its line feed. Writes their bytes to `out`, and `count` + 1
 * offsets into them to `offsets`. Returns the number of lines that are well-formed: below `count`, the number of the first bad line; and
 * `count` + 1 when more text follows.
 */
export function decodeLines(text: usize, length: usize, count: usize, out: usize, offsets: usize): usize {
  const end = text + length
  let offset: u32 = 0
  store<u32>(offsets, 0)
  for (let i: usize = 0; i < count; i++) {
    const bytes = decodeLine(text, end, out + offset)
    if (bytes < 0) return i
    offset += bytes
    store<u32>(offsets + 4 * i, offset, 4)
    text += ((bytes + 2) / 3) * 4 + 1
  }
  return text == end ? count : count + 1
}
