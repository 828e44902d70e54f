/** Reports whether a disk is writable, and whether an unwritable disk caused a failure. */
import { mkdir, open, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { LedgerError } from '@service-fs/ledger/errors'
import { errnoOf, StorageError, systemError } from '@service-fs/storage/errors'

/** The size of the trial file: more blocks than an almost full disk has left. */
const TRIAL_BYTES = 256 * 1024

/** Error codes that the state of the disk causes. */
const FULL = new Set(['full', 'ENOSPC', 'EDQUOT'])
const READ_ONLY = new Set(['read-only', 'EROFS', 'EIO'])
/** Error codes that never come from the disk. */
const OTHER = new Set(['corrupt', 'locked', 'key', 'usage', 'immutable', 'closed'])

/** Returns why the disk of the ledger in `dir` is not writable now, as LedgerError `full` or `read-only`; undefined when it is writable. */
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

/** Returns the LedgerError for an error that an unwritable disk caused in the ledger in `dir`; undefined for every other cause. */
export async function unwritableBecause(error: unknown, dir: string): Promise<LedgerError | undefined> {
  const found = known(error)
  if (found !== undefined || OTHER.has(errnoOf(error) ?? '')) return found
  // The error may come from a library, with another code.
  return whyUnwritable(dir)
}

/** Returns the LedgerError for the code of an error or of one of its causes. */
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
  return new LedgerError(code, `the ledger is read-only: ${words}`, { cause: error })
}
