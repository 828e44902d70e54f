import { base64Length, isCanonicalBase64 } from './base64.ts'
import { TlogError, quote, recode } from './errors.ts'
import { EMPTY_ROOT, HASH_SIZE, isHash, type Hash } from './hash.ts'
import { isSize, parseDecimal } from './math.ts'
import { checkNoteText, openNote, type Signature, type Verifier } from './note.ts'

// Checkpoints: c2sp.org/tlog-checkpoint.

/** The parsed text of a checkpoint. */
export interface Checkpoint {
  /** The name of the log: any non-empty line. */
  origin: string
  /** The tree size, in entries. */
  size: number
  /** The root hash of the tree (RFC 6962 section 2.1). */
  root: Hash
  /** The extension lines, without their newlines. No line is empty. */
  extensions: string[]
}

/** The form of the root hashes of a log. */
export interface RootForm {
  /** The number of bytes of a root hash. */
  readonly bytes: number
  /** The root hash of the empty tree, in base64. */
  readonly empty: string
}

/** The form of SHA-256 root hashes, which all logs of tlog-tiles use. */
export const SHA256_ROOTS: RootForm = { bytes: HASH_SIZE, empty: EMPTY_ROOT }

/**
 * Parses the text of a checkpoint: at least three lines, none empty, with the tree size in decimal without leading zeros, up to
 * 2^53 - 1, and a root hash of the right size. At size 0 the root hash must be the root hash of the empty tree.
 * @throws TlogError `checkpoint`
 */
export function parseCheckpointText(text: string, roots: RootForm = SHA256_ROOTS): Checkpoint {
  recode('checkpoint', () => checkNoteText(text))
  const lines = text.slice(0, -1).split('\n')
  const empty = lines.indexOf('')
  if (empty !== -1)
    throw new TlogError('checkpoint', `expected no empty lines, found line ${empty + 1} empty`)
  const [origin, decimal, root, ...extensions] = lines
  if (origin === undefined || decimal === undefined || root === undefined) {
    throw new TlogError('checkpoint', `expected at least 3 lines, found ${lines.length}`)
  }
  const size = parseDecimal(decimal)
  if (size === undefined) {
    throw new TlogError(
      'checkpoint',
      `expected a tree size in decimal up to 2^53 - 1, found ${quote(decimal)}`,
    )
  }
  checkRoot(size, root, roots)
  return { origin, size, root, extensions }
}

/** Formats the text of a checkpoint, so that {@link parseCheckpointText} accepts it. @throws TlogError `checkpoint` */
export function formatCheckpointText(checkpoint: Checkpoint, roots: RootForm = SHA256_ROOTS): string {
  const { origin, size, root, extensions } = checkpoint
  for (const line of [origin, ...extensions]) {
    if (line === '' || line.includes('\n')) {
      throw new TlogError('checkpoint', `expected one non-empty line, found ${quote(line)}`)
    }
  }
  if (!isSize(size)) throw new TlogError('checkpoint', `expected a tree size up to 2^53 - 1, found ${size}`)
  checkRoot(size, root, roots)
  const text = [origin, size, root, ...extensions, ''].join('\n')
  recode('checkpoint', () => checkNoteText(text))
  return text
}

function checkRoot(size: number, root: string, { bytes, empty }: RootForm): void {
  const isRoot = bytes === HASH_SIZE ? isHash(root) : isCanonicalBase64(root) && base64Length(root) === bytes
  if (!isRoot)
    throw new TlogError('checkpoint', `expected a root of ${bytes} bytes in base64, found ${quote(root)}`)
  if (size === 0 && root !== empty) {
    throw new TlogError('checkpoint', `expected the root of the empty tree at size 0, found ${quote(root)}`)
  }
}

/**
 * Verifies a signed checkpoint with {@link openNote}, and parses its text. The caller decides whether the verified signatures
 * are enough.
 * @throws what openNote throws; TlogError `checkpoint`; TlogError `origin` unless the origin is `origin`, if given
 */
export function openCheckpoint(
  note: string,
  verifiers: readonly Verifier[],
  origin?: string,
  roots: RootForm = SHA256_ROOTS,
): { checkpoint: Checkpoint; signatures: Signature[] } {
  const { text, signatures } = openNote(note, verifiers)
  const checkpoint = parseCheckpointText(text, roots)
  if (origin !== undefined && checkpoint.origin !== origin) {
    throw new TlogError('origin', `expected origin ${quote(origin)}, found ${quote(checkpoint.origin)}`)
  }
  return { checkpoint, signatures }
}
