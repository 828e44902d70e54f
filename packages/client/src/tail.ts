/** Parses the files in `tail/`. `TailWalk` compares their content with the tree. */
import { isFill, isTorn, parseCommit, parseEdge, tailName } from '@service-fs/format/tail-text'
import { parseCheckpointText } from '@service-fs/tlog/checkpoint'
import type { Codec } from '@service-fs/tlog/codec'
import type { Hash } from '@service-fs/tlog/hash'
import { parseNote } from '@service-fs/tlog/note'
import { messageOf } from '@service-fs/format/errors'

/** One commit, with the size and the root of the commit's checkpoint. */
export interface LoadedCommit {
  size: number
  root: Hash
  origin: string
  /** The signed checkpoint. */
  note: string
  /** The number of entries from the start of the file to the end of this commit. */
  lines: number
}

/** A parsed tail file. */
export interface LoadedTail {
  /** The index of the first entry in the file. */
  start: number
  /** The right edge at `start`. */
  edge: Hash[]
  /** The base64 entry lines of all complete commits. */
  lines: string[]
  commits: LoadedCommit[]
  /** Whether the last commit is incomplete: a power cut tore it, or a daemon is writing it. */
  torn: boolean
  /** The offset from which the file can't be parsed, and the reason. */
  problem?: { offset: number; text: string }
}

/** Returns the path, within the ledger, of the tail file that begins with entry `start`. */
export function tailPath(start: number): string {
  return `tail/${tailName(start)}`
}

/** Returns the base64 line of entry `index`; undefined when the file does not hold it. */
export function tailLineAt(tail: LoadedTail, index: number): string | undefined {
  return tail.lines[index - tail.start]
}

/** Parses a tail file up to its end or its first fault. */
export function parseTailFile(start: number, bytes: Uint8Array, codec: Codec): LoadedTail {
  const tail: LoadedTail = { start, edge: [], lines: [], commits: [], torn: false }
  const edge = parseEdge(start, bytes, codec)
  if (typeof edge === 'string') return { ...tail, problem: { offset: 0, text: edge } }
  tail.edge = edge.hashes
  let offset = edge.end
  while (offset < bytes.length && !(tail.lines.length > 0 && isFill(bytes, offset))) {
    const commit = parseCommit(bytes, offset, codec)
    const text = typeof commit === 'string' ? commit : addCommit(tail, commit)
    if (text !== undefined) {
      // A daemon gives the file its name only after the first commit with entries is complete, so that first commit can't be torn.
      if (tail.lines.length > 0 && isTorn(bytes, offset)) return { ...tail, torn: true }
      return { ...tail, problem: { offset, text } }
    }
    offset = (commit as { end: number }).end
  }
  if (tail.commits.length === 0)
    return { ...tail, problem: { offset, text: 'expected a commit, found the end of the file' } }
  return tail
}

/** Adds a commit. If its checkpoint can't be parsed, returns the reason. */
function addCommit(tail: LoadedTail, commit: { lines: string[]; note: string }): string | undefined {
  if (commit.lines.length === 0 && tail.commits.length > 0)
    return 'expected at least one entry in the commit, found none'
  try {
    const { size, root, origin } = parseCheckpointText(parseNote(commit.note).text)
    for (const line of commit.lines) tail.lines.push(line)
    tail.commits.push({ size, root, origin, note: commit.note, lines: tail.lines.length })
    return undefined
  } catch (error) {
    return messageOf(error)
  }
}
