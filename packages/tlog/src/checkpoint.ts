import { TlogError, quote, recode } from './errors.ts'
import { EMPTY_ROOT, isHash, type Hash } from './hash.ts'
import { isSize, parseDecimal } from './math.ts'
import { checkNoteText, openNote, type Signature, type Verifier } from './note.ts'

// c2sp.org/tlog-checkpoint.

/** A tree head: what the text of a checkpoint says. */
export interface Checkpoint {
  /** The log's identity: any non-empty line. */
  origin: string
  /** The number of entries. */
  size: number
  /** The root hash of RFC 6962 at that size. */
  root: Hash
  /** Extension lines without their newlines, none of them empty. */
  extensions: string[]
}

/**
 * The checkpoint of a note text: at least three lines, none empty, the size in decimal without leading zeros, the root 32
 * bytes. At size 0 the root is that of RFC 6962, SHA-256 of nothing; any other is refused, as are sizes above 2^53 - 1.
 * Throws TlogError `checkpoint`.
 */
export function parseCheckpointText(text: string): Checkpoint {
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
  checkRoot(size, root)
  return { origin, size, root, extensions }
}

/** The note text of a checkpoint: the inverse of {@link parseCheckpointText}, and as strict. */
export function formatCheckpointText(checkpoint: Checkpoint): string {
  const { origin, size, root, extensions } = checkpoint
  for (const line of [origin, ...extensions]) {
    if (line === '' || line.includes('\n')) {
      throw new TlogError('checkpoint', `expected one non-empty line, found ${quote(line)}`)
    }
  }
  if (!isSize(size)) throw new TlogError('checkpoint', `expected a tree size up to 2^53 - 1, found ${size}`)
  checkRoot(size, root)
  const text = [origin, size, root, ...extensions, ''].join('\n')
  recode('checkpoint', () => checkNoteText(text))
  return text
}

function checkRoot(size: number, root: string): void {
  if (!isHash(root))
    throw new TlogError('checkpoint', `expected a root of 32 bytes in base64, found ${quote(root)}`)
  if (size === 0 && root !== EMPTY_ROOT) {
    throw new TlogError('checkpoint', `expected the root of the empty tree at size 0, found ${quote(root)}`)
  }
}

/**
 * Opens a signed checkpoint: the note as {@link openNote} does, then its text. With `origin`, the checkpoint's must be the
 * same (TlogError `origin`). Which of the verifiers' signatures are enough is for the caller to say.
 */
export function openCheckpoint(
  note: string,
  verifiers: readonly Verifier[],
  origin?: string,
): { checkpoint: Checkpoint; signatures: Signature[] } {
  const { text, signatures } = openNote(note, verifiers)
  const checkpoint = parseCheckpointText(text)
  if (origin !== undefined && checkpoint.origin !== origin) {
    throw new TlogError('origin', `expected origin ${quote(origin)}, found ${quote(checkpoint.origin)}`)
  }
  return { checkpoint, signatures }
}
