/** Input that the ledger format does not allow. The message has the expected and the found value. */
export class FormatError extends Error {
  /** Stable, for programs: `bad-entry`, `header-too-large`, `bad-record`, `bad-selection` or `corrupt`. */
  readonly code: string

  constructor(code: string, message: string) {
    super(message)
    this.name = 'FormatError'
    this.code = code
  }
}

/** Returns the message of any thrown value, on one line. An error without a message gives its name. */
export function messageOf(error: unknown): string {
  const text = error instanceof Error ? error.message || error.name : String(error)
  return text.replaceAll(/\s*\n\s*/g, ' ').trim()
}

/** Returns the stable `code` of an error of this project or of Node.js; undefined when it has none. */
export function codeOf(error: unknown): string | undefined {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  return typeof code === 'string' ? code : undefined
}
