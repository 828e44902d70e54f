/** The options for opening a ledger. */
import type { StorageCapability } from '@service-fs/storage/capability'
import type { Signer, Verifier } from '@service-fs/tlog/note'
import type { LedgerError } from './errors.ts'
import type { Accepted, HighWaterMark } from './high-water-mark.ts'
import type { LedgerLimits } from './limits.ts'
import type { RecordIndex } from './record-index.ts'
import type { Runtime } from './runtime.ts'
import type { ScrubOptions } from './scrub/scrub.ts'

export interface LedgerOptions {
  /** The ledger closes it. */
  storage: StorageCapability
  origin: string
  /** Signs checkpoints; its key is named after the origin. */
  signer: Signer
  /** Verify the signer's signatures. */
  verifiers: Verifier[]
  runtime: Runtime
  /** Default: an index in memory. The ledger closes it. */
  index?: RecordIndex
  limits?: Partial<LedgerLimits>
  observer?: LedgerObserver
  /** Keeps the newest acknowledged tree outside the storage; the ledger closes it. Default: none. */
  mark?: HighWaterMark
  /** The size of the tree that an operator accepts although the mark contradicts it. */
  acceptSize?: number | undefined
  /** Checks the sealed files in the background. Default: no check. */
  scrub?: ScrubOptions | undefined
}

/** Callbacks for metrics and logs. They must not throw. */
export interface LedgerObserver {
  /** A commit is durable; `milliseconds` is the time to write and sync it, `bytes` its length in the tail. */
  committed?(commit: { entries: number; bytes: number; milliseconds: number; size: number }): void
  /** The record index was behind the ledger and now covers `covered` of its `size` entries. */
  indexing?(progress: { covered: number; size: number }): void
  /** An append begins; the returned function is called when the append resolves or rejects. */
  appending?(): () => void
  /** The ledger takes no more appends; called once. */
  stopped?(reason: LedgerError): void
  /** An operator accepted a tree other than the acknowledged one. */
  accepted?(accepted: Accepted): void
}
