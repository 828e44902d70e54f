/** The second trees of an envelope, as the wire shows them. */
import type { TreeAlgorithm } from '@service-fs/format/tree-binding'

/** A second tree, as the routes show it. */
export interface ShownTree {
  readonly hash: TreeAlgorithm
  readonly origin: string
  /** Absent when the tree could not be opened. */
  readonly vkey?: string
  /** `building` until an entry binds the tree, then `kept`; `failed` when it is not continued. */
  readonly state: 'building' | 'kept' | 'failed'
  /** Entries that the tree covers, and those of the log. */
  readonly size: number
  readonly log_size: number
  /** Entries that its signed checkpoint covers. */
  readonly signed_size: number
  /** The newest binding: the index of its entry, and the size that it binds. */
  readonly bound?: { readonly index: number; readonly size: number }
  /** Why the last step failed. */
  readonly problem?: string
}

/** The second trees of an envelope. */
export interface Trees {
  list(): readonly ShownTree[]
  /** Begins a tree; does nothing when it is being built or kept. A failed one is tried again. */
  begin(algorithm: TreeAlgorithm): Promise<ShownTree>
}
