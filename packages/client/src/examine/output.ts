/** The destination of a pack: a directory or an archive. */

export interface PackOutput {
  /** An existing folder for temporary files. They must be removed before the output is complete. */
  readonly folder: string
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
