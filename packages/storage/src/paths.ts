/** The closed grammar of what may be stored (ledger format, tlog-tiles "Merkle Tree" for the elements of an index). */
import { StorageError } from './errors.ts'

/** A bundle of 256 entries of 65,535 bytes: 256 lines of 87,380 characters and a line feed. */
export const MAX_BUNDLE_BYTES: number = 256 * (87_380 + 1)
/** A full hash tile: 256 lines of 44 characters and a line feed. */
export const HASH_TILE_BYTES: number = 256 * (44 + 1)
/** `checkpoint`, `origin`, `README.txt`, a vkey. */
export const MAX_TEXT_BYTES: number = 1 << 20
/** One tail file; a commit that would take it past this is refused as 'full' before anything is written. */
export const MAX_TAIL_BYTES: number = 1 << 28

const TILE = /^tile\/([0-6]|entries)\/((?:x(?!000)\d{3}(?:\/x\d{3})*\/)?\d{3})\.b64$/
const KEY = /^keys\/[a-z0-9-]{1,64}\.vkey$/
const MAX_ELEMENTS = 6

/** Throws StorageError 'path' unless `path` names an object that may be sealed; full tiles within 2^53-1 entries only. */
export function checkObjectPath(path: string): void {
  if (path === 'README.txt' || path === 'origin' || KEY.test(path)) return
  const [, kind, elements] = TILE.exec(path) ?? []
  if (kind === undefined || elements === undefined) throw refused(path)
  const level = kind === 'entries' ? 0 : Number(kind)
  const groups = elements.split('/')
  if (groups.length > MAX_ELEMENTS) throw refused(path)
  const index = Number(groups.map((group) => group.slice(-3)).join(''))
  if (index >= Math.floor(Number.MAX_SAFE_INTEGER / 256 ** (level + 1))) throw refused(path)
}

/** As checkObjectPath(), and `checkpoint`. */
export function checkReadPath(path: string): void {
  if (path !== 'checkpoint') checkObjectPath(path)
}

function refused(path: string): StorageError {
  return new StorageError('path', `${JSON.stringify(path.slice(0, 100))} is not a path of the ledger format`)
}

/** The most bytes that the object at a (checked) path can have. */
export function maxBytes(path: string): number {
  if (path.startsWith('tile/entries/')) return MAX_BUNDLE_BYTES
  return path.startsWith('tile/') ? HASH_TILE_BYTES : MAX_TEXT_BYTES
}

/** Path of the full entry bundle `index`: `tile/entries/x001/234.b64`. */
export function bundlePath(index: number): string {
  const digits = String(index)
  const groups = digits.padStart(Math.ceil(digits.length / 3) * 3, '0').match(/\d{3}/g) ?? []
  return `tile/entries/${groups.map((group, i) => (i < groups.length - 1 ? `x${group}` : group)).join('/')}.b64`
}

/** Name of the tail file whose first entry is `start`: at least twelve digits. */
export function tailName(start: number): string {
  return String(start).padStart(12, '0')
}

/** The first entry that a tail file's name stands for; undefined for any other name. */
export function parseTailName(name: string): number | undefined {
  if (!/^\d{12,16}$/.test(name)) return undefined
  const start = Number(name)
  return Number.isSafeInteger(start) && tailName(start) === name ? start : undefined
}
