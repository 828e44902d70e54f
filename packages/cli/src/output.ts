/** Writes a ledger under a temporary name beside its destination, and renames it when it is complete and durable. */
import { randomBytes } from 'node:crypto'
import { lstat, mkdir, open, rename, rm, rmdir, unlink } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { codeOf } from '@service-fs/format/errors'
import { asFileError, ClientError } from '@service-fs/client/errors'

export interface Output {
  /** Writes one file. Each path is written once. @throws ClientError `file` when this file or an earlier one can't be written */
  put(path: string, bytes: Uint8Array, mode: number): Promise<void>
  /** Moves everything into place, durably. @throws ClientError `file`; `usage` when the output exceeds the requested size */
  finish(): Promise<Written>
  /** Removes all written files, unless `finish` has moved them into place. */
  discard(): Promise<void>
}

export interface Written {
  files: number
  bytes: number
}

/**
 * Returns a new name in the same directory as `place`. Makes missing parent directories, accessible only by their owner.
 * @throws ClientError `file` when `place` exists
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

/** Makes a directory and its parents, durably. */
async function makeDurable(dir: string): Promise<void> {
  const first = await mkdir(dir, { recursive: true, mode: 0o700 })
  if (first === undefined) return
  for (let at = dir; at !== dirname(first); at = dirname(at)) await syncDirectory(at)
  await syncDirectory(dirname(first))
}

function isThere(place: string): ClientError {
  return new ClientError('file', `${place}: the file exists and is not overwritten`)
}

/** Moves a synced file to its place. @throws ClientError `file` when something else has taken the place by then */
export function moveFile(beside: string, place: string): Promise<void> {
  const claim = async (): Promise<void> => (await open(place, 'wx', 0o600)).close()
  return move(beside, place, claim, () => unlink(place))
}

/** Moves a synced directory to its place. @throws like `moveFile` */
export function moveDirectory(beside: string, place: string): Promise<void> {
  return move(
    beside,
    place,
    () => mkdir(place, 0o700),
    () => rmdir(place),
  )
}

/** A rename replaces an existing file, so first claim the name exclusively with an empty file or directory. */
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

/** Removes the temporary file or directory if it exists. */
export async function removeBeside(beside: string): Promise<void> {
  await asFileError(() => rm(beside, { recursive: true, force: true }))
}
