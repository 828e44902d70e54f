/** Compares the tail and the published checkpoint of a ledger's files with its tree during the walk. */
import type { Checkpoint } from '@service-fs/tlog/checkpoint'
import type { Edge } from '@service-fs/tlog/edge'
import type { Hash, Hasher } from '@service-fs/tlog/hash'
import { messageOf } from '@service-fs/format/errors'
import type { LedgerFiles } from './ledger-files.ts'
import type { Problems } from './problems.ts'
import { loadTail } from './source.ts'
import { tailLineAt, tailPath, type LoadedTail } from './tail.ts'
import type { Trust } from './trust.ts'
import type { Beside } from './walk.ts'

export interface TailWalkOptions {
  files: LedgerFiles
  origin: string
  /** The index of the first entry of each tail file, in order. */
  starts: readonly number[]
  /** The content of the last tail file at the start of the walk. A daemon may have appended to the file since then. */
  newest: LoadedTail | undefined
  /** The published checkpoint. */
  cell: Checkpoint | undefined
  trust: Trust
  problems: Problems
  notes: string[]
  hasher: Hasher
}

/** A tail file that overlaps the entries being walked. */
interface Active {
  tail: LoadedTail
  file: string
  /** The number of the next commit to compare. */
  commit: number
}

export class TailWalk implements Beside {
  /** The number of commits whose root and signature were checked. */
  commits = 0
  /** The last root hash that was compared. */
  root: Hash | undefined
  readonly #options: TailWalkOptions
  #next = 0
  #active: Active[] = []

  constructor(options: TailWalkOptions) {
    this.#options = options
  }

  async reach(from: number, to: number): Promise<void> {
    const { files, starts, newest } = this.#options
    this.#active = this.#active.filter(({ tail }) => tail.start + tail.lines.length >= from)
    for (let start = starts[this.#next]; start !== undefined && start < to; start = starts[++this.#next]) {
      // A tail file may be missing because a daemon has sealed its entries.
      const tail = start === newest?.start ? newest : await loadTail(files, start)
      if (tail !== undefined) this.#open(tail, starts[this.#next + 1])
    }
  }

  compares(from: number, to: number): boolean {
    const { cell } = this.#options
    if (cell !== undefined && cell.size > from && cell.size < to) return true
    return this.#active.some(({ tail }) => tail.start + tail.lines.length > from)
  }

  entry(index: number): { bytes: Uint8Array; file: string } | undefined {
    for (const { tail, file } of this.#active) {
      const line = tailLineAt(tail, index)
      if (line !== undefined) return { bytes: Buffer.from(line, 'base64'), file }
    }
    return undefined
  }

  leaf(index: number, leaf: Hash): void {
    for (const { tail, file } of this.#active) {
      const line = tailLineAt(tail, index)
      const found = line === undefined ? leaf : this.#options.hasher.leaf(Buffer.from(line, 'base64'))
      if (found !== leaf) this.#options.problems.add({ file, index }, `leaf hash ${leaf}`, found)
    }
  }

  at(edge: Edge): void {
    const { cell, problems, hasher } = this.#options
    if (cell?.size === edge.size) {
      const root = edge.root(hasher)
      if (root !== cell.root)
        problems.add({ file: 'checkpoint' }, `root hash ${root} of the ${edge.size} entries`, cell.root)
      this.root = root
    }
    for (const active of this.#active) this.#compare(active, edge)
  }

  /** Begins a tail file. `next` is the index of the first entry of the next tail file. */
  #open(tail: LoadedTail, next: number | undefined): void {
    const { problems } = this.#options
    const file = tailPath(tail.start)
    if (tail.problem !== undefined) {
      const { offset, text } = tail.problem
      problems.addError(
        { file },
        new Error(`byte ${offset}: ${text}`),
        'complete commits up to the end of the file',
      )
    }
    if (tail.torn) this.#torn(tail, file, next)
    for (const { size, lines } of tail.commits) {
      const expected = tail.start + lines
      if (size !== expected)
        problems.add({ file, index: expected - 1 }, `a checkpoint of size ${expected}`, String(size))
    }
    this.#active.push({ tail, file, commit: 0 })
  }

  /** Checks that the tail file after a torn commit begins where the complete commits end. */
  #torn(tail: LoadedTail, file: string, next: number | undefined): void {
    const end = tail.start + tail.lines.length
    if (next === undefined || next === end) {
      const why = next === undefined ? 'still being written, or torn' : 'torn'
      this.#options.notes.push(`${file}: the last commit is incomplete (${why} before it was acknowledged)`)
    } else {
      const found = `${tailPath(next)} after a torn commit`
      this.#options.problems.add({ file }, `the next tail file to begin at entry ${end}`, found)
    }
  }

  #compare(active: Active, edge: Edge): void {
    const { tail, file } = active
    const { problems, hasher } = this.#options
    if (tail.start === edge.size && tail.problem?.offset !== 0) {
      const expected = edge.hashes()
      const line = expected.findIndex((hash, i) => hash !== tail.edge[i])
      if (line >= 0)
        problems.add({ file, line: line + 1 }, `the right edge ${expected[line]}`, String(tail.edge[line]))
    }
    for (;;) {
      const commit = tail.commits[active.commit]
      if (commit === undefined || tail.start + commit.lines > edge.size) return
      active.commit += 1
      if (tail.start + commit.lines < edge.size) continue
      const root = edge.root(hasher)
      if (commit.root !== root)
        problems.add(
          { file, index: edge.size - 1 },
          `root hash ${root} in the checkpoint of size ${edge.size}`,
          commit.root,
        )
      this.root = root
      this.commits += 1
      this.#signature(active, commit.note, edge.size)
    }
  }

  #signature({ file }: Active, note: string, size: number): void {
    const { trust, origin, problems } = this.#options
    try {
      trust.open(note, origin)
    } catch (error) {
      problems.add({ file, index: size - 1 }, 'a checkpoint signed by the log', messageOf(error))
    }
  }
}
