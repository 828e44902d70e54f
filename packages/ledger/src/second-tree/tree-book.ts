/**
 * The entries of a ledger that bind second trees.
 *
 * {@link treeBindingId} numbers their identifiers from 1 for each algorithm, so the record index finds all of them without a
 * scan of the log.
 */
import { parseEntry } from '@service-fs/format/entry'
import {
  bindingIn,
  bindingPayload,
  isBindingProblem,
  TREE_TYPE,
  treeBindingId,
  treeOrigin,
  type TreeAlgorithm,
  type TreeBinding,
} from '@service-fs/format/tree-binding'
import type { Hash } from '@service-fs/tlog/hash'
import type { Appended, AppendResult, NewRecord } from '../record.ts'
import type { Runtime } from '../runtime.ts'

/** A binding, and the index of its entry. */
export interface PlacedTree {
  readonly index: number
  readonly binding: TreeBinding
}

/** The statement of a binding, to which the ledger adds its own origin and root hash. */
export type BoundTree = Pick<TreeBinding, 'algorithm' | 'root' | 'size' | 'vkey'>

interface Parts {
  readonly origin: string
  readonly runtime: Runtime
  /** Returns the first entry of the record with this identifier, and its index; undefined when there is none. */
  readonly find: (id: string) => Promise<{ index: number; entry: Uint8Array } | undefined>
  readonly rootAt: (size: number) => Promise<Hash>
  readonly append: (record: NewRecord) => Promise<AppendResult>
}

/** The state of reading the bindings of one algorithm: the number of the next binding, and the newest binding. */
interface Page {
  next: number
  newest: PlacedTree | undefined
}

export class TreeBook {
  readonly #parts: Parts
  readonly #pages = new Map<TreeAlgorithm, Page>()

  constructor(parts: Parts) {
    this.#parts = parts
  }

  /** Returns the newest binding of an algorithm; undefined when there is none. @throws LedgerError `not-ready`, `corrupt` */
  async newest(algorithm: TreeAlgorithm): Promise<PlacedTree | undefined> {
    return (await this.#read(algorithm)).newest
  }

  /**
   * Appends the entry that binds a tree, whose size is at most that of the ledger. Call it for one tree of an algorithm at a time. If the
   * call fails, the entry may be durable nevertheless; {@link newest} then finds it.
   * @throws LedgerError as Ledger.append()
   */
  async bind({ algorithm, root, size, vkey }: BoundTree): Promise<PlacedTree> {
    const { origin, runtime, rootAt, append } = this.#parts
    const { next } = await this.#read(algorithm)
    const sha256Root = await rootAt(size)
    const binding = { algorithm, origin: treeOrigin(origin, algorithm), root, sha256Root, size, vkey }
    const payload = bindingPayload(binding, runtime.codec)
    const { entries } = await append({ id: treeBindingId(algorithm, next), type: TREE_TYPE, payload })
    const placed = { index: (entries[0] as Appended).index, binding }
    this.#pages.set(algorithm, { next: next + 1, newest: placed })
    return placed
  }

  /** Reads the bindings that were appended after the previous read. */
  async #read(algorithm: TreeAlgorithm): Promise<Page> {
    const { find, runtime } = this.#parts
    const page: Page = { ...(this.#pages.get(algorithm) ?? { next: 1, newest: undefined }) }
    for (;;) {
      const found = await find(treeBindingId(algorithm, page.next))
      if (found === undefined) break
      // A ledger of an older version may have a client's record with this identifier.
      const binding = bindingIn(parseEntry(found.entry, runtime.codec), runtime.codec, runtime.hasher)
      if (binding !== undefined && !isBindingProblem(binding)) page.newest = { index: found.index, binding }
      page.next += 1
    }
    this.#pages.set(algorithm, page)
    return page
  }
}
