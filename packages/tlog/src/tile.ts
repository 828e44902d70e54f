import { TlogError, quote } from './errors.ts'
import { checkSize, divPow2, isSize, modPow2, parseDecimal, pow2 } from './math.ts'

// Tiles and their paths: c2sp.org/tlog-tiles. A full tile has 256 hashes (height 8), a full entry bundle 256 entries.

/** Hashes of a full tile, or entries of a full bundle. */
export const TILE_WIDTH = 256
/** Tree levels that a tile spans: 2^8 = 256. */
export const TILE_HEIGHT = 8
/** The highest tile level of the path grammar. */
export const MAX_TILE_LEVEL = 63

/** A hash tile, or an entry bundle (level `entries`). */
export interface Tile {
  level: number | 'entries'
  /** Index within the level, from 0. */
  index: number
  /** Number of hashes or entries: 256, or 1 to 255 for a partial tile. */
  width: number
}

/** Returns the path of a tile, such as `tile/0/x001/x234/067` or `tile/entries/000.p/17`. @throws TlogError `tile` */
export function tilePath(tile: Tile): string {
  checkTile(tile)
  const suffix = tile.width === TILE_WIDTH ? '' : `.p/${tile.width}`
  return `tile/${tile.level}/${formatIndex(tile.index)}${suffix}`
}

function formatIndex(index: number): string {
  const digits = String(index)
  const padded = digits.padStart(Math.ceil(digits.length / 3) * 3, '0')
  return padded.replaceAll(/\d{3}(?=\d)/g, 'x$&/')
}

/** Checks that level, index and width are in range. @throws TlogError `tile` */
export function checkTile(tile: Tile): void {
  const { level, index, width } = tile
  if (level !== 'entries' && !(isSize(level) && level <= MAX_TILE_LEVEL)) {
    throw new TlogError('tile', `expected a tile level from 0 to 63 or 'entries', found ${level}`)
  }
  if (!isSize(index))
    throw new TlogError('tile', `expected a tile index between 0 and 2^53 - 1, found ${index}`)
  if (!(isSize(width) && width >= 1 && width <= TILE_WIDTH)) {
    throw new TlogError('tile', `expected a tile width from 1 to 256, found ${width}`)
  }
}

const PATH = /^tile\/(entries|[0-9]{1,2})\/((?:x[0-9]{3}\/)*)([0-9]{3})(?:\.p\/([0-9]{1,3}))?$/

/** Parses the path of a tile; the inverse of {@link tilePath}. @throws TlogError `tile` */
export function parseTilePath(path: string): Tile {
  const match = path.length <= 64 ? PATH.exec(path) : null
  if (match !== null) {
    const level = match[1] === 'entries' ? 'entries' : Number(match[1])
    const index = Number(match[2]!.replaceAll(/[x/]/g, '') + match[3]!)
    const width = match[4] === undefined ? TILE_WIDTH : (parseDecimal(match[4]) ?? 0)
    const tile: Tile = { level, index, width }
    if (isTile(tile) && tilePath(tile) === path) return tile
  }
  throw new TlogError('tile', `expected a path tile/<L>/<N>[.p/<W>] of tlog-tiles, found ${quote(path)}`)
}

function isTile({ level, index, width }: Tile): boolean {
  return (
    (level === 'entries' || level <= MAX_TILE_LEVEL) && isSize(index) && width >= 1 && width <= TILE_WIDTH
  )
}

/** The suffix of the path of a tile stored as text. */
export const STORED_SUFFIX = '.b64'

/** Returns the path of a tile in a ledger directory: {@link tilePath} with the suffix `.b64`. */
export function storedPath(tile: Tile): string {
  return tilePath(tile) + STORED_SUFFIX
}

