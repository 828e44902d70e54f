/**
 * What the client could not do, or found to be false.
 *
 * Codes of the client itself: `usage` (what was asked makes no sense), `false` (a proof, signature or hash does not hold),
 * `connection` (no answer), `malformed` (an answer or file that is not what its specification says), `not-found`, `file`
 * (a local file can't be read or written), `http` (an error answer without a problem document). A problem document's own
 * `code` (RFC 9457) is passed on as it came, with the HTTP `status`.
 */
export class ClientError extends Error {
  readonly code: string
  /** The HTTP status of the answer, when there was one. */
  readonly status: number | undefined
  /** The problem document's `detail`, when there was one. */
  readonly detail: string | undefined

  constructor(code: string, message: string, answer: { status?: number; detail?: string | undefined } = {}) {
    super(message)
    this.name = 'ClientError'
    this.code = code
    this.status = answer.status
    this.detail = answer.detail
  }
}
