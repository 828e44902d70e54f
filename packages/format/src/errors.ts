/** What the ledger format refuses. `code` is stable; the message names what was expected and what was found. */
export class FormatError extends Error {
  readonly code: string

  constructor(code: string, message: string) {
    super(message)
    this.name = 'FormatError'
    this.code = code
  }
}
