/**
 * A client for browsers. It connects to one service-fs ledger behind a URL, and verifies all data that it reads: connect, append, read,
 * follow, prove, and check the whole ledger. It prints nothing and keeps no state of its own.
 *
 * @packageDocumentation
 */
export { ClientError } from './errors.ts'
export {
  Connection,
  isUrl,
  withConnection,
  type Answer,
  type ConnectionOptions,
  type Question,
  type TlsOptions,
} from './http.ts'

export {
  appendAll,
  appendBatch,
  appendLimits,
  checkReceipt,
  DEFAULT_LIMITS,
  type AppendedRecord,
  type AppendLimits,
  type AppendOptions,
  type NewRecord,
} from './append.ts'

export { readRecord, readRecords, type ReadOptions, type ReadRecord, type RecordKey } from './read.ts'
export { getRecord, openTree } from './get.ts'
export { follow, type Followed, type FollowOptions } from './follow.ts'
export { treeRecords, type Bundles, type TreeRecord } from './tree-records.ts'
export { TrustedTree } from './tree.ts'

export { Trust, type Opened, type TrustOptions } from './trust.ts'
export { checkPayloadProof, checkProof, fetchProof, readProof, type Proved } from './proof.ts'

export { problemText, type Place, type Problem } from './problems.ts'
export type { CheckedLedger, LedgerCopy, LedgerReport, VerifyOptions } from './verify.ts'
export type { BundleText } from './bundle-check.ts'
export type { TreeCopy } from './walk.ts'
export { trustOf, verifyUrl } from './verify-url.ts'
export { httpSource, type LogSource } from './source.ts'

export { matches, READ_TYPE, spansOf, tryReadOf, type Read, type ReadFilter, type Span } from './reads.ts'
