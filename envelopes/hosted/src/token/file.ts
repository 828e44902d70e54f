/** Changes the token file: one change at a time, atomically, with mode 0600. */
import { lstat, open, realpath, unlink, type FileHandle } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { codeOf } from '@service-fs/format/errors'
import { replaceFile } from '../tenant/durable.ts'
import { HostedError } from '@service-fs/http/errors'
import { readTokens, type StoredToken } from '@service-fs/access/tokens'

/** How long a change waits for another one to finish, in milliseconds. */
const PATIENCE_MS = 5000

/**
 * Calls `change` with the stored tokens, stores the result and resolves with it. A missing file has no tokens. The
 * file keeps its owner, so that root can change the file of a daemon that runs as another user.
 * @throws HostedError `access`, or the error of `change`; then it writes nothing
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

/** Resolves a symbolic link to the file itself. */
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
          `${path}: another process is changing the tokens; if it was killed, remove this file`,
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
  try {
    await replaceFile(path, text, isThere ? await lstat(path) : undefined)
  } catch (error) {
    throw failed(path, error)
  }
}

function failed(path: string, error: unknown): HostedError {
  return new HostedError('access', `${path}: ${error instanceof Error ? error.message : 'failed'}`, {
    cause: error,
  })
}
