/** Checks the full bundles of a ledger's files ahead of a walk: in worker threads if there are many bundles, else in this thread. */
import { storedPath, TILE_WIDTH } from '@service-fs/tlog/tile'
import type { TreeAlgorithm } from '@service-fs/format/tree-binding'
import { ahead } from './ahead.ts'
import { BundleCheck, sizeOf, type CheckedBundle } from './bundle-check.ts'
import type { FingerprintKey } from './fingerprint.ts'
import type { LedgerFiles } from './ledger-files.ts'
import { startThreads, type CheckThreads } from './check-threads.ts'
import type { CheckRange } from './check-worker.ts'
import type { BundleChecks } from './walk.ts'

/** The maximum number of bundles in one message to a thread. */
const MOST_IN_RANGE = 16
/** The maximum number of messages that a thread holds: one in progress and one waiting. */
const QUEUE = 2
/** The maximum number of result bytes that wait for the walk. */
const ROOM = 1 << 25
/** With fewer bundles than this, one thread finishes before others have started. */
const LEAST_FOR_THREADS = 128

export interface ChecksOptions {
  files: LedgerFiles
  /** The number of full bundles. */
  bundles: number
  key: FingerprintKey
  /** The algorithms of the second trees. */
  trees: readonly TreeAlgorithm[]
  /** Whether to return the text of each bundle. */
  withText: boolean
  threads: number | undefined
}

export interface ClosableChecks extends BundleChecks {
  close(): Promise<void>
}

export function openChecks(options: ChecksOptions): ClosableChecks {
  const { files, bundles, key, trees, withText, threads } = options
  const isLarge = bundles >= LEAST_FOR_THREADS && files.locate !== undefined
  const workers =
    threads === undefined && !isLarge
      ? undefined
      : startThreads({ key, trees, withText, room: ROOM / QUEUE, most: threads ?? Infinity })
  return workers === undefined ? new OwnChecks(options) : new ThreadedChecks(options, workers)
}

/** Checks in this thread. */
class OwnChecks implements ClosableChecks {
  readonly #options: ChecksOptions
  readonly #check: BundleCheck
  readonly #checks: AsyncGenerator<CheckedBundle | undefined>

  constructor(options: ChecksOptions) {
    this.#options = options
    this.#check = new BundleCheck(options.key, options.trees)
    this.#checks = ahead(options.bundles, 2, (i) => this.check(i))
  }

  async next(): Promise<CheckedBundle | undefined> {
    const { value } = (await this.#checks.next()) as IteratorYieldResult<CheckedBundle | undefined>
    return value
  }

  async check(index: number): Promise<CheckedBundle | undefined> {
    const [bundle, hashes, ...trees] = await Promise.all([
      this.#read(tileFile('entries', index)),
      this.#read(tileFile(0, index)),
      ...this.#options.trees.map((tree) => this.#read(tileFile(0, index, tree))),
    ])
    if (bundle === undefined || hashes === undefined) return undefined
    const checked = this.#check.text(bundle, hashes, undefined, trees)
    return checked !== undefined && this.#options.withText
      ? { ...checked, text: { bundle, hashes } }
      : checked
  }

  async #read(path: string): Promise<Uint8Array | undefined> {
    try {
      return await this.#options.files.read(path)
    } catch {
      // The walk reads the file again, and reports the error.
      return undefined
    }
  }

  async close(): Promise<void> {}
}

/** Returns the path of a full tile, in the log's tree or in the second tree of an algorithm. */
function tileFile(level: number | 'entries', index: number, tree?: string): string {
  const path = storedPath({ level, index, width: TILE_WIDTH })
  return tree === undefined ? path : `${tree}/${path}`
}

/** Bundles that were sent to a thread in one message. */
interface Range {
  first: number
  end: number
  /** The results of the first bundles; undefined when no thread can check them. */
  checked: Promise<(CheckedBundle | undefined)[] | undefined>
}

/** Checks ranges of bundles in threads. Checks in this thread the bundles that they can't check. */
class ThreadedChecks implements ClosableChecks {
  readonly #options: ChecksOptions
  readonly #threads: CheckThreads
  readonly #own: OwnChecks
  /** The ranges that the walk has not passed. */
  readonly #ranges: Range[] = []
  #next = 0
  /** The index of the first bundle that was not sent yet. */
  #sent = 0
  /** The number of bundles in the next message. It grows from 1 while the results are small. */
  #width = 1

  constructor(options: ChecksOptions, threads: CheckThreads) {
    this.#options = options
    this.#threads = threads
    this.#own = new OwnChecks(options)
  }

  async next(): Promise<CheckedBundle | undefined> {
    const index = this.#next++
    if (index >= (this.#ranges[0]?.end ?? 0)) this.#ranges.shift()
    this.#send()
    const range = this.#ranges[0] as Range
    const checked = await range.checked
    if (checked === undefined || index - range.first >= checked.length) return this.#own.check(index)
    if (index === range.first) this.#adapt(checked)
    return checked[index - range.first]
  }

  #send(): void {
    const { bundles } = this.#options
    while (this.#ranges.length < this.#threads.count * QUEUE && this.#sent < bundles) {
      const first = this.#sent
      const end = Math.min(bundles, first + this.#width)
      this.#ranges.push({ first, end, checked: this.#threads.check(this.#places(first, end)) })
      this.#sent = end
    }
  }

  /** Sets the width of the next messages according to the largest result of this message. */
  #adapt(checked: readonly (CheckedBundle | undefined)[]): void {
    const largest = Math.max(1, ...checked.map((one) => (one === undefined ? 0 : sizeOf(one))))
    const fitting = Math.floor(ROOM / (largest * this.#threads.count * QUEUE))
    this.#width = Math.max(1, Math.min(fitting, 2 * this.#width, MOST_IN_RANGE))
  }

  #places(first: number, end: number): CheckRange {
    const { files, trees } = this.#options
    return Array.from({ length: end - first }, (_, i) => ({
      bundle: files.locate?.(tileFile('entries', first + i)),
      hashes: files.locate?.(tileFile(0, first + i)),
      trees: trees.map((tree) => files.locate?.(tileFile(0, first + i, tree))),
    }))
  }

  close(): Promise<void> {
    return this.#threads.close()
  }
}
