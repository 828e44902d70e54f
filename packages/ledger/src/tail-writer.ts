/** Writing the tail: commits, and the beginning of a new tail file when what the old one holds is sealed. */
import { formatCommit, formatEdge } from '@service-fs/format/tail-text'
import type { StorageCapability } from '@service-fs/storage/capability'
import type { Edge } from '@service-fs/tlog/edge'
import type { Signer } from '@service-fs/tlog/note'
import type { Runtime } from './runtime.ts'
import { signHead } from './sign.ts'

/** A tail file is not left for a smaller one before it has this many bytes: opening reads it whole. */
const ROLL_BYTES = 4 * 1024 * 1024
/** Nor before it has this many times what a new one would have to carry over. */
const ROLL_FACTOR = 4

export interface TailOf {
  storage: StorageCapability
  origin: string
  signer: Signer
  runtime: Runtime
}

export class TailWriter {
  readonly #of: TailOf
  readonly #storage: StorageCapability
  readonly #runtime: Runtime
  /** First entry of the tail file that is written to; undefined: the next commit begins one. */
  #start: number | undefined
  #bytes: number
  /** Whether the file begins with one commit of all that an opening found: damage in it would hide what is sealed since. */
  #isCarriedOver = false

  constructor(of: TailOf, start: number | undefined, bytes: number) {
    this.#of = of
    this.#storage = of.storage
    this.#runtime = of.runtime
    this.#start = start
    this.#bytes = bytes
  }

  get start(): number | undefined {
    return this.#start
  }

  /** Writes one commit: the entry lines behind `before`, and the signed checkpoint of size `size` that covers them. Durable when it resolves. */
  async commit(before: Edge, lines: readonly string[], size: number, note: string): Promise<number> {
    const commit = formatCommit(lines, note, this.#runtime.codec)
    if (this.#start !== undefined && this.#storage.tailMode === 'grow') {
      await this.#storage.commit(size, commit)
      this.#bytes += commit.length
    } else {
      await this.#write(before, size, commit, true)
    }
    return commit.length
  }

  /** Whether a new tail file at `boundary`, carrying over `carried` bytes, is worth it. */
  worthRolling(boundary: number, carried: number): boolean {
    if (this.#storage.tailMode === 'each' || this.#start === undefined || boundary <= this.#start)
      return false
    return this.#isCarriedOver || this.#bytes >= Math.max(ROLL_BYTES, ROLL_FACTOR * carried)
  }

  /** Leaves the newest tail file as it is: the next commit begins another one. */
  leave(): void {
    this.#start = undefined
  }

  /**
   * Begins a tail file at `edge` with the entries past it and the newest signed checkpoint: a new one where everything before it is
   * sealed, or the newest one again. Without entries that is left to the next commit: a tail file has at least one.
   */
  async roll(edge: Edge, lines: readonly string[], note: string): Promise<void> {
    this.#isCarriedOver = false
    if (lines.length === 0) this.leave()
    else await this.#begin(edge, lines, note)
  }

  /**
   * As roll(), and at once where there are no entries either: the first file of an opening. It is left for another one as soon as a
   * bundle of it is sealed.
   */
  async reopen(edge: Edge, lines: readonly string[], note: string): Promise<void> {
    await this.#begin(edge, lines, note)
    this.#isCarriedOver = true
  }

  async #begin(edge: Edge, lines: readonly string[], note: string): Promise<void> {
    const commit = formatCommit(lines, note, this.#runtime.codec)
    await this.#write(edge, edge.size + lines.length, commit, lines.length > 0)
  }

  async #write(edge: Edge, size: number, commit: Uint8Array, hasEntries: boolean): Promise<void> {
    const { codec } = this.#runtime
    const before = hasEntries ? await this.#commitBefore(edge) : new Uint8Array()
    const bytes = codec.concat(codec.asciiEncode(formatEdge(edge.hashes())), before, commit)
    await this.#storage.beginTail(edge.size, size, bytes)
    this.#start = edge.size
    this.#bytes = bytes.length
  }

  /**
   * A commit without entries whose checkpoint ends where the file begins: with it the entries before the file can be shown when the
   * commit behind it is damaged. Where each commit is a file of its own, the file before has that checkpoint.
   */
  async #commitBefore(edge: Edge): Promise<Uint8Array> {
    if (this.#storage.tailMode === 'each' || edge.size === 0) return new Uint8Array()
    try {
      const { note } = await signHead(this.#of, edge)
      return formatCommit([], note, this.#runtime.codec)
    } catch {
      // Nothing else needs it. A signer that fails is told by the next commit, which can be tried again.
      return new Uint8Array()
    }
  }
}
