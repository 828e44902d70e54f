import type { ReadableName, SealedName } from './object-name.ts'

/** The most bundles that a ledger seals concurrently; it starts the next ones when these are durable. Recovery relies on this limit. */
export const BUNDLES_AT_ONCE = 16

/**
 * Everything that a ledger can do to its storage. No verb changes or removes sealed or committed data.
 *
 * Every verb rejects with a StorageError. The caller must not change bytes that it handed in before the promise settles.
 * commit() and beginTail() take effect in the order of the calls, and so does publish(); all other verbs may run concurrently.
 */
export interface StorageCapability {
  /**
   * `grow`: commits are appended to one tail file (Envelope A). `each`: every commit is a tail file of its own, begun by
   * beginTail() (Envelope B).
   */
  readonly tailMode: 'grow' | 'each'

  /**
   * `grow` mode only. Whether a tail file, once protected, can never be replaced. A new tail file may then begin at any entry after the
   * first entry of the newest one, and older files stay until beginTail() begins a file at a bundle boundary and every entry before it is
   * sealed.
   */
  readonly keepsTail?: boolean

  /**
   * Returns the bytes of a sealed object or of the published checkpoint; undefined when there is none.
   * Errors: `path`; `corrupt` (larger than its kind allows, or a symbolic link); `io`; `closed`.
   */
  read(name: ReadableName): Promise<Uint8Array | undefined>

  /**
   * Writes an object once; durable when it resolves. Sealing the same bytes again succeeds, and makes them durable even if another
   * process wrote them. Sealing other bytes is a `conflict`. Errors: `path`, `conflict`, `full`, `io`, `closed`.
   */
  seal(name: SealedName, bytes: Uint8Array): Promise<void>

  /**
   * Appends one commit to the newest tail file; durable when it resolves. `size` is the tree size after it. `grow` mode only.
   *
   * When it rejects with `io` or `full`, part of the commit may be on the disk. The storage then rejects every later write, and still
   * serves reads. Errors: `no-tail`, `full`, `io`, `closed`.
   */
  commit(size: number, bytes: Uint8Array): Promise<void>

  /**
   * Begins the tail file whose first entry is `start`, atomically and durably. `bytes` are the right edge, an empty line, and one
   * commit; `size` is the tree size after it.
   *
   * `grow`: if `start` is a bundle boundary and every entry before it is sealed, older files are removed (the storage checks only the
   * last bundle before `start`). If `start` is that of the newest file, older files stay. Any other `start` is `unsealed`. A file with
   * the same start is replaced.
   *
   * `grow` with `keepsTail`: `start` is anywhere after the newest file's. Older files are removed only when `start` is a bundle boundary
   * and every bundle from the oldest file on is sealed. The same `start` again is a `conflict` when that file is protected.
   *
   * `each`: older files stay. The same `start` again is a `conflict`.
   *
   * A `start` before that of the newest tail file is always a `conflict`.
   * Errors: `conflict`, `unsealed`, `full`, `corrupt`, `io`, `closed`.
   */
  beginTail(start: number, size: number, bytes: Uint8Array): Promise<void>

  /**
   * Yields the tail files in order: the newest one whose first entry is not after the sealed entries, then all later ones. Yields
   * nothing when there are no tail files. The sealed entries end before the first bundle that is missing. Do not call beginTail()
   * while iterating.
   *
   * `each`: all files are durable. `grow`: the name and the last commit of the newest file may not be durable, even after a successful
   * sync, because the sync of an earlier process may have failed. Writing them again with beginTail() makes them durable.
   *
   * Errors: `corrupt` (a foreign name in `tail/`, a file over the size limit, or no file that continues the sealed entries), `io`,
   * `closed`.
   */
  tail(): AsyncIterable<TailFile>

  /** Replaces the published checkpoint, the one mutable object, atomically and durably. Errors: `full`, `io`, `closed`. */
  publish(checkpoint: Uint8Array): Promise<void>

  /** Waits for running verbs, then releases the storage. Later verbs reject with `closed`; a second close() succeeds. */
  close(): Promise<void>
}

export interface TailFile {
  /** Index of its first entry. */
  readonly start: number
  readonly bytes: Uint8Array
}
