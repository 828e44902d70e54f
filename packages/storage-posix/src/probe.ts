/** Which file attributes are in force: what a write would meet. Needs no privilege and changes nothing. */
import { accessSync, constants, lstatSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { errnoOf } from '@service-fs/storage/errors'

/**
 * Whether a regular file is immutable: access(2) says EPERM for that, whoever asks, and EACCES for what the mode keeps them from.
 * A file that is not there is not.
 */
export function isImmutable(path: string): boolean {
  try {
    if (!lstatSync(path).isFile()) return false
    // A call like this takes microseconds, and less than handing it to another thread.
    accessSync(path, constants.W_OK)
    return false
  } catch (error) {
    return errnoOf(error) === 'EPERM'
  }
}

/** Whether a regular file can be opened for appending at the most: its owner and root get EPERM otherwise. */
export async function onlyGrows(path: string): Promise<boolean> {
  if (isImmutable(path)) return false
  try {
    await (await open(path, constants.O_WRONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)).close()
    return false
  } catch (error) {
    return errnoOf(error) === 'EPERM'
  }
}
