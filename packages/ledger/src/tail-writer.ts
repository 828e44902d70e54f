/** Writes the tail: appends commits, and begins a new tail file when the entries of the old one are sealed. */
import { commitBehind, formatEdge, joinCommit } from '@service-fs/format/tail-text'
import type { StorageCapability } from '@service-fs/storage/capability'
import type { Edge } from '@service-fs/tlog/edge'
import type { Extension } from '@service-fs/tlog/kernel/kernel'
import type { Signer } from '@service-fs/tlog/note'
import { signHead, type Head } from './head.ts'
import type { Runtime } from './runtime.ts'

/** The least bytes of a tail file that is replaced by a shorter one: opening a ledger reads the whole tail file. */
const ROLL_BYTES = 4 * 1024 * 1024
/** A tail file that is replaced must also have at least this many times the bytes that the shorter one would carry over. */
const ROLL_FACTOR = 4

export interface TailOptions {
  storage: StorageCapability
  origin: string
  signer: Signer
  runtime: Runtime
}

/** A tree size and its signed checkpoint. */
type SignedSize = Pick<Head, 'size' | 'note'>

export class TailWriter {
  readonly #options: TailOptions
  readonly #storage: StorageCapability
  readonly #runtime: Runtime
  /** First entry of the tail file that commits are appended to; undefined: the next commit begins one. */
  #start: number | undefined
  #bytes: number
  /**
   * Whether the file begins with one commit of all recovered entries. Such a file is replaced early, because damage in that commit
   * would also hide entries that have been sealed since.
   */
  #isCarriedOver = false

  /** `start`: index of the first entry in the newest tail file, which has `bytes` bytes. */
  constructor(options: TailOptions, start: number | undefined, bytes: number) {
    this.#options = options
    this.#storage = options.storage
    this.#runtime = options.runtime
    this.#start = start
    this.#bytes = bytes
  }

  get start(): number | undefined {
    return this.#start
  }

  /**
   * Writes a commit: the lines of the entries behind `before`, and the signed checkpoint that covers them. Durable when it resolves,
   * with the number of bytes.
   */
  async commit(
    before: Edge,
    { text, spare }: Pick<Extension, 'text' | 'spare'>,
    { size, note }: SignedSize,
  ): Promise<number> {
    const commit = commitBehind(text, spare, note, this.#runtime.codec)
    if (this.#start !== undefined && this.#storage.tailMode === 'grow') {
      await this.#storage.commit(size, commit)
      this.#bytes += commit.length
    } else {
      await this.#write(before, size, commit, true)
    }
    return commit.length
  }

  /** Reports whether to begin a new tail file at `boundary` that carries over `carried` bytes. */
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
   * Begins a tail file at `edge` with the lines of the entries after it and the newest signed checkpoint: a new file where every entry
   * before it is sealed, or the newest file again. A tail file has at least one entry: without entries the next commit begins it.
   */
  async roll(edge: Edge, text: Uint8Array, newest: SignedSize): Promise<void> {
    this.#isCarriedOver = false
    if (text.length === 0) this.leave()
    else await this.#begin(edge, text, newest)
  }

  /**
   * Begins the first tail file after an opening, like {@link roll}, but does not wait for entries. Another file replaces it as soon as
   * one of its bundles is sealed.
   */
  async reopen(edge: Edge, text: Uint8Array, newest: SignedSize): Promise<void> {
    await this.#begin(edge, text, newest)
    this.#isCarriedOver = true
  }

  async #begin(edge: Edge, text: Uint8Array, { size, note }: SignedSize): Promise<void> {
    const commit = joinCommit(text, note, this.#runtime.codec)
    await this.#write(edge, size, commit, text.length > 0)
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
   * Returns a commit without entries, whose checkpoint covers exactly the entries before the file. With it, a reader can show those
   * entries even if the file's next commit is damaged. Where each commit is a separate file, the previous file has that checkpoint.
   */
  async #commitBefore(edge: Edge): Promise<Uint8Array> {
    if (this.#storage.tailMode === 'each' || edge.size === 0) return new Uint8Array()
    try {
      const { note } = await signHead(this.#options, edge)
      return joinCommit(new Uint8Array(), note, this.#runtime.codec)
    } catch {
      // Nothing else needs this commit. The next commit reports a failing signer, and can be retried.
      return new Uint8Array()
    }
  }
}
