/** Opens a place in an S3 store with the credentials of the environment. */
import { readCredentials, type Credentials } from '@service-fs/s3/credentials'
import type { ObjectLock } from '@service-fs/s3/object-lock'
import { S3Objects } from '@service-fs/s3/objects'
import { parseS3Place } from '@service-fs/s3/place'
import { asStoreError } from './store-errors.ts'

function ownCredentials(): Promise<Credentials> {
  return readCredentials(process.env)
}

/** `lock`: the lock of the objects that are written once. @throws ClientError `usage` */
export function openStore(place: string, lock?: ObjectLock): Promise<S3Objects> {
  return asStoreError(async () => {
    const parsed = parseS3Place(place)
    // Credentials that are missing are an error before the first request. Temporary ones change, so each request reads them again.
    await ownCredentials()
    return new S3Objects(parsed, { credentials: ownCredentials, lock })
  })
}
