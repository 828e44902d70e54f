/**
 * The text of a tail file: the right edge at its first entry, an empty line, then commits.
 *
 * A commit consists of entry lines, an empty line, the signed checkpoint that covers them, and an empty line.
 */
import { pureCodec, type Codec } from '@service-fs/tlog/codec'
import { isHash, type Hash } from '@service-fs/tlog/hash'
import { popcount } from '@service-fs/tlog/math'
import { isCanonicalBase64 } from '@service-fs/tlog/tile-text'
import { MAX_ENTRY_BYTES } from './entry.ts'

const LF = 10
const NUL = 0
const SECTOR = 512
/** Bytes of the longest signed checkpoint in a tail. A typical signed checkpoint has a few hundred bytes. */
const MAX_NOTE_BYTES = 65_536
const MAX_LINE = Math.ceil(MAX_ENTRY_BYTES / 3) * 4

/**
 * A commit in a tail file. `lines` are the base64 entry lines, `note` is the signed checkpoint, `end` is the offset after the
 * commit.
 */
export interface CommitText {
  lines: string[]
  note: string
  end: number
}

/** Returns the name of the tail file that starts at entry `start`: at least twelve digits. */
export function tailName(start: number): string {
  return String(start).padStart(12, '0')
}

/** Returns the index of the first entry of the tail file with this name; undefined if this is not the name of a tail file. */
export function parseTailName(name: string): number | undefined {
  if (!/^\d{12,16}$/.test(name)) return undefined
  const start = Number(name)
  return Number.isSafeInteger(start) && tailName(start) === name ? start : undefined
}

/** Formats the start of a tail file: one hash for each perfect subtree to the left, largest first, and an empty line. */
export function formatEdge(hashes: readonly Hash[]): string {
  return hashes.map((hash) => hash + '\n').join('') + '\n'
}

/** Formats a commit. `lines` are base64 entry lines without newlines, `note` is a signed checkpoint. */
export function formatCommit(lines: readonly string[], note: string, codec: Codec = pureCodec): Uint8Array {
  const entries = lines.length === 0 ? '' : lines.join('\n') + '\n'
  return joinCommit(codec.asciiEncode(entries), note, codec)
}

/** Formats a commit like {@link formatCommit}. `text` has the entry lines, each with its newline. */
export function joinCommit(text: Uint8Array, note: string, codec: Codec = pureCodec): Uint8Array {
  return commitBehind(text, 0, note, codec)
}

/**
 * Formats a commit like {@link joinCommit}, without copying `text` if the `spare` bytes behind it in its buffer have room for the
 * rest.
 */
export function commitBehind(text: Uint8Array, spare: number, note: string, codec: Codec): Uint8Array {
  const rest = codec.utf8Encode(`\n${note}\n`)
  if (rest.length > spare) return codec.concat(text, rest)
  const commit = new Uint8Array(text.buffer, text.byteOffset, text.length + rest.length)
  commit.set(rest, text.length)
  return commit
}

/**
 * Parses the right edge at the start of the tail file of entry `start`. Returns the edge and the offset after it, or the reason why the
 * edge is invalid.
 */
export function parseEdge(
  start: number,
  bytes: Uint8Array,
  codec: Codec = pureCodec,
): { hashes: Hash[]; end: number } | string {
  const count = popcount(start)
  const hashes: Hash[] = []
  let at = 0
  for (let i = 0; i < count; i++) {
    const line = safeText(bytes.subarray(at, at + 44), codec)
    if (line === undefined || !isHash(line) || bytes[at + 44] !== LF)
      return `line ${i + 1}: expected one of the ${count} hashes of the right edge at ${start}`
    hashes.push(line)
    at += 45
  }
  if (bytes[at] !== LF) return `line ${count + 1}: expected the empty line after the right edge at ${start}`
  return { hashes, end: at + 1 }
}

