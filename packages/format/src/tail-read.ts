/** Reads a tail back. A commit is valid if its signature verifies and its root hash is that of the tree. */
import { openCheckpoint, type Checkpoint } from '@service-fs/tlog/checkpoint'
import { pureCodec, type Codec } from '@service-fs/tlog/codec'
import { Edge } from '@service-fs/tlog/edge'
import { nobleHasher, type Hash, type Hasher } from '@service-fs/tlog/hash'
import type { Verifier } from '@service-fs/tlog/note'
import { FormatError } from './errors.ts'
import { isFill, isTorn, parseCommit, parseEdge, tailName, type CommitText } from './tail-text.ts'

/** A file of the tail. */
export interface TailFile {
  /** Index of the first entry in the file, which is also its name. */
  start: number
  bytes: Uint8Array
}

/** Options of {@link readTail}. */
export interface TailReadOptions {
  origin: string
  verifiers: Verifier[]
  hasher?: Hasher
  codec?: Codec
  /** Receives every valid commit, in order. */
  commit?(note: string, checkpoint: Checkpoint): void
  /**
   * Receives the error that ends reading. readTail then returns the valid commits before it. Without this callback, or without a
   * valid commit, readTail throws the error.
   */
  damaged?(error: unknown): void
}

/** The content of a tail: the entries from index `start`, and the signed checkpoint of the newest commit. */
export interface TailContent {
  start: number
  /** The right edge at `start`. */
  edgeAtStart: Edge
  /** The right edge at the newest commit. */
  edge: Edge
  /** The entries, in base64. */
  lines: string[]
  /** Their leaf hashes. */
  leaves: Hash[]
  /** The newest commit's signed checkpoint. */
  note: string
  checkpoint: Checkpoint
  /** Index of the first entry of the newest commit. */
  newestCommit: number
  /** Index of the first entry of the newest file, and the right edge there. */
  newest: { start: number; edge: Edge }
  /** Offset of the end of the newest commit in its file. */
  end: number
  /** Number of files. */
  files: number
  /** The data after the newest commit in its file: none, preallocated space, or a commit torn by a power cut. */
  rest: 'none' | 'fill' | 'torn'
}

/**
 * Reads tail files in order. The last commit of a file may be torn, but not the first one with entries, because a file is created
 * with that commit. A file starts where the valid commits before it end, with the right edge of their tree. It may also start
 * earlier, and then repeats the entries of the files before it.
 * @returns undefined if there are no files
 * @throws FormatError `corrupt` that names the file and the offset
 */
export async function readTail(
  files: AsyncIterable<TailFile>,
  options: TailReadOptions,
): Promise<TailContent | undefined> {
  let reader: TailFileReader | undefined
  try {
    for await (const file of files) {
      reader = new TailFileReader(file, options, reader?.whole)
      reader.read()
    }
  } catch (error) {
    if (options.damaged === undefined || reader?.whole === undefined) throw error
    options.damaged(error)
  }
  return reader?.whole
}

class TailFileReader {
  readonly #file: TailFile
  readonly #name: string
  readonly #options: TailReadOptions
  readonly #codec: Codec
  readonly #hasher: Hasher
  readonly #before: TailContent | undefined
  #whole: TailContent | undefined

  constructor(file: TailFile, options: TailReadOptions, before: TailContent | undefined) {
    this.#file = file
    this.#name = `tail/${tailName(file.start)}`
    this.#options = options
    this.#codec = options.codec ?? pureCodec
    this.#hasher = options.hasher ?? nobleHasher
    this.#before = before
    this.#whole = before
  }

  /** The content of the valid commits so far, including those of earlier files. */
  get whole(): TailContent | undefined {
    return this.#whole
  }

  read(): void {
    const { bytes } = this.#file
    let { content, offset } = this.#open()
    let commits = 0
    let hasEntries = false
    while (offset < bytes.length && !(hasEntries && isFill(bytes, offset))) {
      const problem = this.#commit(content, offset, commits === 0)
      if (problem !== undefined) {
        if (!hasEntries || !isTorn(bytes, offset)) throw this.#corrupt(offset, problem)
        this.#checkShared(content)
        content.rest = 'torn'
        return
      }
      this.#options.commit?.(content.note, content.checkpoint)
      this.#adopted(content)
      commits += 1
      hasEntries = content.edge.size > this.#file.start
      offset = content.end
    }
    if (commits === 0) throw this.#corrupt(offset, 'expected a commit')
    this.#checkShared(content)
    content.rest = offset < bytes.length ? 'fill' : 'none'
  }

