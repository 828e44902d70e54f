/** Where a ledger is written: beside its place, and moved there when all of it is there and durable. */
import { randomBytes } from 'node:crypto'
import { lstat, mkdir, open, rename, rm, rmdir, unlink } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { codeOf, messageOf } from '@service-fs/format/errors'
import { ClientError } from '@service-fs/client/errors'

export interface Output {
  /** Takes one file; none comes twice. @throws ClientError `file` when it, or one before, can't be written */
  put(path: string, bytes: Uint8Array, mode: number): Promise<void>
  /** Puts everything in place, durably. @throws ClientError `file`, `usage` when it does not fit the size that was asked for */
  finish(): Promise<Written>
  /** Removes what is not in place. */
  discard(): Promise<void>
}

export interface Written {
  files: number
  bytes: number
}

/**
 * A new name beside `place`, on the same file system. Directories above it that are not there are made, for their owner only.
 * @throws ClientError `file` when there is something at `place`
 */
export async function besideOf(place: string): Promise<string> {
  const found = await asFileError(() =>
    lstat(place).catch((error: unknown) => {
      if (codeOf(error) !== 'ENOENT') throw error
    }),
  )
  if (found !== undefined) throw isThere(place)
  await asFileError(() => makeDurable(dirname(place)))
  return join(dirname(place), `.${basename(place)}.${randomBytes(4).toString('hex')}.part`)
}

/** Makes a directory and those above it, durably. */
async function makeDurable(dir: string): Promise<void> {
  const first = await mkdir(dir, { recursive: true, mode: 0o700 })
  if (first === undefined) return
  for (let at = dir; at !== dirname(first); at = dirname(at)) await syncDirectory(at)
  await syncDirectory(dirname(first))
}

function isThere(place: string): ClientError {
  return new ClientError('file', `${place}: is there already, and is not overwritten`)
}

/** Moves a file, synced before, from beside its place to it. @throws ClientError `file` when there is something by now */
export function moveFile(beside: string, place: string): Promise<void> {
  const claim = async (): Promise<void> => (await open(place, 'wx', 0o600)).close()
  return move(beside, place, claim, () => unlink(place))
}

/** Moves a directory, synced before, from beside its place to it. @throws as `moveFile` */
export function moveDirectory(beside: string, place: string): Promise<void> {
  return move(
    beside,
    place,
    () => mkdir(place, 0o700),
    () => rmdir(place),
  )
}

/** A rename replaces what stands there: so the name is claimed first, by something empty of our own. */
function move(
  beside: string,
  place: string,
  claim: () => Promise<void>,
  unclaim: () => Promise<void>,
): Promise<void> {
  return asFileError(async () => {
    await claim().catch((error: unknown) => {
      throw codeOf(error) === 'EEXIST' ? isThere(place) : error
    })
    try {
      await rename(beside, place)
    } catch (error) {
      await unclaim()
      throw error
    }
    await syncDirectory(dirname(place))
  })
}

export async function syncDirectory(dir: string): Promise<void> {
  const handle = await open(dir)
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** Removes a file or a directory that was written beside its place, where there is one. */
export async function removeBeside(beside: string): Promise<void> {
  await asFileError(() => rm(beside, { recursive: true, force: true }))
}

/** Errors of the file system as ClientError `file`. */
export async function asFileError<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw error instanceof ClientError ? error : new ClientError('file', messageOf(error))
  }
}
