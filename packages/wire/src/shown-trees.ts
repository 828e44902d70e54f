/** The second trees of an envelope, in the form in which the wire shows them. */
import type { TreeAlgorithm } from '@service-fs/format/tree-binding'

/** A second tree in the form in which the routes show it. */
export interface ShownTree {
  readonly hash: TreeAlgorithm
  readonly origin: string
  /** Absent when the tree could not be opened. */
  readonly vkey?: string
  /** `building` until an entry binds the tree, then `kept`; `failed` when it is not continued. */
  readonly state: 'building' | 'kept' | 'failed'
  /** The number of entries that the tree covers, and the number of entries of the log. */
  readonly size: number
  readonly log_size: number
  /** The number of entries that the tree's signed checkpoint covers. */
  readonly signed_size: number
  /** The newest binding: the index of its entry, and the size that it binds. */
  readonly bound?: { readonly index: number; readonly size: number }
  /** The reason why the last step failed. */
  readonly problem?: string
}

/** The second trees of an envelope. */
export interface Trees {
  list(): readonly ShownTree[]
  /** Begins a tree; does nothing when it is being built or kept. Tries a failed tree again. */
  begin(algorithm: TreeAlgorithm): Promise<ShownTree>
}
