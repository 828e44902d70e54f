/** Restores an export in a scratch directory, verifies all of it, and compares it with the live ledger. */
import { mkdtemp, rm } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { messageOf } from '@service-fs/format/errors'
import { checkEarlier } from '@service-fs/client/audit-place'
import { asFileError, ClientError } from '@service-fs/client/errors'
import type { Connection } from '@service-fs/client/http'
import { problemText } from '@service-fs/client/problems'
import { httpSource } from '@service-fs/client/source'
import { Trust, type TrustOptions } from '@service-fs/client/trust'
import type { LedgerReport, VerifyOptions } from '@service-fs/client/verify'
import { verifyDirectory, verifyFiles } from '@service-fs/client/verify-directory'
import { withLedgerFiles } from '@service-fs/client/verify-place'
import type { Checkpoint } from '@service-fs/tlog/checkpoint'
import { ledgerCopy } from '../copy.ts'
import { directoryOutput } from '../output-directory.ts'
import { newestExport } from './newest-export.ts'

/** The size and the root hash of a tree. */
export interface Tree {
  size: number
  root: string
}

/** The result of a drill: the payload of the record in the ledger. */
export interface DrillResult {
  outcome: 'passed' | 'failed'
  /** The reason why the drill failed. */
  reason?: string
  origin: string
  /** The name of the export; absent when there is no export. */
  export?: string
  /** The part of the export's tree that could be read. */
  restored?: Tree & { entries: number; records: number; newest: string; problems: number }
  /** The audit sub-ledger of the export. */
  audit?: Tree & { entries: number; problems: number }
  /** The live tree that the export was compared with. */
  live: Tree
  /** RFC 3339 in UTC. */
  started: string
  /** The duration of each step in milliseconds. */
  durations: { restore?: number; verify?: number; compare?: number }
}

export interface DrillOptions {
  /** The folder of exports, or one export. */
  exports: string
  scratch: string
  connection: Connection
  /** The keys of the live ledger, pinned or published by it. */
  vkeys: TrustOptions
  moduleId: string | undefined
  progress?: (
    step: 'restore' | 'verify',
    ...counts: Parameters<NonNullable<VerifyOptions['progress']>>
  ) => void
}

/**
 * Runs a drill. The drill only reads the exports, and removes the files that it wrote to the scratch directory.
 * @throws ClientError when the live ledger can't be read or does not verify
 */
export async function runDrill(options: DrillOptions): Promise<DrillResult> {
  const { connection, vkeys } = options
  const trust = Trust.pinned(vkeys) as Trust
  const source = httpSource(connection)
  const { checkpoint: live } = trust.openPublished(await source.checkpoint())
  const result: DrillResult = {
    outcome: 'failed',
    origin: live.origin,
    live: { size: live.size, root: live.root },
    started: new Date().toISOString(),
    durations: {},
  }
  try {
    const restored = await restoreNewest(options, result)
    await timed(result, 'compare', () =>
      compare(restored, live, () => checkEarlier({ source }, restored, live)),
    )
    return { ...result, outcome: 'passed' }
  } catch (error) {
    if (!(error instanceof Failure)) throw error
    return { ...result, reason: error.message.slice(0, MAX_REASON) }
  }
}

/** The maximum length of a reason, which may quote the content of a damaged export. */
const MAX_REASON = 1000

/** Thrown when the export fails the drill. */
class Failure extends Error {}

/** Restores the newest export and verifies it. Returns its tree. @throws Failure */
async function restoreNewest(options: DrillOptions, result: DrillResult): Promise<Checkpoint> {
  const { exports, scratch } = options
  const path = await failing(() => newestExport(exports))
  if (path === undefined) throw new Failure(`${exports}: expected an export, found none`)
  result.export = basename(path)
  const dir = await failing(() => mkdtemp(join(scratch, 'drill-')))
  try {
    const place = join(dir, 'ledger')
    const copied = await timed(result, 'restore', () => failing(() => restore(path, place, options)))
    note(result, copied)
    const report = await timed(result, 'verify', () =>
      failing(() => verifyDirectory(place, { ...options.vkeys, ...shown(options, 'verify') })),
    )
    note(result, report)
    if (report.size !== copied.size || report.root !== copied.root)
      throw new Failure(
        `expected the restored ledger to have size ${copied.size} and root hash ${copied.root}, found ${report.size} and ${report.root}`,
      )
    const { origin, size, root } = report
    return { origin, size, root, extensions: [] }
  } finally {
    await asFileError(() => rm(dir, { recursive: true, force: true }))
  }
}

/** Restores an export to `place` if the export verifies. */
function restore(path: string, place: string, options: DrillOptions): Promise<LedgerReport> {
  return withLedgerFiles(path, options.moduleId, async (files) => {
    const output = await directoryOutput(place)
    try {
      const copy = ledgerCopy(output)
      const report = await verifyFiles(files, { ...options.vkeys, ...shown(options, 'restore'), copy })
      if (report.ok) await output.finish()
      return report
    } finally {
      await output.discard()
    }
  })
}

function shown({ progress }: DrillOptions, step: 'restore' | 'verify'): Pick<VerifyOptions, 'progress'> {
  return progress === undefined ? {} : { progress: (...counts) => progress(step, ...counts) }
}

/** Adds a report to the result. @throws Failure when the report has a problem */
function note(result: DrillResult, report: LedgerReport): void {
  const { size, root, entries, records, time: newest, problemCount: problems, audit } = report
  result.restored = { size, root, entries, records, newest, problems }
  if (audit !== undefined) {
    result.audit = {
      size: audit.size,
      root: audit.root,
      entries: audit.entries,
      problems: audit.problemCount,
    }
  }
  if (report.ok) return
  const [first] = [
    ...report.problems,
    ...(audit?.problems ?? []).map((one) => ({ ...one, file: `audit/${one.file}` })),
  ]
  throw new Failure(first === undefined ? 'the export does not verify' : problemText(first))
}

/** Checks that the live tree contains the export's tree. @throws Failure */
async function compare(restored: Checkpoint, live: Checkpoint, prove: () => Promise<void>): Promise<void> {
  if (restored.origin !== live.origin)
    throw new Failure(
      `expected an export of ${JSON.stringify(live.origin)}, found ${JSON.stringify(restored.origin)}`,
    )
  if (restored.size > live.size)
    throw new Failure(`the live ledger has ${live.size} entries, fewer than the export's ${restored.size}`)
  if (restored.size === live.size) {
    if (restored.root === live.root) return
    throw new Failure(
      `expected root hash ${live.root} of the live ledger at size ${live.size}, found ${restored.root}`,
    )
  }
  if (restored.size === 0) return
  try {
    await prove()
  } catch (error) {
    if (error instanceof ClientError && error.code === 'false') throw new Failure(messageOf(error))
    throw error
  }
}

/** Runs a step that reads the export, and turns its error into a Failure. */
async function failing<T>(step: () => Promise<T>): Promise<T> {
  try {
    return await step()
  } catch (error) {
    throw new Failure(messageOf(error))
  }
}

/** Runs a step and notes its duration, even if the step fails. */
async function timed<T>(
  { durations }: DrillResult,
  step: keyof DrillResult['durations'],
  run: () => Promise<T>,
): Promise<T> {
  const started = performance.now()
  try {
    return await run()
  } finally {
    durations[step] = Math.round(performance.now() - started)
  }
}
