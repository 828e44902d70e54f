/** Decodes and compares canonical base64 (RFC 4648, sections 3.5 and 4) as bytes, without making text of them. */

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'
const PAD = 0x3d
const NEWLINE = 0x0a

/** Set in the value of a byte that is not in the alphabet. */
const NONE = 1 << 24

/** The value of each byte as the first, second, third and fourth character of a group of 24 bits. */
const [FIRST, SECOND, THIRD, FOURTH] = [18, 12, 6, 0].map((shift) => {
  const values = new Uint32Array(256).fill(NONE)
  for (let i = 0; i < 64; i++) values[ALPHABET.charCodeAt(i)] = i << shift
  return values
}) as [Uint32Array, Uint32Array, Uint32Array, Uint32Array]

/** The two characters of each 12 bits, as a little-endian number. */
const PAIRS = new Uint16Array(4096)
for (let i = 0; i < 4096; i++) PAIRS[i] = ALPHABET.charCodeAt(i >> 6) | (ALPHABET.charCodeAt(i & 63) << 8)

/** Lines that were decoded into one buffer. */
export interface DecodedLines {
  /** A zero byte and the bytes of the line, for each line. The zero byte is the prefix of a leaf hash (RFC 6962, section 2.1). */
  bytes: Uint8Array
  /** The offset of the zero byte of each line, then the offset of the end. */
  starts: Uint32Array
}

/** Returns a buffer for the lines of texts of up to `length` bytes, or `lines` if that is large enough. */
export function roomForLines(count: number, length: number, lines?: DecodedLines): DecodedLines {
  const least = Math.ceil((length * 3) / 4) + count + 4
  if (lines !== undefined && lines.bytes.length >= least) return lines
  return { bytes: new Uint8Array(Math.ceil(least * 1.25)), starts: new Uint32Array(count + 1) }
}

/**
 * Decodes exactly `count` lines of canonical base64, each with a newline, into `lines`. Returns false when `text` is anything else, or a line
 * has more than `limit` bytes.
 */
export function decodeLines(text: Uint8Array, count: number, limit: number, lines: DecodedLines): boolean {
  const { bytes, starts } = lines
  let at = 0
  let to = 0
  for (let line = 0; line < count; line++) {
    starts[line] = to
    bytes[to++] = 0
    const start = to
    for (;;) {
      const group =
        FIRST[text[at]!]! | SECOND[text[at + 1]!]! | THIRD[text[at + 2]!]! | FOURTH[text[at + 3]!]!
      // Beyond the end of the text, `group` is 0 or NONE: the text before it does not end in a newline.
      if (group >= NONE || at + 4 > text.length) break
      bytes[to] = group >> 16
      bytes[to + 1] = group >> 8
      bytes[to + 2] = group
      to += 3
      at += 4
    }
    if (text[at] !== NEWLINE) {
      const padded = lastGroup(text, at, bytes, to)
      if (padded === 0) return false
      to += padded
      at += 4
    }
    if (text[at] !== NEWLINE || to - start > limit) return false
    at += 1
  }
  starts[count] = to
  return at === text.length
}

/** Decodes a padded group, and returns the number of its bytes: 1 or 2, or 0 when it is not canonical. */
function lastGroup(text: Uint8Array, at: number, bytes: Uint8Array, to: number): number {
  if (at + 4 > text.length || text[at + 3] !== PAD) return 0
  const group = FIRST[text[at]!]! | SECOND[text[at + 1]!]!
  if (text[at + 2] === PAD) {
    if (group >= NONE || (group & 0xffff) !== 0) return 0
    bytes[to] = group >> 16
    return 1
  }
  const whole = group | THIRD[text[at + 2]!]!
  if (whole >= NONE || (whole & 0xff) !== 0) return 0
  bytes[to] = whole >> 16
  bytes[to + 1] = whole >> 8
  return 2
}

/** The bytes of a hash, and of its line in a tile. */
const HASH_SIZE = 32
const HASH_LINE = 45

/** Reports whether `text` is the tile of `count` hashes that lie one after another in `hashes`. */
export function isHashLines(text: Uint8Array, hashes: Uint8Array, count: number): boolean {
  if (text.length !== count * HASH_LINE) return false
  let differs = 0
  let at = 0
  for (let i = 0; i < count * HASH_SIZE; i += HASH_SIZE) {
    for (let j = i; j < i + 30; j += 3) {
      const group = (hashes[j]! << 16) | (hashes[j + 1]! << 8) | hashes[j + 2]!
      differs |= PAIRS[group >> 12]! ^ (text[at]! | (text[at + 1]! << 8))
      differs |= PAIRS[group & 4095]! ^ (text[at + 2]! | (text[at + 3]! << 8))
      at += 4
    }
    const group = (hashes[i + 30]! << 10) | (hashes[i + 31]! << 2)
    differs |= PAIRS[group >> 6]! ^ (text[at]! | (text[at + 1]! << 8))
    differs |= (PAIRS[group & 63]! >> 8) ^ text[at + 2]!
    differs |= (PAD ^ text[at + 3]!) | (NEWLINE ^ text[at + 4]!)
    at += 5
  }
  return differs === 0
}
