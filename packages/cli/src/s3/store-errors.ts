/** Errors of an S3 store as errors of the client, which determine the exit status and whether a mirror tries again. */
import { ClientError } from '@service-fs/client/errors'
import { S3Error, type S3ErrorCode } from '@service-fs/s3/errors'

const CODES: Readonly<Partial<Record<S3ErrorCode, string>>> = {
  conflict: 'false',
  'too-large': 'malformed',
}

/** Runs `work`, and turns an S3Error into a ClientError. */
export async function asStoreError<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw error instanceof S3Error ? new ClientError(CODES[error.code] ?? error.code, error.message) : error
  }
}
