/** The destination of a pack: a directory or an archive. */

export interface PackOutput {
  /** Writes one file. Each path is written once. @throws ClientError `file`; may throw for an earlier file */
  put(path: string, bytes: Uint8Array): Promise<void>
  /** Opens a file that grows while others are written. @throws ClientError `file` */
  open(path: string): Promise<PackFile>
}

/** A file that grows. */
export interface PackFile {
  write(text: string): Promise<void>
  /** Ends the file. Its output must not be used after an error. */
  end(): Promise<void>
}
