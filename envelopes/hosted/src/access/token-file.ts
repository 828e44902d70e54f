/** Changes the file of tokens: one change at a time, whole or not at all, for its owner only. */
import { randomBytes } from 'node:crypto'
import { chown, lstat, open, realpath, rename, unlink, type FileHandle } from 'node:fs/promises'
import { dirname } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { codeOf } from '@service-fs/client/errors'
import { HostedError } from '../errors.ts'
import { readTokens, type StoredToken } from './tokens.ts'

/** How long a change waits for another one, in milliseconds. */
const PATIENCE_MS = 5000

/**
 * Gives the tokens that are there to `change` and keeps what it returns; resolves with that. There are none in a file that is not there.
 * The file's owner stays its owner, so that root may change what a daemon of another user reads.
 * @throws HostedError `access`; what `change` throws: then nothing is written
 */
export async function changeTokens<T extends readonly StoredToken[]>(
  path: string,
  change: (tokens: readonly StoredToken[]) => T,
): Promise<T> {
  const file = await target(path)
  const lock = await takeLock(`${file}.lock`)
  try {
    const isThere = await exists(file)
    const tokens = change(isThere ? await readTokens(file) : [])
    await replace(file, `${JSON.stringify({ tokens }, undefined, 2)}\n`, isThere)
    return tokens
  } finally {
    await lock.close()
    await unlink(`${file}.lock`)
  }
}

/** Behind a link is the file itself. */
async function target(path: string): Promise<string> {
  try {
    return await realpath(path)
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return path
    throw failed(path, error)
  }
}

async function takeLock(path: string): Promise<FileHandle> {
  const end = Date.now() + PATIENCE_MS
  for (;;) {
    try {
      return await open(path, 'wx', 0o600)
    } catch (error) {
      if (codeOf(error) !== 'EEXIST') throw failed(path, error)
      if (Date.now() > end)
        throw new HostedError(
          'access',
          `${path}: another change of the tokens is under way; if none is (it was killed), remove this file`,
        )
    }
    await sleep(20)
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await lstat(path)
    return true
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return false
    throw failed(path, error)
  }
}

async function replace(path: string, text: string, isThere: boolean): Promise<void> {
  const temporary = `${path}.${randomBytes(4).toString('hex')}`
  try {
    const file = await open(temporary, 'wx', 0o600)
    try {
      await file.writeFile(text)
      await file.sync()
    } finally {
      await file.close()
    }
    if (isThere) await keepOwner(path, temporary)
    await rename(temporary, path)
  } catch (error) {
    await unlink(temporary).catch(() => undefined)
    throw failed(path, error)
  }
  const dir = await open(dirname(path), 'r')
  try {
    await dir.sync()
  } finally {
    await dir.close()
  }
}

async function keepOwner(path: string, temporary: string): Promise<void> {
  const [before, after] = [await lstat(path), await lstat(temporary)]
  if (before.uid !== after.uid || before.gid !== after.gid) await chown(temporary, before.uid, before.gid)
}

function failed(path: string, error: unknown): HostedError {
  return new HostedError('access', `${path}: ${error instanceof Error ? error.message : 'failed'}`, {
    cause: error,
  })
}
