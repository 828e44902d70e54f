import type { ReadableName, SealedName } from './object-name.ts'

/** So many bundles are sealed side by side; the next ones when they are durable. Whoever opens a ledger relies on it. */
export const BUNDLES_AT_ONCE = 16

/**
 * What one ledger may do to its storage, and nothing else. There is no verb that changes or removes what was sealed or
 * committed.
 *
 * Every verb rejects with a StorageError. Bytes that are handed in must not be changed before the promise settles. Objects
 * are named by values; see object-name.ts. commit() and beginTail() take effect in the order of the calls, publish()
 * likewise; everything else may run concurrently.
 */
export interface StorageCapability {
  /**
   * How the tail is kept: 'grow': one file that commits are appended to (Envelope A); 'each': every commit is a tail file
   * of its own, made by beginTail() (Envelope B).
   */
  readonly tailMode: 'grow' | 'each'

  /**
   * 'grow' mode only: a tail file, once it is protected, is never replaced by one of its name. A new one may begin past the newest
   * one's first entry, at any entry, and the older ones stay until beginTail() at a boundary with everything before it sealed.
   */
  readonly keepsTail?: boolean

  /**
   * The bytes of a sealed object, or undefined when there is none. Also reads `checkpoint`, the published cell.
   * Errors: 'path', 'corrupt' (larger than its kind can be, a symbolic link), 'io', 'closed'.
   */
  read(name: ReadableName): Promise<Uint8Array | undefined>

  /**
   * Write an object once; durable when it resolves. The same bytes again succeed (and are made durable, whoever wrote them
   * before); other bytes are a 'conflict'. Errors: 'path', 'conflict', 'full', 'io', 'closed'.
   */
  seal(name: SealedName, bytes: Uint8Array): Promise<void>

  /**
   * Append one commit to the newest tail file; durable when it resolves. `size` is the tree size after it. 'grow' mode
   * only. When it rejects with 'io' or 'full' after something was written, part of the commit may rest on the disk, and
   * every later write of this storage is refused; reads go on. Errors: 'no-tail', 'full', 'io', 'closed'.
   */
  commit(size: number, bytes: Uint8Array): Promise<void>

  /**
   * Begin the tail file that is named by its first entry, `start`, atomically and durably, with `bytes`: the right edge,
   * an empty line, one commit. `size` is the tree size after it.
   *
   * 'grow': `start` is a bundle boundary and everything below it is sealed (the bundle before it is checked to be there), and
   * older files go; or it is that of the newest file, and they stay; anything else is 'unsealed'. A file of the same name is
   * replaced. 'each': older files stay. With `keepsTail` any `start` past the newest file's will do, and older files go where it
   * is a bundle boundary and each bundle from the oldest of them on is there.
   * A `start` before the newest tail file is a 'conflict'; the same `start` again is one in 'each' mode, and with `keepsTail` when
   * that file is protected.
   * Errors: 'conflict', 'unsealed', 'full', 'corrupt', 'io', 'closed'.
   */
  beginTail(start: number, size: number, bytes: Uint8Array): Promise<void>

  /**
   * The tail files in order: the newest whose first entry is not past what is sealed, then all later ones. None when there are no
   * tail files. Not to be mixed with beginTail(). What is sealed ends before the first bundle that is not.
   * 'each': all are durable. 'grow': the last commit of the newest may not be, nor its name, whatever a sync says: a process whose
   * sync failed may have left them. They are when beginTail() has written them again.
   * Errors: 'corrupt' (a foreign name in `tail/`, a file over the limit, none that continues what is sealed), 'io', 'closed'.
   */
  tail(): AsyncIterable<TailFile>

  /** Replace the one mutable cell, `checkpoint`, atomically and durably. Errors: 'full', 'io', 'closed'. */
  publish(checkpoint: Uint8Array): Promise<void>

  /** Wait for what is under way, then let go of the storage. Every verb after it rejects with 'closed'; closing again is fine. */
  close(): Promise<void>
}

export interface TailFile {
  /** Index of the first entry in it. */
  readonly start: number
  readonly bytes: Uint8Array
}
