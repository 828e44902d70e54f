/** Stable. `not-built`: psdb-host is missing; the message names what its build needs. */
export type PsdbHostErrorCode = 'not-built'

/** A problem of this installation. Problems of a disk or of its process are StorageErrors. */
export class PsdbHostError extends Error {
  readonly code: PsdbHostErrorCode

  constructor(code: PsdbHostErrorCode, message: string) {
    super(message)
    this.name = 'PsdbHostError'
    this.code = code
  }
}
