/**
 * What a ledger needs of a file system. Paths are relative to the ledger directory, '' being the directory itself.
 * Errors are the system's, with its `code` ('ENOENT', 'EEXIST', 'ENOSPC', …), or StorageErrors. Symbolic links are not
 * followed.
 */
export interface FileSystem {
  /** What may be done to protect a ledger's files from everybody, the storage included. Absent: nothing. */
  readonly protection?: Protection
  /** A file's bytes; undefined: there is none. StorageError 'corrupt' when it is no regular file or longer than `limit`. */
  readFile(path: string, limit: number): Promise<Uint8Array | undefined>
  exists(path: string): Promise<boolean>
  /** Names in a directory, in any order; none when it does not exist. */
  list(dir: string): Promise<string[]>
  /** Make a new file (EEXIST when there is one), write it, give it `mode`, sync it. */
  create(path: string, bytes: Uint8Array, mode: number): Promise<void>
  /** Give a file another name too; EEXIST when that is taken. */
  link(from: string, to: string): Promise<void>
  /** Rename a file, replacing what is there, atomically. */
  rename(from: string, to: string): Promise<void>
  unlink(path: string): Promise<void>
  /** Make a directory; EEXIST when there is one. */
  makeDir(dir: string): Promise<void>
  /** Remove a directory that has nothing in it; an error otherwise. */
  removeDir(dir: string): Promise<void>
  /** Make the names in a directory durable. */
  syncDir(dir: string): Promise<void>
  /** Make a file's bytes durable. */
  syncFile(path: string): Promise<void>
  openTail(path: string): Promise<TailHandle>
  close(): Promise<void>
}

/**
 * File attributes that outlast the process. Each is asked for when what it is about is durable and has one name only; an
 * attribute that is there already is no error. With it a tail file is never replaced: see StorageCapability.keepsTail.
 *
 * A name that has an attribute is taken for durable, whoever made it. That holds on file systems which stop writing, until they are
 * mounted again, once the sync of a directory has failed: those with a journal or copy on write. No others are known to have attributes.
 */
export interface Protection {
  /** The sealed object `path`: nobody changes or removes it. */
  sealed(path: string): Promise<void>
  /** The tail file `path`: it only grows. */
  tail(path: string): Promise<void>
  /** The tail file `path` may be removed: what it holds is in sealed bundles and in the tail file `newer`. */
  release(path: string, newer: string): Promise<void>
}

/** A tail file, open for appending. */
export interface TailHandle {
  /** Bytes in it when it was opened. */
  readonly length: number
  /** One write at `position`, its end, and one sync of the data. */
  append(position: number, bytes: Uint8Array): Promise<void>
  close(): Promise<void>
}
