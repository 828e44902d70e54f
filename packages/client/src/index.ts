/**
 * A client of one service-fs ledger that verifies all data that it reads: connect, append, read, follow, prove, and check a whole ledger
 * behind a URL, in a directory, in a tar archive or on a disk image. It prints nothing and keeps no state.
 *
 * @packageDocumentation
 */
export * from './browser.ts'

export { checkFileProof } from './file-proof.ts'
export { verifyDirectory, verifyFiles } from './verify-directory.ts'
export { verifyPlace, withLedgerFiles } from './verify-place.ts'
export { directoryFiles, type LedgerFiles, type ListedFile } from './ledger-files.ts'
export { openTar, type TarArchive } from './tar-archive.ts'
export { filesSource } from './source.ts'
export { checkEarlier, openAuditTree, withAudit, type AuditPlace, type ProvedEntry } from './audit-place.ts'
