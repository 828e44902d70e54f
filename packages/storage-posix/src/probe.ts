/** Which file attributes are in force: what a write would meet. Needs no privilege and changes nothing. */
import { constants } from 'node:fs'
import { access, lstat, open } from 'node:fs/promises'
import { errnoOf } from '@service-fs/storage/errors'

/**
 * Whether a regular file is immutable: access(2) says EPERM for that, whoever asks, and EACCES for what the mode keeps them from.
 * A file that is not there is not.
 */
export async function isImmutable(path: string): Promise<boolean> {
  const stats = await lstat(path).catch(() => undefined)
  return stats?.isFile() === true && (await errnoOfCall(access(path, constants.W_OK))) === 'EPERM'
}

/** Whether a regular file can be opened for appending at the most: its owner and root get EPERM otherwise. */
export async function onlyGrows(path: string): Promise<boolean> {
  if (await isImmutable(path)) return false
  const flags = constants.O_WRONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK
  const opened = open(path, flags).then((file) => file.close())
  return (await errnoOfCall(opened)) === 'EPERM'
}

async function errnoOfCall(call: Promise<void>): Promise<string | undefined> {
  try {
    await call
    return undefined
  } catch (error) {
    return errnoOf(error) ?? 'failed'
  }
}
