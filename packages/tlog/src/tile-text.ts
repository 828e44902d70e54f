import { base64Length, isCanonicalBase64 } from './base64.ts'
import { concatBytes, pureCodec, type Codec } from './codec.ts'
import { TlogError, quote } from './errors.ts'
import { HASH_LENGTH, HASH_SIZE, isHash, type Hash } from './hash.ts'
import { TILE_WIDTH } from './tile.ts'

// The two forms of a tile: stored text, with one line of canonical base64 for each hash or entry, and the binary of
// c2sp.org/tlog-tiles.

export { isCanonicalBase64 }

/** Bytes of the longest entry, whose length is a uint16 in a bundle (tlog-tiles, "Log entries"). */
export const MAX_ENTRY_SIZE = 65_535

/** Parses the text of a hash tile: `width` lines, each with a newline. @throws TlogError `tile` */
export function parseHashTile(text: string, width: number): Hash[] {
  checkWidth(width)
  if (text.length !== width * (HASH_LENGTH + 1)) {
    throw new TlogError(
      'tile',
      `expected ${width * (HASH_LENGTH + 1)} characters of ${width} hashes, found ${text.length}`,
    )
  }
  const hashes = splitLines(text, width)
  const bad = hashes.findIndex((hash) => !isHash(hash))
  if (bad !== -1)
    throw new TlogError(
      'tile',
      `expected the base64 of 32 bytes in line ${bad + 1}, found ${quote(hashes[bad]!)}`,
    )
  return hashes
}

/** Formats the text of a hash tile, one line for each hash. Does not check the hashes. @throws TlogError `tile` for the width */
export function formatHashTile(hashes: readonly Hash[]): string {
  checkWidth(hashes.length)
  return `${hashes.join('\n')}\n`
}

/** Converts the hashes of a tile to binary: 32 bytes each, concatenated. @throws TlogError `tile` */
export function hashTileToBinary(hashes: readonly Hash[], codec: Codec = pureCodec): Uint8Array {
  checkWidth(hashes.length)
  const bytes = new Uint8Array(hashes.length * HASH_SIZE)
  hashes.forEach((hash, i) => {
    const decoded = codec.base64Decode(hash)
    if (decoded.length !== HASH_SIZE)
      throw new TlogError('tile', `expected 32 bytes of hash ${i}, found ${decoded.length}`)
    bytes.set(decoded, i * HASH_SIZE)
  })
  return bytes
}

/** Parses a binary tile of exactly `width` hashes. @throws TlogError `tile` */
export function hashTileFromBinary(bytes: Uint8Array, width: number, codec: Codec = pureCodec): Hash[] {
  checkWidth(width)
  if (bytes.length !== width * HASH_SIZE) {
    throw new TlogError(
      'tile',
      `expected ${width * HASH_SIZE} bytes of ${width} hashes, found ${bytes.length}`,
    )
  }
  const hashes: Hash[] = []
  for (let at = 0; at < bytes.length; at += HASH_SIZE)
    hashes.push(codec.base64Encode(bytes.subarray(at, at + HASH_SIZE)))
  return hashes
}

/**
 * Parses the text of an entry bundle: `width` lines, each with a newline. Returns the lines, which are canonical base64 of at
 * most
 * 65,535 bytes. The line of an empty entry is empty.
 * @throws TlogError `tile`
 */
export function parseBundle(text: string, width: number): string[] {
  checkWidth(width)
  const lines = splitLines(text, width)
  lines.forEach((line, i) => checkEntryLine(line, i))
  return lines
}

/**
 * Formats the text of an entry bundle, one line for each entry. Does not check the lines.
 * @throws TlogError `tile` for the width
 */
export function formatBundle(lines: readonly string[]): string {
  checkWidth(lines.length)
  return `${lines.join('\n')}\n`
}

/**
 * Converts base64 lines to a binary bundle: each entry after its length, a big-endian uint16 (tlog-tiles, "Log entries").
 * @throws TlogError `tile`
 */
export function bundleToBinary(lines: readonly string[], codec: Codec = pureCodec): Uint8Array {
  checkWidth(lines.length)
  const parts: Uint8Array[] = []
  lines.forEach((line, i) => {
    checkEntryLine(line, i)
    const entry = codec.base64Decode(line)
    parts.push(new Uint8Array([entry.length >> 8, entry.length]), entry)
  })
  return concatBytes(...parts)
}

/** Parses a binary bundle of exactly `width` entries. Returns views of `bytes`. @throws TlogError `tile` */
export function bundleFromBinary(bytes: Uint8Array, width: number): Uint8Array[] {
  checkWidth(width)
  const entries: Uint8Array[] = []
  let at = 0
  while (at < bytes.length) {
    const start = at + 2
    const end = start + ((bytes[at]! << 8) | (bytes[at + 1] ?? 0))
    if (start > bytes.length || end > bytes.length) {
      throw new TlogError(
        'tile',
        `expected entry ${entries.length} to end at byte ${end}, found ${bytes.length} bytes`,
      )
    }
    if (entries.length === width) throw new TlogError('tile', `expected ${width} entries, found more`)
    entries.push(bytes.subarray(start, end))
    at = end
  }
  if (entries.length !== width)
    throw new TlogError('tile', `expected ${width} entries, found ${entries.length}`)
  return entries
}

function checkWidth(width: number): void {
  if (!(Number.isInteger(width) && width >= 1 && width <= TILE_WIDTH)) {
    throw new TlogError('tile', `expected a tile of 1 to 256 lines, found ${width}`)
  }
}

function checkEntryLine(line: string, i: number): void {
  if (!isCanonicalBase64(line)) {
    throw new TlogError('tile', `expected canonical base64 in line ${i + 1}, found ${quote(line)}`)
  }
  const length = base64Length(line)
  if (length > MAX_ENTRY_SIZE) {
    throw new TlogError('tile', `expected at most 65535 bytes in line ${i + 1}, found ${length}`)
  }
}

function splitLines(text: string, width: number): string[] {
  if (!text.endsWith('\n'))
    throw new TlogError('tile', 'expected a newline at the end of the tile, found none')
  const lines = text.slice(0, -1).split('\n')
  if (lines.length !== width) throw new TlogError('tile', `expected ${width} lines, found ${lines.length}`)
  return lines
}
