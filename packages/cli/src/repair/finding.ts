/** The report of a repair. */
import { quoted, visibleLine } from '@service-fs/format/visible'
import type { LedgerReport } from '@service-fs/client/verify'

/** Where the right bytes came from: the source, or other files of the ledger. */
export type Origin = 'source' | 'ledger'

/** A damaged or missing file, and whether it was repaired. */
export interface Finding {
  /** The path in the ledger. */
  path: string
  expected: string
  found: string
  /** `repairable`: a run without `--dry-run` would repair the file. */
  outcome: 'repaired' | 'repairable' | 'unrepaired'
  /** The source of the right bytes; absent if they are not known. */
  from?: Origin
  /** The new path of the damaged file; absent if the file was missing. */
  kept?: string
  /** Why the file was not repaired. */
  reason?: string
}

export interface RepairReport {
  /** No file is left to repair, and the ledger verifies. */
  ok: boolean
  dir: string
  /** The source. */
  from: string
  /** The first thousand damaged files. */
  files: Finding[]
  /** The number of all damaged files, by outcome. */
  repaired: number
  repairable: number
  unrepaired: number
  /** The result of `verify` after the repair; absent after `--dry-run`. */
  verified?: LedgerReport
}

/** The most findings that a report lists. */
const LISTED = 1_000

export class Findings {
  readonly list: Finding[] = []
  readonly counts: Record<Finding['outcome'], number> = { repaired: 0, repairable: 0, unrepaired: 0 }

  add(finding: Finding): void {
    this.counts[finding.outcome] += 1
    if (this.list.length < LISTED) this.list.push(finding)
  }
}

/** Returns the line that reports a damaged file. */
export function findingText({ path, expected, found, outcome, from, kept, reason }: Finding): string {
  const by = from === 'source' ? 'from the source' : 'from other files of the ledger'
  const done = {
    repaired: `repaired ${by}${kept === undefined ? '' : `; the damaged file is ${quoted(kept)}`}`,
    repairable: `can be repaired ${by}`,
    unrepaired: `not repaired: ${reason ?? ''}`,
  }[outcome]
  return visibleLine(`${quoted(path)}: expected ${expected}, found ${found}; ${done}`)
}

/** Returns the line with the numbers of files. */
export function countsText({ repaired, repairable, unrepaired, verified }: RepairReport): string {
  const done = verified === undefined ? `${repairable} can be repaired` : `${repaired} repaired`
  const damaged = repaired + repairable + unrepaired
  return `damaged files: ${damaged === 0 ? 'none' : `${damaged}: ${done}, ${unrepaired} not`}\n`
}
