/** Stable; `not-built`: there is no psdb-host, the message says what its build needs. */
export type PsdbHostErrorCode = 'not-built'

/** What is wrong with this installation. What is wrong with a disk or its process is a StorageError. */
export class PsdbHostError extends Error {
  readonly code: PsdbHostErrorCode

  constructor(code: PsdbHostErrorCode, message: string) {
    super(message)
    this.name = 'PsdbHostError'
    this.code = code
  }
}
