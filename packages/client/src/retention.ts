/** Reports the records of a ledger that must be kept, their duties, and the times when the duties end. */
import { Duties, type HoldState, type Kept, type PolicyState } from '@service-fs/format/duties'
import { dutyIn, isProblem, RETAIN_FIELD } from '@service-fs/format/duty'
import { fieldOf, parseEntry, type Entry } from '@service-fs/format/entry'
import { messageOf } from '@service-fs/format/errors'
import { PlainEntry, PRINTABLE } from '@service-fs/format/plain-entry'
import { nativeCodec } from '@service-fs/native/native'
import { ahead } from './ahead.ts'
import { keysIn } from './audit-place.ts'
import { ClientError } from './errors.ts'
import { openTree } from './get.ts'
import { isUrl, withConnection, type ConnectionOptions } from './http.ts'
import type { LedgerFiles } from './ledger-files.ts'
import { filesSource } from './source.ts'
import { TrustedTree } from './tree.ts'
import { Trust, type TrustOptions } from './trust.ts'
import { withLedgerFiles } from './verify-place.ts'
import { trustOf } from './verify-url.ts'

/** One line of the report. */
export type RetentionLine =
  | { kind: 'policy'; policy: PolicyState }
  | { kind: 'hold'; hold: HoldState }
  /** A record that must be kept at the time of the report. */
  | { kind: 'record'; index: number; id: string; type: string; time: string; kept: Kept }
  /** A duty entry that breaks a rule and therefore has no effect. */
  | { kind: 'problem'; index: number; problem: string }

/** A ledger whose entries are verified as they are read. */
export interface OpenedLedger {
  tree: TrustedTree
  trust: Trust
}

/** Opens the ledger at a URL, or in a directory, a tar archive or a disk image; runs `work`, and closes it. @throws ClientError */
export function withTrustedTree<T>(
  place: string,
  options: TrustOptions & ConnectionOptions,
  work: (ledger: OpenedLedger) => Promise<T>,
): Promise<T> {
  if (isUrl(place))
    return withConnection(place, options, async (to) => {
      const trust = await trustOf(to, options)
      return work({ tree: await openTree(to, trust), trust })
    })
  return withLedgerFiles(place, options.moduleId, async (files) => work(await filesTree(files, options)))
}

/** Opens the ledger in files. @throws ClientError `false` unless the trusted keys signed its checkpoint */
export async function filesTree(files: LedgerFiles, options: TrustOptions): Promise<OpenedLedger> {
  const origin = (await files.read('origin'))?.toString('utf8').replace(/\n$/, '')
  const trust = Trust.pinned(options) ?? Trust.shown(await keysIn(files), 'keys/')
  const source = filesSource(files)
  const checkpoint = trust.open(await source.checkpoint(), origin)
  return { tree: await TrustedTree.open(source, checkpoint), trust }
}

/**
 * Yields the policies, the holds in force, and each record that must be kept at the time `at` or later. Reads the log twice: once for the
 * duties, once for the records. The memory used grows with the number of duty entries, not of records.
 * @throws ClientError `false` when an entry differs from the tree of the checkpoint
 */
export async function* retentionReport(tree: TrustedTree, at: string): AsyncGenerator<RetentionLine> {
  const { duties, problems } = await readDuties(tree)
  for (const { index, problem } of problems) yield { kind: 'problem', index, problem }
  for (const policy of duties.policies) yield { kind: 'policy', policy }
  for (const hold of duties.holds) yield { kind: 'hold', hold }
  for await (const { index, entry } of entriesIn(tree)) {
    if (entry.continuation !== undefined) continue
    const { id, type, time } = entry.header
    const kept = duties.of({ id, type, time, retainUntil: fieldOf(entry.header, RETAIN_FIELD) })
    if (kept.holds.length === 0 && (kept.until === undefined || kept.until <= at)) continue
    yield { kind: 'record', index, id, type, time, kept }
  }
}

/** Reads the duties of a whole ledger, and the duty entries that break a rule and therefore have no effect. */
export async function readDuties(
  tree: TrustedTree,
): Promise<{ duties: Duties; problems: { index: number; problem: string }[] }> {
  const duties = new Duties()
  const problems = []
  for await (const { index, entry } of entriesIn(tree, isPlain)) {
    const duty = dutyIn(entry, nativeCodec)
    if (duty === undefined) continue
    const problem = isProblem(duty) ? duty : duties.add(duty, index)
    if (problem === undefined) continue
    const { field, expected, found } = problem
    problems.push({ index, problem: `${field}: expected ${expected}, found ${found}` })
  }
  return { duties, problems }
}

/** Returns the members of a policy in a report. */
export function policyMembers({ scope, Y, D, until }: PolicyState): object {
  return {
    ...scope,
    ...(Y > 0 ? { years: Y } : {}),
    ...(D > 0 ? { days: D } : {}),
    ...(until === '' ? {} : { until }),
  }
}

/** Reports whether an entry has only the first three header fields, so that it cannot be a duty entry. */
function isPlain(bytes: Uint8Array): boolean {
  return PLAIN.read(bytes, 0, bytes.length)
}

const PLAIN = new PlainEntry(PRINTABLE)

/** Yields the entries of a verified tree in order, except those that `skips` accepts. */
export async function* entriesIn(
  tree: TrustedTree,
  skips: (bytes: Uint8Array) => boolean = () => false,
): AsyncGenerator<{ index: number; entry: Entry }> {
  let index = 0
  for await (const entries of ahead(tree.bundles, 4, (i) => tree.bundle(i)))
    for (const bytes of entries) {
      if (!skips(bytes)) yield { index, entry: parsed(bytes, index) }
      index += 1
    }
}

function parsed(bytes: Uint8Array, index: number): Entry {
  try {
    return parseEntry(bytes, nativeCodec)
  } catch (error) {
    throw new ClientError('false', `entry ${index}: ${messageOf(error)}`)
  }
}
