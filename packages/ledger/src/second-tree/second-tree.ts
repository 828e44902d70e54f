/**
 * Builds a second tree with another hash over a ledger's entries while the ledger serves requests, and then keeps the tree up to date.
 * docs/format.md, "Second trees", specifies its files.
 *
 * The tree follows the durable entries of the log, and never gets ahead of them. A full tile is sealed before a checkpoint covers it, and a
 * checkpoint covers the bound entries before the log binds them. So the ledger is valid at every moment, even after a power cut.
 *
 * After a restart the tree continues from the checkpoint that its key signed, if the tiles yield the root hash of that checkpoint.
 * Otherwise the tree is computed again from the first entry. Sealing compares each computed tile with the stored one.
 */
import { codeOf, messageOf } from '@service-fs/format/errors'
import type { TreeAlgorithm } from '@service-fs/format/tree-binding'
import { HashTree } from '@service-fs/tlog/hash-tree'
import { TILE_WIDTH } from '@service-fs/tlog/tile'
import { LedgerError } from '../errors.ts'
import type { Ledger } from '../ledger.ts'
import { Pacer, Stopped, type Pace } from '../scrub/pacer.ts'
import { StoredTree, type FullTile, type StoredTreeParts } from './stored-tree.ts'

/** The part of a ledger that a second tree needs. */
export type TreeLog = Pick<Ledger, 'size' | 'entries' | 'grown' | 'treeBinding' | 'bindTree'>

export interface SecondTreeOptions extends StoredTreeParts {
  readonly algorithm: TreeAlgorithm
  readonly log: TreeLog
  /** Default: {@link DEFAULT_TREE_PACE}. */
  readonly pace?: Partial<Pace> | undefined
  /** The number of entries after which the log binds the tree again. Default: {@link REBIND_ENTRIES}. */
  readonly rebindEntries?: number | undefined
  /** Called when the tree can't be continued, and when a step failed and will be tried again. Must not throw. */
  readonly failed?: (error: unknown, isFinal: boolean) => void
}

export interface SecondTreeStatus {
  /** `building`: no entry binds the tree yet. `kept`: the log binds it. `failed`: it is not continued. */
  state: 'building' | 'kept' | 'failed'
  /** The number of entries that the tree covers in memory, and in its signed checkpoint. */
  size: number
  signed: number
  /** The newest binding: the index of its entry, and the size that it binds. */
  bound?: { index: number; size: number }
  /** The reason why the last step failed. */
  problem?: string
}

/** The maximum speed of reading and hashing. It leaves most of the processor and of the disk to requests. */
export const DEFAULT_TREE_PACE: Pace = { bytesPerSecond: 32_000_000, duty: 0.25 }
/** The number of entries below a full tile of level 1. */
export const REBIND_ENTRIES: number = TILE_WIDTH * TILE_WIDTH

/** The maximum number of bytes to hash at once. A larger entry is hashed alone. */
const SLICE_BYTES = 64 * 1024
/** The least time between two checkpoints: when the tree has caught up with the log, and while it has not. */
const PUBLISH_MS = 1000
const PUBLISH_BEHIND_MS = 10_000
/** The pause after a temporary error, such as a full disk. */
const RETRY_MS = 10_000

/**
 * After these errors, every later attempt of this process would fail too. All other errors mean that the ledger is busy, unready or full.
 */
const FINAL: ReadonlySet<string> = new Set(['conflict', 'corrupt', 'io', 'path', 'bad-record', 'range'])

/** A root hash that the tree must have at a size. */
interface Expected {
  readonly size: number
  readonly root: string
  readonly what: string
}

export class SecondTree {
  readonly #options: SecondTreeOptions
  readonly #stored: StoredTree
  readonly #pacer: Pacer
  #tree: HashTree
  /** The full tiles that are not sealed yet. */
  #full: FullTile[] = []
  #published: { size: number; root: string } | undefined
  #publishedAt = Number.NEGATIVE_INFINITY
  #bound: { index: number; size: number } | undefined
  /** The size of the log when the work began. The log binds the tree for the first time when the tree has reached this size. */
  #target = 0
  #expected: Expected[] = []
  /** Whether the checkpoint and the bindings were read. */
  #isOpen = false
  #isFailed = false
  #problem: string | undefined
  #wake: (() => void) | undefined
  #isStopping = false
  #running: Promise<void> = Promise.resolve()

