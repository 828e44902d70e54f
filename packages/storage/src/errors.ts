/** What went wrong, for programs; stable. */
export type StorageErrorCode =
  /** other bytes are sealed under that path, or the tail already goes past that start */
  | 'conflict'
  /** not a path of the ledger format */
  | 'path'
  /** a tail may not begin there: something below it is not sealed */
  | 'unsealed'
  /** no tail to append to: neither beginTail() nor a complete tail() came before */
  | 'no-tail'
  /** the medium failed; after a failed sync or append every later write is refused with this code */
  | 'io'
  /** no space left, or a size limit would be passed */
  | 'full'
  /** the medium can only be read, or the storage was opened for reading only */
  | 'read-only'
  /** another process writes to this ledger */
  | 'locked'
  /** the storage was closed */
  | 'closed'
  /** what is stored cannot be what was stored: a foreign file, a wrong size, a symbolic link */
  | 'corrupt'

/** The one error class of the storage packages. The message names paths relative to the ledger directory only. */
export class StorageError extends Error {
  readonly code: StorageErrorCode

  constructor(code: StorageErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.name = 'StorageError'
    this.code = code
  }
}

/**
 * The StorageError for a failed system call: 'full' for ENOSPC and EDQUOT, 'read-only' for EROFS, 'corrupt' for what only a foreign
 * hand can have put there (ELOOP, ENOTDIR, EISDIR), else 'io'. The system's own message, which may name the machine's paths, is
 * in `cause` only.
 */
export function systemError(path: string, cause: unknown): StorageError {
  if (cause instanceof StorageError) return cause
  const errno = errnoOf(cause) ?? 'failed'
  const what = `${path}: ${errno}`
  if (errno === 'ENOSPC' || errno === 'EDQUOT') return new StorageError('full', what, { cause })
  if (errno === 'EROFS') return new StorageError('read-only', what, { cause })
  if (errno === 'ELOOP' || errno === 'ENOTDIR' || errno === 'EISDIR')
    return new StorageError('corrupt', what, { cause })
  return new StorageError('io', what, { cause })
}

/** The errno name ('ENOENT') of a system error, if it is one. */
export function errnoOf(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined
  return typeof error.code === 'string' ? error.code : undefined
}
