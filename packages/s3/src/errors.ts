/**
 * An error of an S3-compatible store. The message never contains a credential, a signature, or text of the store other than its error
 * code: an S3 error document repeats the signed request.
 *
 * - `usage`: the place or the credentials are invalid
 * - `conflict`: the store holds other bytes under the name of an object that is written once
 * - `changed`: another writer replaced the object since it was read
 * - `refused`: the store refused the request, and would refuse it again
 * - `connection`: the store gave no whole answer, or was busy, in each of the attempts
 * - `malformed`: the answer violates the protocol
 * - `too-large`: the object is larger than its kind allows
 */
export type S3ErrorCode =
  | 'usage'
  | 'conflict'
  | 'changed'
  | 'refused'
  | 'connection'
  | 'malformed'
  | 'too-large'

export class S3Error extends Error {
  readonly code: S3ErrorCode
  /** The HTTP status of the answer; undefined when there was none. */
  readonly status: number | undefined
  /** The error code of the store; undefined when its answer has none. */
  readonly storeCode: string | undefined

  constructor(code: S3ErrorCode, message: string, status?: number, storeCode?: string) {
    super(message)
    this.name = 'S3Error'
    this.code = code
    this.status = status
    this.storeCode = storeCode
  }
}
