/** Adds to a ledger directory the files that this version writes into new ledgers. Changes no existing file. */
import { randomBytes } from 'node:crypto'
import { link, lstat, mkdir, open, readFile, unlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { asFileError, ClientError } from '@service-fs/client/errors'
import { codeOf } from '@service-fs/format/errors'
import { readmeText } from '@service-fs/format/readme'
import { VERIFY_SH, VERIFY_SH_SHA256 } from '@service-fs/format/verify-shell'
import { sha256Hex } from '@service-fs/native/native'
import { lockDirectory } from '@service-fs/storage-posix/lock'
import { syncDir } from '../tenant/durable.ts'

/** The README of a ledger whose README.txt does not name the hash of verify.sh. */
const SECOND_README = 'README-2.txt'
const VERIFIER = 'verify.sh'

/**
 * Adds `verify.sh` to the ledger in `dir` and to its audit sub-ledger, and `README-2.txt` where README.txt does not name the hash of that script.
 * Returns the paths of the added files. Holds the ledger's lock meanwhile, and writes nothing if any file is in the way.
 * @throws ClientError `file` when there is no ledger, a process writes to it, or the file system refuses; `false` when another verify.sh or
 * README-2.txt is there
 */
export async function upgradeLedger(dir: string): Promise<string[]> {
  return asFileError(async () => {
    if ((await textOf(dir, 'origin')) === undefined || (await textOf(dir, 'checkpoint')) === undefined)
      throw new ClientError('file', `${dir}: expected a ledger, found no origin or no checkpoint`)
    // The lock is not written to, so that the daemon's user can still open the file `lock`.
    const lock = await lockDirectory(dir, { write: false })
    try {
      const hasAudit = (await textOf(dir, 'audit/origin')) !== undefined
      const plans = [await missingIn(dir, ''), hasAudit ? await missingIn(dir, 'audit/') : []]
      const added: string[] = []
      for (const [path, text] of plans.flat()) {
        await addFile(dir, path, text)
        added.push(path)
      }
      return added
    } finally {
      await lock.release()
    }
  })
}

type NewFile = readonly [path: string, text: string]

/** Returns the files to add to one ledger, in order: the README comes first, because `verify` expects a README that names the script. */
async function missingIn(dir: string, folder: string): Promise<NewFile[]> {
  const [origin, first, second, script] = await Promise.all(
    ['origin', 'README.txt', SECOND_README, VERIFIER].map((name) => textOf(dir, folder + name)),
  )
  const hash = script === undefined ? VERIFY_SH_SHA256 : sha256Hex(Buffer.from(script))
  const missing: NewFile[] = []
  if (!(first ?? '').includes(hash) && !(second ?? '').includes(hash)) {
    if (script !== undefined && script !== VERIFY_SH)
      throw new ClientError(
        'false',
        `${join(dir, folder, VERIFIER)}: expected the script that README.txt names, found one with the hash ${hash}`,
      )
    if (second !== undefined)
      throw new ClientError(
        'false',
        `${join(dir, folder, SECOND_README)}: expected the hash ${hash} of ${VERIFIER}, found a text without it`,
      )
    missing.push([folder + SECOND_README, readmeText((origin ?? '').trimEnd())])
  }
  if (script === undefined) missing.push([folder + VERIFIER, VERIFY_SH])
  return missing
}

/** Reads a file; undefined when there is none. */
async function textOf(dir: string, path: string): Promise<string | undefined> {
  try {
    return await readFile(join(dir, path), 'utf8')
  } catch (error) {
    if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR') return undefined
    throw error
  }
}

/** Writes a file in `tmp/`, syncs it, links it to its name, and syncs the directory. Never replaces a file. */
async function addFile(dir: string, path: string, text: string): Promise<void> {
  const place = join(dir, path)
  const { uid, gid } = await lstat(dirname(place))
  const temporary = join(dirname(place), 'tmp', `upgrade-${randomBytes(8).toString('hex')}`)
  await mkdir(dirname(temporary), { mode: 0o700 }).catch((error: unknown) => {
    if (codeOf(error) !== 'EEXIST') throw error
  })
  const file = await open(temporary, 'wx', 0o444)
  try {
    await file.writeFile(text)
    await file.chmod(0o444)
    // Root writes for the owner of the ledger.
    if (process.getuid?.() === 0) await file.chown(uid, gid)
    await file.sync()
  } finally {
    await file.close()
  }
  try {
    await link(temporary, place)
  } finally {
    await unlink(temporary)
  }
  await syncDir(dirname(place))
}