  constructor(options: SecondTreeOptions) {
    const { hash, runtime, pace } = options
    this.#options = options
    this.#stored = new StoredTree(options)
    this.#pacer = new Pacer(runtime, { ...DEFAULT_TREE_PACE, ...pace })
    this.#tree = new HashTree(hash)
  }

  /** Starts to build or to continue the tree; see {@link stop}. */
  start(): void {
    this.#running = this.#run()
  }

  /** Ends the work, and publishes a checkpoint that covers the whole tree in memory. Does not close the storage. */
  async stop(): Promise<void> {
    this.#isStopping = true
    this.#pacer.stop()
    this.#wake?.()
    await this.#running
  }

  status(): SecondTreeStatus {
    const bound = this.#bound
    return {
      state: this.#isFailed ? 'failed' : bound === undefined ? 'building' : 'kept',
      size: this.#tree.size,
      signed: this.#published?.size ?? 0,
      ...(bound === undefined ? {} : { bound }),
      ...(this.#problem === undefined ? {} : { problem: this.#problem }),
    }
  }

  async #run(): Promise<void> {
    try {
      for (;;) await this.#orLater(() => (this.#isOpen ? this.#step() : this.#open()))
    } catch (error) {
      if (error instanceof Stopped || this.#isStopping) await this.#finish().catch(() => undefined)
      else this.#fail(error, true)
    }
  }

  /** Tries again later after a temporary error. @throws Stopped, and every other error */
  async #orLater(step: () => Promise<void>): Promise<void> {
    try {
      await step()
      this.#problem = undefined
    } catch (error) {
      this.#pacer.check()
      const code = codeOf(error)
      if (error instanceof Stopped || code === undefined || FINAL.has(code)) throw error
      this.#fail(error, false)
      await this.#pacer.pause(RETRY_MS)
    }
  }

