/** The closed grammar of what may be stored: the ledger format. */
import { TlogError } from '@service-fs/tlog/errors'
import { MAX_SIZE } from '@service-fs/tlog/math'
import { parseStoredPath, storedPath, TILE_WIDTH, tileCount } from '@service-fs/tlog/tile'
import { StorageError } from './errors.ts'

/** A bundle of 256 entries of 65,535 bytes: 256 lines of 87,380 characters and a line feed. */
export const MAX_BUNDLE_BYTES: number = 256 * (87_380 + 1)
/** A full hash tile: 256 lines of 44 characters and a line feed. */
export const HASH_TILE_BYTES: number = 256 * (44 + 1)
/** `checkpoint`, `origin`, `README.txt`, a vkey. */
export const MAX_TEXT_BYTES: number = 1 << 20
/** One tail file; a commit that would take it past this is refused as 'full' before anything is written. */
export const MAX_TAIL_BYTES: number = 1 << 28

const KEY = /^keys\/[a-z0-9-]{1,16}\.vkey$/

/**
 * Throws StorageError 'path' unless `path` names an object that may be sealed: `README.txt`, `origin`, `keys/NAME.vkey`,
 * or a full tile within 2^53-1 entries, `tile/L/N.b64` or `tile/entries/N.b64`.
 */
export function checkObjectPath(path: string): void {
  if (path === 'README.txt' || path === 'origin' || KEY.test(path) || isTilePath(path)) return
  throw new StorageError('path', `${JSON.stringify(path.slice(0, 100))} is not a path of the ledger format`)
}

function isTilePath(path: string): boolean {
  try {
    const { level, index, width } = parseStoredPath(path)
    return width === TILE_WIDTH && index < tileCount(level, MAX_SIZE)
  } catch (error) {
    if (error instanceof TlogError) return false
    throw error
  }
}

/** As checkObjectPath(), and `checkpoint`. */
export function checkReadPath(path: string): void {
  if (path !== 'checkpoint') checkObjectPath(path)
}

/** The most bytes that the object at a (checked) path can have. */
export function maxBytes(path: string): number {
  if (path.startsWith('tile/entries/')) return MAX_BUNDLE_BYTES
  return path.startsWith('tile/') ? HASH_TILE_BYTES : MAX_TEXT_BYTES
}

/** Path of the full entry bundle `index`: `tile/entries/x001/234.b64`. */
export function bundlePath(index: number): string {
  return storedPath({ level: 'entries', index, width: TILE_WIDTH })
}
