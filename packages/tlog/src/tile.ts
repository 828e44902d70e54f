import { TlogError, quote } from './errors.ts'
import { checkSize, divPow2, isSize, modPow2, parseDecimal, pow2 } from './math.ts'

// c2sp.org/tlog-tiles: tiles of 256 hashes (height 8) and entry bundles of 256 entries.

/** How many hashes, or entries, a full tile has. */
export const TILE_WIDTH = 256
/** How many tree levels a tile spans: 2^8 = 256. */
export const TILE_HEIGHT = 8
/** The highest tile level of the path grammar. */
export const MAX_TILE_LEVEL = 63

/** A hash tile, or the entry bundle beside the hash tile of level 0. */
export interface Tile {
  level: number | 'entries'
  /** From 0, within the level. */
  index: number
  /** 256, or 1 to 255 for a partial tile. */
  width: number
}

/** The tile's path: `tile/0/x001/234/067`, `tile/entries/000.p/17`. Throws TlogError `tile` when there is no such tile. */
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

/** Throws TlogError `tile` unless level, index and width are in range. */
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

/** The tile of a path: the inverse of {@link tilePath}, and as strict. Throws TlogError `tile`. */
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

/** The suffix of a tile that rests as text. */
export const STORED_SUFFIX = '.b64'

/** The path of the tile as text in a ledger directory: {@link tilePath} and `.b64`. */
export function storedPath(tile: Tile): string {
  return tilePath(tile) + STORED_SUFFIX
}

/** The inverse of {@link storedPath}. Throws TlogError `tile`. */
export function parseStoredPath(path: string): Tile {
  if (path.endsWith(STORED_SUFFIX)) return parseTilePath(path.slice(0, -STORED_SUFFIX.length))
  throw new TlogError('tile', `expected a path that ends in .b64, found ${quote(path)}`)
}

function hashLevel(level: number | 'entries'): number {
  return level === 'entries' ? 0 : level
}

/** How many hashes a tree of `size` entries has at a tile level (entries for `'entries'`): floor(size / 256^level). */
export function levelWidth(level: number | 'entries', size: number): number {
  return divPow2(size, TILE_HEIGHT * hashLevel(level))
}

/** How many full tiles a tree of `size` entries has at a level: the index of the partial tile, if there is one. */
export function tileCount(level: number | 'entries', size: number): number {
  return divPow2(size, TILE_HEIGHT * (hashLevel(level) + 1))
}

/** The width of the partial tile at a level: floor(size / 256^level) mod 256. 0 means that there is none. */
export function partialWidth(level: number | 'entries', size: number): number {
  return modPow2(levelWidth(level, size), TILE_HEIGHT)
}

/** The width that the tile at (level, index) has in a tree of `size` entries: 256, 1 to 255, or 0 when it is not there. */
export function tileWidth(level: number | 'entries', index: number, size: number): number {
  const count = tileCount(level, size)
  if (index < count) return TILE_WIDTH
  return index === count ? partialWidth(level, size) : 0
}

/** The entries that a tile spans: from `start` up to, not including, `end`. */
export function tileSpan(tile: Tile): { start: number; end: number } {
  const span = pow2(TILE_HEIGHT * hashLevel(tile.level))
  const first = tile.index * TILE_WIDTH
  return { start: first * span, end: (first + tile.width) * span }
}

/** The levels of a tree of `size` entries: the bundles, then the hash tiles from the leaves up. */
function* levels(size: number): Generator<number | 'entries'> {
  if (size > 0) yield 'entries'
  for (let level = 0; levelWidth(level, size) > 0; level++) yield level
}

/** The tiles to write when a tree grows from one size to another: those that became full, those that are partial. */
export interface NewTiles {
  full: Tile[]
  partial: Tile[]
}

/**
 * The tiles that differ between a tree of `from` and one of `to` entries, bundles first, then levels upwards. A partial
 * tile is listed where its level grew. Both lists are arrays: their length grows with `to - from`.
 * Throws TlogError `range` unless from <= to.
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

/** Every tile of a tree of `size` entries: the bundles, then the hash tiles from the leaves up. */
export function* tilesOf(size: number): Generator<Tile> {
  checkSize(size, 'a tree size')
  for (const level of levels(size)) yield* levelTiles(level, size)
}

/** Every hash tile of a tree of `size` entries, from the leaves up. */
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
