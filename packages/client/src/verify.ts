/** The options and the report of a verification, and the steps shared by files and HTTP. */
import type { Hash } from '@service-fs/tlog/hash'
import { RETAIN_FIELD } from '@service-fs/format/duty'
import { fieldOf, parseEntry } from '@service-fs/format/entry'
import { TILE_WIDTH, tileWidth, type Tile } from '@service-fs/tlog/tile'
import { ahead } from './ahead.ts'
import { messageOf } from '@service-fs/format/errors'
import { nativeCodec } from '@service-fs/native/native'
import { confirmSignatures, type SignatureVerifier } from './companions.ts'
import { Problems, type Problem } from './problems.ts'
import type { EachEntry, FirstExtension, RecordCheck } from './records.ts'
import type { SecondTreeReport } from './second-tree/second-trees.ts'
import type { LogSource } from './source.ts'
import type { TrustOptions } from './trust.ts'
import type { TreeCopy } from './walk.ts'

/** The result of verifying a ledger. */
export interface LedgerReport {
  /** Whether no problem was found. */
  ok: boolean
  /** The directory, archive or URL. */
  place: string
  origin: string
  /** The size of the newest signed checkpoint. */
  size: number
  /** The root hash of that checkpoint, in base64. */
  root: Hash
  /** Entries read. */
  entries: number
  /** Records read. */
  records: number
  /** The time of the newest record; '' without records. */
  time: string
  /** The numbers of checked parts. `tiles` are hash tiles, and `commits` are signed checkpoints. */
  checked: { bundles: number; tiles: number; commits: number; proofs: number; files: number }
  /** Describes the keys that verified the signatures. */
  trust: string
  /** Whether the caller pinned the keys. */
  pinned: boolean
  /** The policy's names of the witnesses that cosigned. */
  witnesses: string[]
  /** Facts that are not problems. */
  notes: string[]
  /** The first thousand problems. */
  problems: Problem[]
  /** The number of all problems. */
  problemCount: number
  /** The second trees, with other hashes; absent if the ledger has no second tree. */
  trees?: SecondTreeReport[]
  /** The audit sub-ledger. */
  audit?: LedgerReport
}

export interface VerifyOptions extends TrustOptions {
  /** Called while entries are checked. */
  progress?: (place: string, entries: number, size: number) => void
  /** Whether to skip the audit sub-ledger. */
  withoutAudit?: boolean
  /** Receives the verified content. */
  copy?: LedgerCopy
  /**
   * The maximum number of threads that check entries, besides the caller's thread. Default: one for each processor if the ledger is large.
   */
  threads?: number
  /** Verifies the signatures of authors. If absent, only the places and hashes of signatures are checked. */
  signatures?: SignatureVerifier
  /** `signatures` accepts only signatures that lead to a trust anchor. */
  isAnchored?: boolean
  /** An additional check of each entry. */
  each?: EachEntry
}

/** Receives a ledger during its verification. The copy is valid only if the report is `ok`. */
export interface LedgerCopy extends TreeCopy {
  /** Receives a file of a second tree by its path in the ledger, after the log's tree if no problem was found. */
  secondTree(path: string, bytes: Uint8Array): Promise<void>
  /** Called after all trees if no problem was found. */
  end(ledger: CheckedLedger): Promise<void>
  /** Returns the receiver of the audit sub-ledger. */
  audit(): LedgerCopy
}

/** The content of a verified ledger, other than its tiles. */
export interface CheckedLedger {
  origin: string
  /** The vkeys by file name below keys/. */
  keys: ReadonlyMap<string, string>
  size: number
  root: Hash
  /** The signed checkpoint of the size `size`. */
  note: string
}

/**
 * Reads the ledger again to find which suspected identifiers are duplicates. Reports the duplicates, and each bundle that it cannot read,
 * by `name`.
 */
export async function confirmDuplicates(
  suspects: ReadonlyMap<string, readonly number[]>,
  size: number,
  source: Pick<LogSource, 'bundle'>,
  name: (tile: Tile) => string,
  problems: Problems,
): Promise<void> {
  if (suspects.size === 0) return
  const first = new Map<string, number>()
  const count = Math.ceil(size / TILE_WIDTH)
  const read = async (index: number): Promise<Uint8Array[]> => {
    const width = tileWidth('entries', index, size)
    try {
      return await source.bundle(index, width)
    } catch (error) {
      const file = name({ level: 'entries', index, width })
      problems.addError({ file }, error, 'entries whose identifiers can be compared')
      return []
    }
  }
  let bundle = 0
  for await (const entries of ahead(count, 2, read)) {
    for (const [i, bytes] of entries.entries()) {
      const id = recordId(bytes)
      const index = bundle * TILE_WIDTH + i
      if (id === undefined || !suspects.has(id)) continue
      const before = first.get(id)
      if (before === undefined) first.set(id, index)
      else {
        const file = name({ level: 'entries', index: bundle, width: entries.length })
        problems.add(
          { file, line: i + 1, index },
          'an id that no earlier record has',
          `${JSON.stringify(id)}, of entry ${before}`,
        )
      }
    }
    bundle += 1
  }
}

/** Compares the first extension of each record with that record, and reports each difference. */
export async function confirmExtensions(
  extensions: readonly FirstExtension[],
  size: number,
  source: Pick<LogSource, 'bundle'>,
  problems: Problems,
): Promise<void> {
  let bundle = -1
  let entries: Uint8Array[] = []
  for (const { payload_id, index, was, place } of [...extensions].sort((a, b) => a.index - b.index)) {
    const wanted = Math.floor(index / TILE_WIDTH)
    if (wanted !== bundle) {
      bundle = wanted
      // Skip a bundle that cannot be read: the walk has reported it.
      entries = await source.bundle(bundle, tileWidth('entries', bundle, size)).catch(() => [])
    }
    const bytes = entries[index % TILE_WIDTH]
    if (bytes === undefined || recordId(bytes) !== payload_id)
      problems.add(place, `index: the entry of ${JSON.stringify(payload_id)}`, String(index))
    else {
      const until = fieldOf(parseEntry(bytes, nativeCodec).header, RETAIN_FIELD)
      if (until !== was) problems.add(place, `was: ${until ?? 'none'}, of entry ${index}`, was ?? 'none')
    }
  }
}

/** Verifies the signatures of authors again, if `verify` can. Returns the facts about the signatures that an auditor should know. */
export async function checkSignatures(
  { signed }: Pick<RecordCheck, 'signed'>,
  size: number,
  source: Pick<LogSource, 'bundle'>,
  { signatures, isAnchored = false }: Pick<VerifyOptions, 'signatures' | 'isAnchored'>,
  problems: Problems,
): Promise<string[]> {
  const { length } = signed
  if (length === 0) return []
  const those = `${length} ${length === 1 ? 'record is' : 'records are'} signed by ${length === 1 ? 'its author' : 'their authors'}`
  if (signatures === undefined) return [`${those}; no signature of them was verified`]
  await confirmSignatures(signed, size, source, signatures, problems)
  const how = isAnchored
    ? 'by the given trust anchors, without revocation'
    : 'without revocation and trust anchors'
  return [`${those}; each signature was verified at the time of its record, ${how}`]
}

/** Returns the identifier of the record that starts with this entry; undefined when no record starts with it. */
function recordId(bytes: Uint8Array): string | undefined {
  try {
    const entry = parseEntry(bytes, nativeCodec)
    return entry.continuation === undefined ? entry.header.id : undefined
  } catch {
    return undefined
  }
}

/** Runs a check, and adds its error to `problems`. */
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
