import { FormatError, codeOf, messageOf } from '@service-fs/format/errors'
import { TlogError } from '@service-fs/tlog/errors'

export type LedgerErrorCode =
  | 'bad-record'
  | 'bad-signature'
  | 'too-large'
  | 'conflict'
  | 'not-found'
  | 'not-a-record'
  | 'range'
  | 'busy'
  | 'not-ready'
  | 'clock-behind'
  | 'clock-ahead'
  | 'stopped'
  | 'full'
  | 'read-only'
  | 'closed'
  | 'signer'
  | 'corrupt'

/**
 * The error class of the ledger. `code` is stable. `index` is the entry that the error is about, if there is one. `recordId` is the
 * identifier of a rejected record.
 */
export class LedgerError extends Error {
  readonly code: LedgerErrorCode
  readonly index: number | undefined
  readonly recordId: string | undefined

  constructor(
    code: LedgerErrorCode,
    message: string,
    options?: { index?: number; recordId?: string; cause?: unknown },
  ) {
    super(message, options?.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'LedgerError'
    this.code = code
    this.index = options?.index
    this.recordId = options?.recordId
  }
}

/**
 * Returns the error to throw when parsing `what` failed: a LedgerError `corrupt` for a format error, and the error itself for any
 * other, such as out of memory.
 */
export function unreadable(what: string, error: unknown, index?: number): unknown {
  if (!(error instanceof TlogError || error instanceof FormatError)) return error
  return new LedgerError('corrupt', `${what}: ${error.message}`, {
    cause: error,
    ...(index === undefined ? {} : { index }),
  })
}

/** Returns the error of appends after a part of the ledger failed for good. */
export function stoppedBy(error: unknown): LedgerError {
  return error instanceof LedgerError ? error : new LedgerError('stopped', messageOf(error), { cause: error })
}

/** Returns the error of appends after a write failed: `full` or `read-only` when that was the disk's error, else `stopped`. */
export function stopReason(error: unknown): LedgerError {
  if (error instanceof LedgerError) return error
  return new LedgerError(CODES[codeOf(error) ?? ''] ?? 'stopped', messageOf(error), { cause: error })
}

/** Codes of StorageErrors and of system calls. */
const CODES: Readonly<Record<string, 'full' | 'read-only'>> = {
  full: 'full',
  ENOSPC: 'full',
  EDQUOT: 'full',
  'read-only': 'read-only',
  EROFS: 'read-only',
}
