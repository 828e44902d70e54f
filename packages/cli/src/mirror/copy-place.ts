/** The place of a copy: a directory, or a prefix in an S3 store. */
import type { LedgerFiles } from '@service-fs/client/ledger-files'
import type { TrustedTree } from '@service-fs/client/tree'
import type { StorageCapability } from '@service-fs/storage/capability'

/** The form of the copy: like a daemon's ledger, or like an export. */
export type CopyForm = 'ledger' | 'export'

/** The log of a ledger, or that of its audit sub-ledger. */
export type LogFolder = '' | 'audit'

export interface CopyPlace {
  readonly form: CopyForm
  /** The stored files, for reading. */
  readonly files: LedgerFiles
  /** Opens the storage of a log. No other process changes the copy unnoticed from the first call until `close`. */
  open(folder: LogFolder): Promise<StorageCapability>
  /** Stores the end of the tree, which has no full tiles, and then the checkpoint. Durable when it resolves. */
  end(folder: LogFolder, storage: StorageCapability, tree: TrustedTree, note: string): Promise<void>
  /** Called when a run failed, if the next run must open the storage anew. */
  forget?(): void
  close(): Promise<void>
}
