/** Reading a tail back: every commit counts when its signature verifies and its root is that of the tree in the tail. */
import { openCheckpoint, type Checkpoint } from '@service-fs/tlog/checkpoint'
import { pureCodec, type Codec } from '@service-fs/tlog/codec'
import { Edge } from '@service-fs/tlog/edge'
import { nobleHasher, type Hash, type Hasher } from '@service-fs/tlog/hash'
import type { Verifier } from '@service-fs/tlog/note'
import { FormatError } from './errors.ts'
import { isFill, isTorn, parseCommit, parseEdge, tailName, type CommitText } from './tail-text.ts'

export interface TailFile {
  /** Index of the first entry in the file; its name, in at least twelve digits. */
  start: number
  bytes: Uint8Array
}

export interface TailReadOptions {
  origin: string
  verifiers: Verifier[]
  hasher?: Hasher
  codec?: Codec
  /** Told of every whole commit, in order. */
  commit?(note: string, checkpoint: Checkpoint): void
  /**
   * Told why the tail can't be read on; then what is whole before that is given. Absent, or nothing is whole before it: it is thrown.
   */
  damaged?(error: unknown): void
}

/** What a tail says: the entries from `start` on and the newest commit's signed checkpoint. */
export interface TailContent {
  start: number
  /** The right edge at `start`. */
  edgeAtStart: Edge
  /** The right edge at the newest commit. */
  edge: Edge
  lines: string[]
  leaves: Hash[]
  /** The newest commit's signed checkpoint. */
  note: string
  checkpoint: Checkpoint
  /** Index of the first entry of the newest commit. */
  newestCommit: number
  /** First entry of the newest file, and the right edge there. */
  newest: { start: number; edge: Edge }
  /** Bytes of commits in the newest file. */
  end: number
  /** Tail files read. */
  files: number
  /** What stands behind the newest commit in its file: nothing, space allocated ahead, or a commit that a power cut tore. */
  rest: 'none' | 'fill' | 'torn'
}

/**
 * Reads tail files in order. The last commit of a file may be torn, but not the first that has entries, which the file was begun
 * with: a file that goes on behind a torn one was begun after it had been left out. Each file begins where the whole commits before it
 * end, with the edge of their tree; or before that, and then has again all the entries that it shares with those before it.
 * @returns undefined when there are no files
 * @throws FormatError `corrupt` naming the file, the offset, what was expected and what was found
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

  /** What the whole commits say that were read so far, those of the files before this one included. */
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

  /** What the files before say of the entries before `start`. */
  #upTo(before: TailContent, start: number): TailContent {
    if (start === before.edge.size) return before
    const count = start - before.start
    const leaves = before.leaves.slice(0, count)
    const edge = before.edgeAtStart.clone()
    for (const leaf of leaves) edge.append(leaf, this.#hasher)
    return { ...before, edge, lines: before.lines.slice(0, count), leaves }
  }

  /** What is whole never gets less by a file that has some of it again. */
  #adopted(content: TailContent): void {
    if (this.#before !== undefined && content.edge.size < this.#before.edge.size) return
    this.#checkShared(content)
    this.#whole = content
  }

  /** The entries that files before this one have too are the same there. */
  #checkShared({ start, leaves }: TailContent): void {
    const before = this.#before
    const isChecked = this.#whole !== before
    if (before === undefined || isChecked || this.#file.start === before.edge.size) return
    const differs = before.leaves.findIndex((leaf, i) => leaf !== leaves[i])
    if (differs < 0) return
    const index = start + differs
    throw this.#corrupt(0, `expected entry ${index} as in the file before it`)
  }

  /** Adopts the commit at `offset` into `content`, or says why it does not count. */
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
