import { messageOf } from '@service-fs/format/errors'

/**
 * An error of the client: a request failed, or data is malformed or does not verify.
 *
 * The client's own codes are `usage` (an argument is invalid), `false` (a proof, signature or hash does not verify), `connection` (no
 * response), `malformed` (a response or file violates its specification), `not-found`, `file` (a local file can't be read or written)
 * and `http` (an error response without a problem document). For a problem document (RFC 9457), the code is the document's `code`.
 */
export class ClientError extends Error {
  /** A stable code, for programs. */
  readonly code: string
  /** The HTTP status of the response; undefined when there was no response. */
  readonly status: number | undefined
  /** The problem document's `detail`; undefined when it is absent. */
  readonly detail: string | undefined
  /** The problem document's `field`; undefined when it is absent. */
  readonly field: string | undefined

  constructor(
    code: string,
    message: string,
    answer: { status?: number; detail?: string | undefined; field?: string | undefined } = {},
  ) {
    super(message)
    this.name = 'ClientError'
    this.code = code
    this.status = answer.status
    this.detail = answer.detail
    this.field = answer.field
  }
}

/** Runs `work`, and turns an error of the file system into a ClientError `file`. */
export async function asFileError<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw error instanceof ClientError ? error : new ClientError('file', messageOf(error))
  }
}