  #open(): { content: TailContent; offset: number } {
    const { start, bytes } = this.#file
    const edge = parseEdge(start, bytes, this.#codec)
    if (typeof edge === 'string') throw this.#corrupt(0, edge)
    const before = this.#before
    const at = (): Edge => new Edge(start, edge.hashes)
    const newest = { start, edge: at() }
    if (before !== undefined) {
      if (start > before.edge.size)
        throw this.#corrupt(0, `expected the file to continue at entry ${before.edge.size}`)
      const upTo = this.#upTo(before, start)
      if (upTo.edge.hashes().join() !== edge.hashes.join())
        throw this.#corrupt(0, `expected the right edge of the tree of ${start} entries`)
      return { content: { ...upTo, newest, files: before.files + 1 }, offset: edge.end }
    }
    const none = { origin: this.#options.origin, size: start, root: '', extensions: [] }
    const content: TailContent = {
      start,
      edgeAtStart: at(),
      edge: at(),
      lines: [],
      leaves: [],
      note: '',
      checkpoint: none,
      newestCommit: start,
      newest,
      end: edge.end,
      files: 1,
      rest: 'none',
    }
    return { content, offset: edge.end }
  }

  /** Returns the content of the earlier files up to entry `start`. */
  #upTo(before: TailContent, start: number): TailContent {
    if (start === before.edge.size) return before
    const count = start - before.start
    const leaves = before.leaves.slice(0, count)
    const edge = before.edgeAtStart.clone()
    for (const leaf of leaves) edge.append(leaf, this.#hasher)
    return { ...before, edge, lines: before.lines.slice(0, count), leaves }
  }

  /** Adopts `content` as valid, unless it only repeats entries of the earlier files and is still shorter. */
  #adopted(content: TailContent): void {
    if (this.#before !== undefined && content.edge.size < this.#before.edge.size) return
    this.#checkShared(content)
    this.#whole = content
  }

  /** Checks that the entries shared with earlier files are the same. */
  #checkShared({ start, leaves }: TailContent): void {
    const before = this.#before
    const isChecked = this.#whole !== before
    if (before === undefined || isChecked || this.#file.start === before.edge.size) return
    const differs = before.leaves.findIndex((leaf, i) => leaf !== leaves[i])
    if (differs < 0) return
    const index = start + differs
    throw this.#corrupt(0, `expected entry ${index} as in the file before it`)
  }

  /** Adds the commit at `offset` to `content`, or returns the reason why the commit is invalid. */
  #commit(content: TailContent, offset: number, isFirst: boolean): string | undefined {
    const commit = parseCommit(this.#file.bytes, offset, this.#codec)
    if (typeof commit === 'string') return commit
    if (commit.lines.length === 0 && !isFirst)
      return 'expected at least one entry in a commit after the first of its file'
    let checkpoint: Checkpoint
    try {
      checkpoint = openCheckpoint(commit.note, this.#options.verifiers, this.#options.origin).checkpoint
    } catch (error) {
      return `signed checkpoint: ${error instanceof Error ? error.message : String(error)}`
    }
    return this.#adopt(content, commit, checkpoint)
  }

  #adopt(content: TailContent, commit: CommitText, checkpoint: Checkpoint): string | undefined {
    const edge = content.edge.clone()
    const leaves = commit.lines.map((line) => this.#hasher.leaf(this.#codec.base64Decode(line)))
    for (const leaf of leaves) edge.append(leaf, this.#hasher)
    if (checkpoint.size !== edge.size)
      return `expected a checkpoint of size ${edge.size}, found ${checkpoint.size}`
    const root = edge.root(this.#hasher)
    if (checkpoint.root !== root)
      return `expected the root hash of the entries, ${root}, in the checkpoint of size ${edge.size}, found ${checkpoint.root}`
    for (const line of commit.lines) content.lines.push(line)
    for (const leaf of leaves) content.leaves.push(leaf)
    const newestCommit = content.edge.size
    Object.assign(content, { edge, note: commit.note, checkpoint, newestCommit, end: commit.end })
    return undefined
  }

  #corrupt(offset: number, problem: string): FormatError {
    return new FormatError('corrupt', `${this.#name}: byte ${offset}: ${problem}`)
  }
}
