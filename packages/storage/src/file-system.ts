/**
 * The file system operations that a ledger needs. Paths are relative to the ledger directory; '' is the directory itself.
 * Methods reject with the system's error, whose `code` is the errno name (`ENOENT`, `EEXIST`, `ENOSPC`, …), or with a StorageError.
 * They do not follow symbolic links.
 */
export interface FileSystem {
  /** Sets file attributes that protect a ledger's files even from this process. Absent where it cannot set any. */
  readonly protection?: Protection
  /** Returns a file's bytes; undefined when there is none. StorageError `corrupt` when it is not a regular file or has more than `limit` bytes. */
  readFile(path: string, limit: number): Promise<Uint8Array | undefined>
  /** Reports whether there is a file at `path`. */
  exists(path: string): Promise<boolean>
  /** Returns the names in a directory, in any order; none when it does not exist. */
  list(dir: string): Promise<string[]>
  /** Creates a file (EEXIST when there is one), writes it, sets its `mode`, and syncs it. */
  create(path: string, bytes: Uint8Array, mode: number): Promise<void>
  /** Gives a file a second name; EEXIST when that is taken. */
  link(from: string, to: string): Promise<void>
  /** Renames a file atomically, replacing any file at `to`. */
  rename(from: string, to: string): Promise<void>
  unlink(path: string): Promise<void>
  /** Creates a directory; EEXIST when there is one. */
  makeDir(dir: string): Promise<void>
  /** Removes an empty directory; an error when it is not empty. */
  removeDir(dir: string): Promise<void>
  /** Makes the names in a directory durable. */
  syncDir(dir: string): Promise<void>
  /** Makes a file's bytes durable. */
  syncFile(path: string): Promise<void>
  openTail(path: string): Promise<TailHandle>
  close(): Promise<void>
}

/**
 * Sets file attributes that outlast the process. The storage sets one when the file is durable and has a single name. Setting an
 * attribute again succeeds. A storage that sets attributes never replaces a tail file: see StorageCapability.keepsTail.
 *
 * If a file has an attribute, the storage treats its name as durable, even if another process made the name. This is right on file systems
 * with a journal or copy-on-write: once the sync of a directory has failed, they write nothing until the next mount. No other file systems
 * are known to have such attributes.
 */
export interface Protection {
  /** Makes the sealed object at `path` immutable. */
  sealed(path: string): Promise<void>
  /** Makes the tail file at `path` append-only. */
  tail(path: string): Promise<void>
  /** Lets the tail file at `path` be removed: its entries are in sealed bundles and in the tail file `newer`. */
  release(path: string, newer: string): Promise<void>
}

/** A tail file, open for appending. */
export interface TailHandle {
  /** Its length in bytes when it was opened. */
  readonly length: number
  /** Writes at `position`, the end of the file, and syncs the data. */
  append(position: number, bytes: Uint8Array): Promise<void>
  close(): Promise<void>
}
