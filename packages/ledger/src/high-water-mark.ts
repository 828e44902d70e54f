/**
 * The high-water mark: the size and the root hash of the newest tree that was acknowledged, kept outside of the ledger's storage.
 *
 * The `checkpoint` cell lags the tail, so it does not tell an end that was cut off the tail from a commit that was never made.
 * The mark does. It only ever names a tree whose tail this process has made durable. No answer waits for it: a write of the mark
 * starts as soon as a commit is durable, or as soon as the write before it ends. So when the machine stops, the mark names at least
 * the newest commit that was durable when the last completed write of the mark began.
 */
import type { Hash } from '@service-fs/tlog/hash'
import type { StorageCapability } from '@service-fs/storage/capability'
import { LedgerError } from './errors.ts'
import { Reader } from './reader.ts'
import type { Recovered } from './recover.ts'
import type { Runtime } from './runtime.ts'
import { SealedTiles } from './sealed-tiles.ts'
import type { Head } from './head.ts'

/** A tree that was acknowledged. */
export interface Mark {
  size: number
  /** Undefined where only the size was kept. */
  root?: Hash | undefined
}

/** Where the mark of one ledger is kept. */
export interface HighWaterMark {
  /** What errors call it: the path of a file, for example. */
  readonly name: string
  /** What an operator does to open a ledger of `size` entries although it is not what the mark says. */
  remedy(size: number): string
  /**
   * The newest mark that is there; undefined when nothing was noted yet.
   * @throws Error when there is one that can't be read
   */
  read(): Promise<Mark | undefined>
  /** Begins the mark anew with this tree, whatever was there. Durable when it resolves. */
  begin(head: Head): Promise<void>
  /** Notes a newer tree. Durable when it resolves; a write that is cut short leaves an older mark. Never called twice at a time. */
  note(head: Head): Promise<void>
  /** Lets go of what it holds open. */
  close(): Promise<void>
}

/** Bytes of sealed tiles that are held while the mark is compared. */
const CHECK_CACHE_BYTES = 1024 * 1024

/** What an operator has accepted, and what it was. */
export interface Accepted {
  size: number
  /** What was expected and what was found. */
  reason: string
}

/**
 * Compares what was recovered with the mark.
 * @param accept the size of the tree that an operator accepts although it is not what the mark says
 * @returns what was accepted; undefined when the tree is what the mark says, or more
 * @throws LedgerError `corrupt`, which names the mark, what was expected, what was found, and what an operator can do
 */
export async function checkMark(
  mark: HighWaterMark,
  recovered: Recovered,
  storage: StorageCapability,
  runtime: Runtime,
  accept?: number,
): Promise<Accepted | undefined> {
  const { size } = recovered.head
  const reason = await differenceOf(mark, recovered, storage, runtime)
  if (reason === undefined) return undefined
  if (accept === size) return { size, reason }
  throw new LedgerError('corrupt', `${reason}; ${mark.remedy(size)}`)
}

/** What is wrong with the recovered tree, or with the mark. */
async function differenceOf(
  mark: HighWaterMark,
  recovered: Recovered,
  storage: StorageCapability,
  runtime: Runtime,
): Promise<string | undefined> {
  const { size, root } = recovered.head
  let known: Mark | undefined
  try {
    known = await mark.read()
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
  if (known === undefined) return undefined
  const asked = known.root === undefined ? '' : ` with the root hash ${known.root}`
  if (size < known.size)
    return `${mark.name}: expected a ledger of at least ${known.size} entries${asked}, which were acknowledged; found ${size} entries with the root hash ${root}`
  if (known.root === undefined) return undefined
  const found = await rootAt(known.size, recovered, storage, runtime)
  if (found === known.root) return undefined
  return `${mark.name}: expected the root hash ${known.root} at size ${known.size}, which was acknowledged; the ledger of ${size} entries has ${found} there`
}

/** The size that was acknowledged, 0 where nothing was noted; undefined when the mark can't be read. */
export async function sizeNoted(mark: HighWaterMark | undefined): Promise<number | undefined> {
  try {
    return (await mark?.read())?.size ?? 0
  } catch {
    return undefined
  }
}

/** Why a ledger of `size` entries is read only, and that entries are missing where more were acknowledged. Everybody may be shown that. */
export function shorterThan(marked: number | undefined, size: number, why: LedgerError): LedgerError {
  if (marked === undefined || marked <= size) return why
  const missing = `${marked} entries were acknowledged, ${size} are found`
  return new LedgerError(why.code, `${why.message}; ${missing}`, { cause: why })
}

async function rootAt(
  size: number,
  { head, memory, sealedEdge }: Recovered,
  storage: StorageCapability,
  runtime: Runtime,
): Promise<Hash> {
  const sealed = new SealedTiles(storage, runtime, sealedEdge.clone(), CHECK_CACHE_BYTES)
  return new Reader(sealed, memory, runtime).root(size, head)
}

/** Keeps the mark up with the ledger: one write at a time, and of the commits that come meanwhile only the newest is written next. */
export class MarkKeeper {
  readonly #mark: HighWaterMark
  readonly #failed: (error: unknown) => void
  #written: Head
  #newest: Head
  #running: Promise<void> | undefined
  #hasFailed = false

  /** `written`: what the mark has. `failed` is told, once, why it could not be written; it is not written any more then. */
  constructor(mark: HighWaterMark, written: Head, failed: (error: unknown) => void) {
    this.#mark = mark
    this.#failed = failed
    this.#written = written
    this.#newest = written
  }

  /** `head` is durable: the mark will have it, or a newer one. */
  offer(head: Head): void {
    this.#newest = head
    if (!this.#hasFailed) this.#running ??= this.#run()
  }

  /** Resolves when the mark has what was offered last, or has failed. */
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
