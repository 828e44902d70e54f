/** Detects file attributes by their effect on writing. Needs no privilege and changes nothing. */
import { accessSync, constants, lstatSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { errnoOf } from '@service-fs/storage/errors'

/**
 * Reports whether a regular file is immutable: access(2) then fails with EPERM for every user, and with EACCES when only the mode
 * forbids writing. Returns false when there is no such file.
 */
export function isImmutable(path: string): boolean {
  try {
    if (!lstatSync(path).isFile()) return false
    // The synchronous call takes microseconds, less than the thread pool would.
    accessSync(path, constants.W_OK)
    return false
  } catch (error) {
    return errnoOf(error) === 'EPERM'
  }
}

/** Reports whether a regular file is append-only: its owner and root then get EPERM when they open it for any other kind of writing. */
export async function onlyGrows(path: string): Promise<boolean> {
  if (isImmutable(path)) return false
  try {
    await (await open(path, constants.O_WRONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)).close()
    return false
  } catch (error) {
    return errnoOf(error) === 'EPERM'
  }
}
