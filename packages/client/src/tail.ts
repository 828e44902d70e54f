/** The files in `tail/` as they stand: syntax only. What they say is checked against the tree. */
import { isFill, isTorn, parseCommit, parseEdge, tailName } from '@service-fs/format/tail-text'
import { parseCheckpointText } from '@service-fs/tlog/checkpoint'
import type { Codec } from '@service-fs/tlog/codec'
import type { Hash } from '@service-fs/tlog/hash'
import { parseNote } from '@service-fs/tlog/note'
import { messageOf } from '@service-fs/format/errors'

/** One commit: the tree that it ends with, as its checkpoint says. */
export interface LoadedCommit {
  size: number
  root: Hash
  origin: string
  note: string
  /** Entries from the start of the file up to the end of this commit. */
  lines: number
}

export interface LoadedTail {
  /** Index of the first entry in the file. */
  start: number
  /** The right edge at `start`. */
  edge: Hash[]
  /** Base64 entry lines of all whole commits. */
  lines: string[]
  commits: LoadedCommit[]
  /** A last commit that a power cut tore, or that is being written. */
  torn: boolean
  /** Why the file can't be read to its end. */
  problem?: { offset: number; text: string }
}

/** The name of the tail file of entry `start`, below the ledger's directory. */
export function tailPath(start: number): string {
  return `tail/${tailName(start)}`
}

/** The base64 line of entry `index`, when the file holds it. */
export function tailLineAt(tail: LoadedTail, index: number): string | undefined {
  return tail.lines[index - tail.start]
}

/** Reads a tail file as far as it goes. */
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
      // The first commit that has entries was there when the file got its name.
      if (tail.lines.length > 0 && isTorn(bytes, offset)) return { ...tail, torn: true }
      return { ...tail, problem: { offset, text } }
    }
    offset = (commit as { end: number }).end
  }
  if (tail.commits.length === 0)
    return { ...tail, problem: { offset, text: 'expected a commit, found the end of the file' } }
  return tail
}

/** Adds a commit, or says why its checkpoint can't be read. */
function addCommit(tail: LoadedTail, commit: { lines: string[]; note: string }): string | undefined {
  if (commit.lines.length === 0 && tail.commits.length > 0)
    return 'expected at least one entry, found a commit without'
  try {
    const { size, root, origin } = parseCheckpointText(parseNote(commit.note).text)
    for (const line of commit.lines) tail.lines.push(line)
    tail.commits.push({ size, root, origin, note: commit.note, lines: tail.lines.length })
    return undefined
  } catch (error) {
    return messageOf(error)
  }
}
