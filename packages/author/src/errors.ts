/** A signature that is invalid or not allowed. The message says what was expected and found. */
export class SignatureError extends Error {
  readonly code = 'bad-signature'

  constructor(message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause })
    this.name = 'SignatureError'
  }
}
