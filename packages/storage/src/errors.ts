/** Error codes. They are stable. */
export type StorageErrorCode =
  /** other bytes are sealed under that name, or a tail file with a later start exists */
  | 'conflict'
  /** not the name of an object of the ledger format */
  | 'path'
  /** a tail file may not begin there: an entry before it is not sealed */
  | 'unsealed'
  /** there is no tail to append to: neither beginTail() nor a complete tail() ran before */
  | 'no-tail'
  /** the medium failed; after a failed sync or append, every later write is rejected with this code */
  | 'io'
  /** no space is left, or the object exceeds its size limit */
  | 'full'
  /** the medium is read-only, or the storage was opened for reading only */
  | 'read-only'
  /** another process holds the ledger's lock */
  | 'locked'
  /** the storage was closed */
  | 'closed'
  /** stored data is corrupt: a foreign file, a wrong size, a symbolic link */
  | 'corrupt'

/** The one error class of the storage packages. Messages name paths relative to the ledger directory. */
export class StorageError extends Error {
  readonly code: StorageErrorCode

  constructor(code: StorageErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.name = 'StorageError'
    this.code = code
  }
}

/**
 * Returns the StorageError for a failed system call: `full` for ENOSPC and EDQUOT, `read-only` for EROFS, `corrupt` for a file that
 * this program never makes (ELOOP, ENOTDIR, EISDIR), else `io`. Only `cause` has the system's message, which may name absolute paths.
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

/** Returns the errno name (`ENOENT`) of a system error; undefined for any other value. */
export function errnoOf(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined
  return typeof error.code === 'string' ? error.code : undefined
}
