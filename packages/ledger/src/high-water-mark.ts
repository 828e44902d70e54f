/**
 * The high-water mark: the size and the root hash of the newest acknowledged tree, kept outside the ledger's storage.
 *
 * The published checkpoint lags behind the tail, so it cannot show whether the end of the tail was cut off. The mark can. It names
 * only a tree whose tail this process has made durable. Responses do not wait for the mark: its next write starts when a commit is
 * durable, or when the previous write ends. So after a power failure the mark names the newest commit that was durable when the
 * last completed write began, or a later one.
 */
import type { Hash } from '@service-fs/tlog/hash'
import type { StorageCapability } from '@service-fs/storage/capability'
import { LedgerError } from './errors.ts'
import { Reader } from './reader.ts'
import type { Recovered } from './recover.ts'
import type { Runtime } from './runtime.ts'
import { SealedTiles } from './sealed-tiles.ts'
import type { Head } from './head.ts'

/** An acknowledged tree. */
export interface Mark {
  size: number
  /** Undefined when only the size is known. */
  root?: Hash | undefined
}

/** The place that keeps the mark of one ledger. */
export interface HighWaterMark {
  /** Its name in errors: the path of a file, for example. */
  readonly name: string
  /** Returns instructions for an operator who wants to open a ledger of `size` entries that the mark contradicts. */
  remedy(size: number): string
  /**
   * Returns the newest mark; undefined when there is none yet.
   * @throws Error when the mark cannot be read
   */
  read(): Promise<Mark | undefined>
  /** Replaces the mark by this tree, even if it is older. Durable when it resolves. */
  begin(head: Head): Promise<void>
  /** Replaces the mark by a newer tree. Durable when it resolves; an interrupted write leaves an older mark. Calls do not overlap. */
  note(head: Head): Promise<void>
  /** Releases its resources. */
  close(): Promise<void>
}

/** The ledger lacks entries that were acknowledged. Those that remain are part of the acknowledged tree, so they can be read. */
export class ShorterLedger extends LedgerError {}

/** Bytes of sealed tiles that are cached while the tree is compared with the mark. */
const CHECK_CACHE_BYTES = 1024 * 1024

/** A tree that an operator accepted although the mark contradicts it. */
export interface Accepted {
  size: number
  /** The contradiction: what was expected and what was found. */
  reason: string
}

/**
 * Compares the recovered tree with the mark.
 * @param accept the size of the tree that an operator accepts although the mark contradicts it
 * @returns the accepted contradiction; undefined when the tree contains the marked tree
 * @throws LedgerError `corrupt`, which names the mark, what was expected, what was found, and the remedy; ShorterLedger when the tree
 *   has fewer entries than the marked one
 */
export async function checkMark(
  mark: HighWaterMark,
  recovered: Recovered,
  storage: StorageCapability,
  runtime: Runtime,
  accept?: number,
): Promise<Accepted | undefined> {
  const { size } = recovered.head
  const difference = await differenceOf(mark, recovered, storage, runtime)
  if (difference === undefined) return undefined
  const { reason, isShorter } = difference
  if (accept === size) return { size, reason }
  const message = `${reason}; ${mark.remedy(size)}`
  throw isShorter ? new ShorterLedger('corrupt', message) : new LedgerError('corrupt', message)
}

interface Difference {
  reason: string
  /** Whether missing entries are the only contradiction. */
  isShorter: boolean
}

/**
 * Returns how the mark contradicts the recovered tree, or why the mark cannot be read; undefined when the tree contains the marked
 * tree.
 */
async function differenceOf(
  mark: HighWaterMark,
  recovered: Recovered,
  storage: StorageCapability,
  runtime: Runtime,
): Promise<Difference | undefined> {
  const { size, root } = recovered.head
  let known: Mark | undefined
  try {
    known = await mark.read()
  } catch (error) {
    return { reason: error instanceof Error ? error.message : String(error), isShorter: false }
  }
  if (known === undefined) return undefined
  const asked = known.root === undefined ? '' : ` with the root hash ${known.root}`
  if (size < known.size) {
    const reason = `${mark.name}: expected a ledger of at least ${known.size} entries${asked}, which were acknowledged; found ${size} entries with the root hash ${root}`
    return { reason, isShorter: true }
  }
  if (known.root === undefined) return undefined
  const found = await rootAt(known.size, recovered, storage, runtime)
  if (found === known.root) return undefined
  const reason = `${mark.name}: expected the root hash ${known.root} at size ${known.size}, which was acknowledged; the ledger of ${size} entries has ${found} there`
  return { reason, isShorter: false }
}

/** Returns the size in the mark, 0 when there is none yet; undefined when the mark cannot be read. */
export async function sizeNoted(mark: HighWaterMark | undefined): Promise<number | undefined> {
  try {
    return (await mark?.read())?.size ?? 0
  } catch {
    return undefined
  }
}

/** Returns `why` with the number of acknowledged entries that a ledger of `size` entries lacks. Every client may see the message. */
export function shorterThan(marked: number | undefined, size: number, why: LedgerError): LedgerError {
  if (marked === undefined || marked <= size) return why
  const missing = `${marked} entries were acknowledged, but only ${size} were found`
  return new LedgerError(why.code, `${why.message}; ${missing}`, { cause: why })
}

async function rootAt(
  size: number,
  { head, memory, sealedEdge }: Recovered,
  storage: StorageCapability,
  runtime: Runtime,
): Promise<Hash> {
  const sealed = new SealedTiles(storage, runtime, sealedEdge.clone(), CHECK_CACHE_BYTES)
  return new Reader(sealed, memory, runtime, CHECK_CACHE_BYTES).root(size, head)
}

/** Keeps the mark up to date: one write at a time, each of the newest commit. */
export class MarkKeeper {
  readonly #mark: HighWaterMark
  readonly #failed: (error: unknown) => void
  #written: Head
  #newest: Head
  #running: Promise<void> | undefined
  #hasFailed = false

  /** `written`: the tree in the mark. `failed` is called once when a write fails; the mark is not written again then. */
  constructor(mark: HighWaterMark, written: Head, failed: (error: unknown) => void) {
    this.#mark = mark
    this.#failed = failed
    this.#written = written
    this.#newest = written
  }

  /** Writes `head`, which is durable, or a newer head to the mark. */
  offer(head: Head): void {
    this.#newest = head
    if (!this.#hasFailed) this.#running ??= this.#run()
  }

  /** Resolves when the mark has the newest head, or a write has failed. */
  async idle(): Promise<void> {
    await this.#running
  }

  async #run(): Promise<void> {
    try {
      while (this.#written !== this.#newest) {
        const head = this.#newest
        await this.#mark.note(head)
        this.#written = head
      }
    } catch (error) {
      this.#hasFailed = true
      this.#failed(error)
    } finally {
      this.#running = undefined
    }
  }
}
