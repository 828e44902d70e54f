/** Whether a disk takes writes, and whether that is why something failed. */
import { mkdir, open, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { LedgerError } from '@service-fs/ledger/errors'
import { errnoOf, StorageError, systemError } from '@service-fs/storage/errors'

/** What is written to try: some blocks, that a disk with a few bytes left has no room for. */
const TRIAL_BYTES = 256 * 1024

/** Codes of errors that another disk, or another moment, would not have had. */
const FULL = new Set(['full', 'ENOSPC', 'EDQUOT'])
const READ_ONLY = new Set(['read-only', 'EROFS', 'EIO'])
/** What no disk is to blame for. */
const OTHER = new Set(['corrupt', 'locked', 'key', 'usage', 'immutable', 'closed'])

/** Why the disk of the ledger in `dir` takes no writes now: LedgerError `full` or `read-only`; undefined: it takes them. */
export async function whyUnwritable(dir: string): Promise<LedgerError | undefined> {
  const path = join(dir, 'tmp', `trial-${process.pid}`)
  try {
    await mkdir(join(dir, 'tmp'), { mode: 0o700 }).catch((error: unknown) => {
      if (errnoOf(error) !== 'EEXIST') throw error
    })
    const file = await open(path, 'w', 0o600)
    try {
      await file.writeFile(new Uint8Array(TRIAL_BYTES))
      await file.sync()
    } finally {
      await file.close()
      await unlink(path)
    }
    return undefined
  } catch (error) {
    return known(systemError('tmp', error)) ?? ledgerError('read-only', systemError('tmp', error))
  }
}

/** Why the ledger in `dir` was not opened for writing, or stopped, when that is its disk; undefined: it is something else. */
export async function unwritableBecause(error: unknown, dir: string): Promise<LedgerError | undefined> {
  const found = known(error)
  if (found !== undefined || OTHER.has(errnoOf(error) ?? '')) return found
  // Libraries have words of their own for it.
  return whyUnwritable(dir)
}

/** As its code, or that of what caused it, says. */
function known(error: unknown): LedgerError | undefined {
  for (let at = error; at instanceof Error; at = at.cause) {
    const code = errnoOf(at) ?? ''
    if (FULL.has(code)) return ledgerError('full', error)
    if (READ_ONLY.has(code)) return ledgerError('read-only', error)
  }
  return undefined
}

function ledgerError(code: 'full' | 'read-only', error: unknown): LedgerError {
  const words =
    error instanceof StorageError || error instanceof LedgerError
      ? error.message
      : systemError('', error).message
  return new LedgerError(code, `it is open for reading only: ${words}`, { cause: error })
}
