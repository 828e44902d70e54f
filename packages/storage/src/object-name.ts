/**
 * The objects that a ledger stores, a closed set: the name of each, as a value, and the largest size of each kind. A storage that
 * keeps files makes a path of the name with {@link formatObjectName}; no other storage needs one.
 */
import { parseTailName, tailName } from '@service-fs/format/tail-text'
import { TlogError } from '@service-fs/tlog/errors'
import { isSize, MAX_SIZE } from '@service-fs/tlog/math'
import { parseStoredPath, storedPath, TILE_WIDTH, tileCount } from '@service-fs/tlog/tile'
import { StorageError } from './errors.ts'

/** The name of an object that is written once. Tiles and bundles are full: 256 lines. */
export type SealedName =
  | { readonly kind: 'readme' }
  /** `verify.sh`. */
  | { readonly kind: 'verifier' }
  | { readonly kind: 'origin' }
  /** A verifier key; `name`: 1 to 16 of `a-z`, `0-9` and `-`. */
  | { readonly kind: 'vkey'; readonly name: string }
  /** A hash tile: `index` from 0 within its level. */
  | { readonly kind: 'tile'; readonly level: number; readonly index: number }
  /** An entry bundle. */
  | { readonly kind: 'bundle'; readonly index: number }

/** The name of an object that read() returns: a sealed one, or the published checkpoint. */
export type ReadableName = SealedName | { readonly kind: 'checkpoint' }

/** The name of anything that a ledger stores. A tail file is named by the index of its first entry. */
export type ObjectName = ReadableName | { readonly kind: 'tail'; readonly start: number }

/** A full bundle of entries of 65,535 bytes: 256 lines of 87,380 characters and a line feed. */
export const MAX_BUNDLE_BYTES: number = TILE_WIDTH * (87_380 + 1)
/** Bytes of a hash of the log's tree, SHA-256. */
export const HASH_BYTES = 32
/** `checkpoint`, `origin`, `README.txt`, `verify.sh`, or a vkey. */
export const MAX_TEXT_BYTES: number = 1 << 20
/** One tail file; a commit that would exceed this is rejected with `full` before anything is written. */
export const MAX_TAIL_BYTES: number = 1 << 28

const KEY_NAME = /^[a-z0-9-]{1,16}$/
const KEY_PATH = /^keys\/(.*)\.vkey$/s
const TAIL = 'tail/'

/**
 * Returns the object's path in a ledger directory: `README.txt`, `verify.sh`, `origin`, `keys/NAME.vkey`, `tile/L/N.b64`,
 * `tile/entries/N.b64`, `checkpoint` or `tail/START`. Different names have different paths.
 */
export function formatObjectName(name: ObjectName): string {
  switch (name.kind) {
    case 'readme':
      return 'README.txt'
    case 'verifier':
      return 'verify.sh'
    case 'vkey':
      return `keys/${name.name}.vkey`
    case 'tile':
    case 'bundle':
      return storedPath({ level: levelOf(name), index: name.index, width: TILE_WIDTH })
    case 'tail':
      return TAIL + tailName(name.start)
    default:
      return name.kind
  }
}

function levelOf(name: Extract<SealedName, { kind: 'tile' | 'bundle' }>): number | 'entries' {
  return name.kind === 'tile' ? name.level : 'entries'
}

/** The inverse of {@link formatObjectName}. @throws StorageError `path` for any other text */
export function parseObjectName(path: string): ObjectName {
  const name = parseFixed(path) ?? parseKey(path) ?? parseTail(path) ?? parseTile(path)
  if (name !== undefined && isObjectName(name)) return name
  throw new StorageError('path', `${JSON.stringify(path.slice(0, 100))} is not a path of the ledger format`)
}

function parseFixed(path: string): ObjectName | undefined {
  if (path === 'README.txt') return { kind: 'readme' }
  if (path === 'verify.sh') return { kind: 'verifier' }
  return path === 'origin' || path === 'checkpoint' ? { kind: path } : undefined
}

function parseKey(path: string): ObjectName | undefined {
  const name = KEY_PATH.exec(path)?.[1]
  return name === undefined ? undefined : { kind: 'vkey', name }
}

function parseTail(path: string): ObjectName | undefined {
  const start = path.startsWith(TAIL) ? parseTailName(path.slice(TAIL.length)) : undefined
  return start === undefined ? undefined : { kind: 'tail', start }
}

function parseTile(path: string): ObjectName | undefined {
  try {
    const { level, index, width } = parseStoredPath(path)
    if (width !== TILE_WIDTH) return undefined
    return level === 'entries' ? { kind: 'bundle', index } : { kind: 'tile', level, index }
  } catch (error) {
    if (error instanceof TlogError) return undefined
    throw error
  }
}

/** Reports whether the name is of the ledger format: a known kind, a valid key name, a tile within 2^53 - 1 entries. */
export function isObjectName(name: ObjectName): boolean {
  switch (name.kind) {
    case 'vkey':
      return KEY_NAME.test(name.name)
    case 'tile':
    case 'bundle': {
      const level = levelOf(name)
      if (level !== 'entries' && !isSize(level)) return false
      return isSize(name.index) && name.index < tileCount(level, MAX_SIZE)
    }
    case 'tail':
      return isSize(name.start)
    default:
      return ['readme', 'verifier', 'origin', 'checkpoint'].includes(name.kind)
  }
}

/** Reports whether the name is that of an object which is written once. */
export function isSealedName(name: ObjectName): name is SealedName {
  return name.kind !== 'checkpoint' && name.kind !== 'tail' && isObjectName(name)
}

/** Parses the path of an object that is written once. @throws StorageError `path` */
export function parseSealedName(path: string): SealedName {
  const name = parseObjectName(path)
  if (isSealedName(name)) return name
  throw new StorageError('path', `${path}: expected the path of a sealed object`)
}

/** Returns the path of a name, for messages; returns a text unchanged. */
export function labelOf(name: ObjectName | string): string {
  return typeof name === 'string' ? name : formatObjectName(name)
}

/**
 * Returns the largest size of the object, in bytes. A full hash tile has 256 lines, each the base64 of a hash of `hashBytes` bytes and a
 * line feed.
 */
export function maxBytes({ kind }: ReadableName, hashBytes: number = HASH_BYTES): number {
  if (kind === 'bundle') return MAX_BUNDLE_BYTES
  return kind === 'tile' ? TILE_WIDTH * (Math.ceil(hashBytes / 3) * 4 + 1) : MAX_TEXT_BYTES
}

/** Returns the path of the full entry bundle `index`: `tile/entries/x001/234.b64`. */
export function bundlePath(index: number): string {
  return formatObjectName({ kind: 'bundle', index })
}

/** Returns the path of the tail file whose first entry is `start`: `tail/000000000512`. */
export function tailPath(start: number): string {
  return formatObjectName({ kind: 'tail', start })
}

/** Returns the first entries of the tail files in a directory listing. @throws StorageError `corrupt` for any other name */
export function parseTailNames(names: readonly string[]): number[] {
  return names.map((name) => {
    const start = parseTailName(name)
    if (start === undefined) throw new StorageError('corrupt', `tail/${name}: not the name of a tail file`)
    return start
  })
}