/** Parses the commit at `offset`, and verifies nothing. Returns the commit, or the reason why it is malformed. */
export function parseCommit(
  bytes: Uint8Array,
  offset: number,
  codec: Codec = pureCodec,
): CommitText | string {
  let at = offset
  let lines: string[] = []
  if (bytes[at] === LF) {
    at += 1
  } else {
    const end = emptyLine(bytes, at)
    if (end < 0) return 'expected an empty line after the entry lines'
    const text = safeText(bytes.subarray(at, end), codec)
    if (text === undefined) return 'expected base64 entry lines'
    lines = text.split('\n')
    const bad = lines.findIndex(
      (line) => line.length === 0 || line.length > MAX_LINE || !isCanonicalBase64(line),
    )
    if (bad >= 0)
      return `entry line ${bad + 1} of the commit: expected canonical base64 of 1 to ${MAX_ENTRY_BYTES} bytes`
    at = end + 2
  }
  const body = emptyLine(bytes, at)
  const end = body < 0 ? -1 : emptyLine(bytes, body + 2)
  if (end < 0 || end - at > MAX_NOTE_BYTES)
    return 'expected a signed checkpoint and an empty line that ends the commit'
  const note = safeText(bytes.subarray(at, end + 1), codec)
  if (note === undefined) return 'expected a signed checkpoint in UTF-8'
  return { lines, note, end: end + 2 }
}

/** Reports whether `bytes` contains only fill, NUL or line feeds, from offset `from` up to `to`. */
export function isFill(bytes: Uint8Array, from: number, to: number = bytes.length): boolean {
  for (let i = from; i < to; i++) if (bytes[i] !== NUL && bytes[i] !== LF) return false
  return true
}

/**
 * Reports whether the invalid commit at `offset` can be the last write, torn by a power cut. That is so if no other commit follows,
 * and its final empty line is missing or some 512-byte sector contains only fill.
 */
export function isTorn(bytes: Uint8Array, offset: number): boolean {
  let last = bytes.length - 1
  while (last >= offset && (bytes[last] === NUL || bytes[last] === LF)) last -= 1
  if (last < offset || commitEndsBefore(bytes, offset, last)) return false
  for (let sector = offset - (offset % SECTOR); sector + SECTOR <= last; sector += SECTOR) {
    if (isFill(bytes, Math.max(sector, offset), sector + SECTOR)) return true
  }
  return !isEnded(bytes, offset, last)
}

/** Reports whether the data from `offset` ends in the final empty line of a commit. `last` is the offset of the last byte that is not fill. */
function isEnded(bytes: Uint8Array, offset: number, last: number): boolean {
  if (bytes[last + 1] !== LF || bytes[last + 2] !== LF) return false
  // A commit has three empty lines: after its entries, after the checkpoint's text, after the signatures.
  const entries = bytes[offset] === LF ? offset - 1 : emptyLine(bytes, offset)
  const text = entries < offset - 1 ? -1 : emptyLine(bytes, entries + 2)
  if (text < 0 || text > last) return false
  if (last + 3 === bytes.length) return true
  // A fill of line feeds follows. If the data reaches the end of a sector, later sectors may be lost.
  const boundary = Math.ceil((last + 1) / SECTOR) * SECTOR
  return boundary - (last + 1) > 2
}

/** Reports whether a signature block at or after `offset` ends in an empty line, with more data after it, up to `last`. */
function commitEndsBefore(bytes: Uint8Array, offset: number, last: number): boolean {
  for (let at = bytes.indexOf(0xe2, offset); at >= 0 && at < last; at = bytes.indexOf(0xe2, at + 1)) {
    if (bytes[at - 1] !== LF || bytes[at + 1] !== 0x80 || bytes[at + 2] !== 0x94 || bytes[at + 3] !== 0x20)
      continue
    const end = emptyLine(bytes, at)
    if (end >= 0 && end + 1 < last) return true
  }
  return false
}

/** Returns the offset of the newline before the next empty line at or after `from`, or -1. */
function emptyLine(bytes: Uint8Array, from: number): number {
  for (let at = bytes.indexOf(LF, from); at >= 0; at = bytes.indexOf(LF, at + 1))
    if (bytes[at + 1] === LF) return at
  return -1
}

function safeText(bytes: Uint8Array, codec: Codec): string | undefined {
  try {
    return codec.utf8Decode(bytes)
  } catch {
    return undefined
  }
}
