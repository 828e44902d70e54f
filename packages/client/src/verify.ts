/** What is common to checking a ledger in a directory and over HTTP. */
import type { Hash } from '@service-fs/tlog/hash'
import { parseEntry } from '@service-fs/format/entry'
import { TILE_WIDTH, tileWidth } from '@service-fs/tlog/tile'
import { ahead } from './ahead.ts'
import { messageOf } from '@service-fs/format/errors'
import { nativeCodec } from '@service-fs/native/native'
import { Problems, type Problem } from './problems.ts'
import type { EachEntry } from './records.ts'
import type { LogSource } from './source.ts'
import type { TrustOptions } from './trust.ts'
import type { TreeCopy } from './walk.ts'

export interface LedgerReport {
  /** Everything that was checked is as it must be. */
  ok: boolean
  /** The directory or URL. */
  place: string
  origin: string
  size: number
  /** The root hash of the newest signed checkpoint. */
  root: Hash
  entries: number
  records: number
  /** Time of the newest record, or empty. */
  time: string
  checked: { bundles: number; tiles: number; commits: number; proofs: number; files: number }
  /** Whose keys the signatures were checked with. */
  trust: string
  pinned: boolean
  /** Witnesses of the policy that cosigned. */
  witnesses: string[]
  notes: string[]
  /** The first thousand problems; `problemCount` is how many there are. */
  problems: Problem[]
  problemCount: number
  /** The audit sub-ledger. */
  audit?: LedgerReport
}

export interface VerifyOptions extends TrustOptions {
  /** Called as entries are checked. */
  progress?: (place: string, entries: number, size: number) => void
  /** Leaves the audit sub-ledger out. */
  withoutAudit?: boolean
  /** Is given what is checked. */
  copy?: LedgerCopy
  /** Looks at each entry. */
  each?: EachEntry
}

/** Takes a ledger while it is checked. What it was given counts when the report says true. */
export interface LedgerCopy extends TreeCopy {
  /** After the whole tree, and when nothing wrong was found. */
  end(ledger: CheckedLedger): Promise<void>
  /** Takes the audit sub-ledger. */
  audit(): LedgerCopy
}

export interface CheckedLedger {
  origin: string
  /** The vkeys by the names of their files below keys/. */
  keys: ReadonlyMap<string, string>
  size: number
  root: Hash
  /** The signed checkpoint of that size. */
  note: string
}

/** Looks at the identifiers themselves where two may be the same, and reports those that are. */
export async function confirmDuplicates(
  suspects: ReadonlyMap<string, readonly number[]>,
  size: number,
  source: LogSource,
  problems: Problems,
): Promise<void> {
  if (suspects.size === 0) return
  const first = new Map<string, number>()
  const count = Math.ceil(size / TILE_WIDTH)
  const read = (i: number): Promise<Uint8Array[]> =>
    source.bundle(i, tileWidth('entries', i, size)).catch(() => [])
  let bundle = 0
  for await (const entries of ahead(count, 2, read)) {
    for (const [i, bytes] of entries.entries()) {
      const id = recordId(bytes)
      const index = bundle * TILE_WIDTH + i
      if (id === undefined || !suspects.has(id)) continue
      const before = first.get(id)
      if (before === undefined) first.set(id, index)
      else {
        const file = source.name({ level: 'entries', index: bundle, width: entries.length })
        problems.add(
          { file, line: i + 1, index },
          'an id that no record had before',
          `${JSON.stringify(id)}, of entry ${before}`,
        )
      }
    }
    bundle += 1
  }
}

/** The identifier of the record that starts with this entry. */
function recordId(bytes: Uint8Array): string | undefined {
  try {
    const entry = parseEntry(bytes, nativeCodec)
    return entry.continuation === undefined ? entry.header.id : undefined
  } catch {
    return undefined
  }
}

/** Runs a check that may find something false or unreadable. */
export async function tryCheck<T>(
  problems: Problems,
  file: string,
  expected: string,
  check: () => T | Promise<T>,
): Promise<T | undefined> {
  try {
    return await check()
  } catch (error) {
    problems.addError({ file }, error, `${expected} (${messageOf(error)})`)
    return undefined
  }
}