  #fail(error: unknown, isFinal: boolean): void {
    const isNews = this.#problem !== messageOf(error) || isFinal
    this.#problem = messageOf(error)
    this.#isFailed = isFinal
    if (isNews) this.#options.failed?.(error, isFinal)
  }

  /** Reads the existing files of the tree. */
  async #open(): Promise<void> {
    const { log, algorithm, hash, signer } = this.#options
    await this.#stored.identify()
    const placed = await this.#unlessStopped(log.treeBinding(algorithm))
    if (placed !== undefined && placed.binding.vkey !== signer.vkey)
      throw corrupt(`entry ${placed.index} binds another key of the tree than that in its folder`)
    const published = await this.#stored.published()
    if (published !== undefined && published.size > log.size)
      throw corrupt(`the tree's checkpoint covers ${published.size} entries, but the log has ${log.size}`)
    this.#expected = []
    if (published !== undefined) this.#expected.push({ ...published, what: 'its signed checkpoint' })
    if (placed !== undefined) {
      const { size, root } = placed.binding
      this.#expected.push({ size, root, what: `entry ${placed.index}` })
      this.#bound = { index: placed.index, size }
    }
    this.#tree = (published && (await this.#restored(published))) ?? new HashTree(hash)
    this.#full = []
    this.#published = published
    this.#target = log.size
    this.#check()
    this.#isOpen = true
  }

  /** Returns the tree of a signed checkpoint, from its tiles; undefined when the tiles do not yield the checkpoint's root hash. */
  async #restored({ size, root }: { size: number; root: string }): Promise<HashTree | undefined> {
    const { log, runtime } = this.#options
    const tree = await this.#stored.bundles(size, this.#pacer)
    if (tree === undefined) return undefined
    if (tree.size < size)
      for (const entry of await this.#unlessStopped(log.entries(tree.size, size)))
        await this.#pacer.compute(() => tree.append(entry))
    return runtime.codec.base64Encode(tree.root()) === root ? tree : undefined
  }

  /** Takes the next step, or waits until a step is due. */
  async #step(): Promise<void> {
    const { log, runtime } = this.#options
    await this.#pacer.pause(0)
    await this.#seal()
    if (this.#tree.size < log.size) await this.#extend()
    const isBehind = this.#tree.size < log.size
    const wait = this.#publishedAt + (isBehind ? PUBLISH_BEHIND_MS : PUBLISH_MS) - runtime.monotonic()
    if (this.#isBindingDue()) await this.#bind()
    else if (wait <= 0) await this.#publish()
    if (isBehind) return
    if (this.#isPublished()) await this.#unlessStopped(log.grown(this.#tree.size))
    else await this.#pacer.pause(Math.max(0, wait))
  }

  /** Adds the next entries, up to the end of a bundle, and seals the tiles that they complete. */
  async #extend(): Promise<void> {
    const { log } = this.#options
    const { size } = this.#tree
    const stops = this.#expected.map((one) => one.size).filter((stop) => stop > size)
    const to = Math.min(log.size, size - (size % TILE_WIDTH) + TILE_WIDTH, ...stops)
    const entries = await this.#unlessStopped(log.entries(size, to))
    let bytes = 0
    for (let at = 0; at < entries.length;) {
      const end = sliceEnd(entries, at)
      await this.#pacer.compute(() => {
        for (; at < end; at++) {
          const entry = entries[at] as Uint8Array
          bytes += entry.length
          this.#tree.append(entry, (level, index, hashes) => this.#full.push({ level, index, hashes }))
        }
      })
    }
    await this.#seal()
    this.#check()
    await this.#pacer.read(bytes)
  }

  async #seal(): Promise<void> {
    for (let next = this.#full[0]; next !== undefined; next = this.#full[0]) {
      await this.#stored.seal(next)
      this.#full.shift()
    }
  }

  /** Compares the tree with the root hashes that earlier processes signed or bound. @throws LedgerError `corrupt` */
  #check(): void {
    const { size } = this.#tree
    const due = this.#expected.filter((one) => one.size === size)
    if (due.length === 0) return
    const root = this.#root()
    const other = due.find((one) => one.root !== root)
    if (other !== undefined)
      throw corrupt(`${other.what}: expected the root hash ${root} of ${size} entries, found ${other.root}`)
    this.#expected = this.#expected.filter((one) => one.size > size)
  }

  #root(): string {
    return this.#options.runtime.codec.base64Encode(this.#tree.root())
  }

  #isPublished(): boolean {
    return this.#published !== undefined && this.#published.size >= this.#tree.size
  }

  async #publish(): Promise<void> {
    if (this.#isPublished()) return
    const published = { size: this.#tree.size, root: this.#root() }
    await this.#stored.publish(published.size, published.root)
    this.#published = published
    this.#publishedAt = this.#options.runtime.monotonic()
  }

  #isBindingDue(): boolean {
    const { size } = this.#tree
    if (this.#bound === undefined) return size >= this.#target
    return size - this.#bound.size >= (this.#options.rebindEntries ?? REBIND_ENTRIES)
  }

  /** Binds the tree at its current size. First publishes a checkpoint of that size, which a bound tree must have. */
  async #bind(): Promise<void> {
    const { log, algorithm, signer } = this.#options
    await this.#publish()
    const { size } = this.#tree
    try {
      const bound = { algorithm, root: this.#root(), size, vkey: signer.vkey }
      const { index } = await this.#unlessStopped(log.bindTree(bound))
      this.#bound = { index, size }
    } catch (error) {
      this.#pacer.check()
      // The entry may be durable nevertheless.
      const placed = await this.#unlessStopped(log.treeBinding(algorithm)).catch(() => undefined)
      if (placed !== undefined) this.#bound = { index: placed.index, size: placed.binding.size }
      throw error
    }
  }

  /** Waits for the log, which may take long to answer, for instance while its index is built. @throws Stopped */
  #unlessStopped<T>(work: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#wake = () => reject(new Stopped('the tree was stopped'))
      work.then(resolve, reject)
      if (this.#isStopping) this.#wake()
    })
  }

  async #finish(): Promise<void> {
    if (!this.#isOpen) return
    await this.#seal()
    if (this.#expected.length === 0) await this.#publish()
  }
}

/** Returns the end of the entries, starting at `at`, that are hashed at once. */
function sliceEnd(entries: readonly Uint8Array[], at: number): number {
  let end = at
  for (let bytes = 0; end < entries.length; end++) {
    bytes += (entries[end] as Uint8Array).length
    if (end > at && bytes > SLICE_BYTES) break
  }
  return end
}

function corrupt(message: string): LedgerError {
  return new LedgerError('corrupt', message)
}