/** Parses the path of a tile in a ledger directory; the inverse of {@link storedPath}. @throws TlogError `tile` */
export function parseStoredPath(path: string): Tile {
  if (path.endsWith(STORED_SUFFIX)) return parseTilePath(path.slice(0, -STORED_SUFFIX.length))
  throw new TlogError('tile', `expected a path that ends in .b64, found ${quote(path)}`)
}

function hashLevel(level: number | 'entries'): number {
  return level === 'entries' ? 0 : level
}

/** Returns the number of hashes (or entries) at a tile level in a tree of `size` entries: floor(size / 256^level). */
export function levelWidth(level: number | 'entries', size: number): number {
  return divPow2(size, TILE_HEIGHT * hashLevel(level))
}

/** Returns the number of full tiles at a level, which is also the index of the partial tile, if any. */
export function tileCount(level: number | 'entries', size: number): number {
  return divPow2(size, TILE_HEIGHT * (hashLevel(level) + 1))
}

/** Returns the width of the partial tile at a level, floor(size / 256^level) mod 256; 0 if there is no partial tile. */
export function partialWidth(level: number | 'entries', size: number): number {
  return modPow2(levelWidth(level, size), TILE_HEIGHT)
}

/** Returns the width of the tile at (level, index) in a tree of `size` entries; 0 if the tree has no such tile. */
export function tileWidth(level: number | 'entries', index: number, size: number): number {
  const count = tileCount(level, size)
  if (index < count) return TILE_WIDTH
  return index === count ? partialWidth(level, size) : 0
}

/** Returns the range of entries that a tile spans, from `start` up to, not including, `end`. */
export function tileSpan(tile: Tile): { start: number; end: number } {
  const span = pow2(TILE_HEIGHT * hashLevel(tile.level))
  const first = tile.index * TILE_WIDTH
  return { start: first * span, end: (first + tile.width) * span }
}

/** Yields the levels of a tree: `entries`, then the levels of hash tiles upwards. */
function* levels(size: number): Generator<number | 'entries'> {
  if (size > 0) yield 'entries'
  for (let level = 0; levelWidth(level, size) > 0; level++) yield level
}

/** The tiles to write when a tree grows: the tiles that became full, and the new partial tiles. */
export interface NewTiles {
  full: Tile[]
  partial: Tile[]
}

/**
 * Returns the tiles that are new or different in a tree of `to` entries, compared with `from` entries: bundles first, then levels
 * upwards. The length of the lists is proportional to `to - from`.
 * @throws TlogError `range` unless from <= to
 */
export function newTiles(from: number, to: number): NewTiles {
  checkSize(from, 'a tree size')
  checkSize(to, 'a tree size')
  if (from > to) throw new TlogError('range', `expected sizes in ascending order, found ${from} before ${to}`)
  const full: Tile[] = []
  const partial: Tile[] = []
  for (const level of levels(to)) {
    if (levelWidth(level, from) === levelWidth(level, to)) continue
    const count = tileCount(level, to)
    for (let index = tileCount(level, from); index < count; index++)
      full.push({ level, index, width: TILE_WIDTH })
    const width = partialWidth(level, to)
    if (width > 0) partial.push({ level, index: count, width })
  }
  return { full, partial }
}

/** Yields all tiles of a tree of `size` entries: the bundles, then the hash tiles, levels upwards. */
export function* tilesOf(size: number): Generator<Tile> {
  checkSize(size, 'a tree size')
  for (const level of levels(size)) yield* levelTiles(level, size)
}

/** Yields all hash tiles of a tree of `size` entries, levels upwards. */
export function* treeTiles(size: number): Generator<Tile> {
  checkSize(size, 'a tree size')
  for (const level of levels(size)) if (level !== 'entries') yield* levelTiles(level, size)
}

function* levelTiles(level: number | 'entries', size: number): Generator<Tile> {
  const count = tileCount(level, size)
  for (let index = 0; index < count; index++) yield { level, index, width: TILE_WIDTH }
  const width = partialWidth(level, size)
  if (width > 0) yield { level, index: count, width }
}
