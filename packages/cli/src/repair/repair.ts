/** Repairs the sealed files of a ledger, of its second trees, and of its audit sub-ledger. */
import { basename, dirname, join } from 'node:path'
import { keysIn } from '@service-fs/client/audit-place'
import { ClientError } from '@service-fs/client/errors'
import { directoryFiles } from '@service-fs/client/ledger-files'
import { Trust, type TrustOptions } from '@service-fs/client/trust'
import { verifyDirectory } from '@service-fs/client/verify-directory'
import type { VerifyOptions } from '@service-fs/client/verify'
import { codeOf, messageOf } from '@service-fs/format/errors'
import { lockDirectory, type DirectoryLock } from '@service-fs/storage-posix/lock'
import type { CopySource } from '../mirror/copy-source.ts'
import { Findings, type Finding, type RepairReport } from './finding.ts'
import { LogRepair } from './log-repair.ts'
import { Replacer } from './replace.ts'
import { signedRuns, type SignedRuns } from './signed-runs.ts'
import { SourceTiles } from './source-tiles.ts'
import { StoredTiles } from './stored-tiles.ts'
import { TreeRepairs, treesIn } from './tree-repairs.ts'

export interface RepairOptions extends TrustOptions {
  /** The ledger's directory. */
  dir: string
  /** The directory for damaged files. */
  kept: string
  dryRun: boolean
  withoutAudit: boolean
  progress: (entries: number, size: number) => void
  verifying: NonNullable<VerifyOptions['progress']>
}

/**
 * Returns the directory for damaged files when the user names none. That directory is beside the ledger, so that verifiers of the ledger do
 * not report it.
 */
export function keptBeside(dir: string): string {
  return join(dirname(dir), `${basename(dir)}.damaged`)
}

/**
 * Replaces every damaged file whose right bytes are in the source or in other files of the ledger, and verifies the ledger. Holds the
 * ledger's lock.
 * @throws ClientError `file` when a process uses the ledger, or a file cannot be read or written; `connection`; `usage`
 */
export async function repairLedger(source: CopySource, options: RepairOptions): Promise<RepairReport> {
  const { dir, dryRun, withoutAudit, verifying } = options
  const files = directoryFiles(dir)
  const origin = (await files.read('origin'))?.toString().replace(/\n$/, '')
  if (origin === undefined) throw new ClientError('file', `${dir}: expected a ledger, found no file origin`)
  const lock = await locked(dir)
  try {
    const findings = new Findings()
    await repairLog('', origin, source, options, findings)
    const hasAudit = (await files.list('')).some(({ name, kind }) => name === 'audit' && kind === 'directory')
    if (hasAudit && !withoutAudit)
      await repairLog('audit/', `${origin}/audit`, source.audit(), options, findings)
    const { list, counts } = findings
    const report = { dir, from: source.place, files: list, ...counts }
    if (dryRun) return { ok: list.length === 0, ...report }
    const { vkeys, policy } = options
    const trust = { ...(vkeys === undefined ? {} : { vkeys }), ...(policy === undefined ? {} : { policy }) }
    const verified = await verifyDirectory(dir, { ...trust, withoutAudit, progress: verifying })
    return { ok: verified.ok && counts.unrepaired === 0, ...report, verified }
  } finally {
    await lock.release()
  }
}

/** Locks the ledger without writing into its file `lock`, so that the daemon's user can still open it. @throws ClientError `file` */
async function locked(dir: string): Promise<DirectoryLock> {
  try {
    return await lockDirectory(dir, { write: false })
  } catch (error) {
    if (codeOf(error) !== 'locked') throw new ClientError('file', `${dir}: ${messageOf(error)}`)
    throw new ClientError('file', `${dir}: ${messageOf(error)}: stop the daemon first`)
  }
}

async function repairLog(
  folder: string,
  origin: string,
  source: CopySource,
  options: RepairOptions,
  findings: Findings,
): Promise<void> {
  const dir = join(options.dir, folder)
  const files = directoryFiles(dir)
  const pinned = Trust.pinned(options)
  // A sub-ledger has its own keys; `verify` treats them in the same way.
  const trust = pinned?.knows(origin) === true || folder === '' ? pinned : undefined
  let tree: SignedRuns
  try {
    tree = await signedRuns(files, trust ?? Trust.shown(await keysIn(files), `${dir}/keys`), origin)
  } catch (error) {
    if (!(error instanceof ClientError)) throw error
    const what = { path: `${folder}tail`, expected: 'entries with a signed checkpoint', found: 'others' }
    findings.add({ ...what, outcome: 'unrepaired', reason: error.message })
    return
  }
  const replacer = options.dryRun ? undefined : new Replacer(options.dir, options.kept)
  const shared = {
    stored: new StoredTiles(dir),
    source: new SourceTiles(source.log),
    put: replacer && ((path: string, bytes: Uint8Array) => replacer.put(path, bytes)),
    found: (finding: Finding) => findings.add(finding),
  }
  // The audit sub-ledger has no second trees.
  const algorithms = folder === '' ? await treesIn(files) : []
  const trees = algorithms.length === 0 ? undefined : new TreeRepairs(algorithms, { ...shared, origin, dir })
  await new LogRepair({
    ...shared,
    folder,
    tree,
    bundle: trees && ((index, entries) => trees.add(index, entries)),
    progress: folder === '' ? options.progress : undefined,
  }).run()
  await trees?.end(tree)
}
