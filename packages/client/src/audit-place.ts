/** The audit sub-ledger of a ledger behind a URL, in a directory, in a tar archive or in a disk image. */
import { parseEntry } from '@service-fs/format/entry'
import { nativeCodec, nativeHasher } from '@service-fs/native/native'
import { parseCheckpointText, type Checkpoint } from '@service-fs/tlog/checkpoint'
import type { Hash } from '@service-fs/tlog/hash'
import { parseNote } from '@service-fs/tlog/note'
import {
  computeProof,
  consistencyPlan,
  inclusionPlan,
  planTiles,
  verifyConsistency,
  type Plan,
} from '@service-fs/tlog/proof'
import { TILE_WIDTH, tileWidth } from '@service-fs/tlog/tile'
import { formatTlogProof } from '@service-fs/tlog/tlog-proof'
import { messageOf } from '@service-fs/format/errors'
import { ClientError } from './errors.ts'
import { isUrl, membersOf, withConnection, type Connection, type ConnectionOptions } from './http.ts'
import type { LedgerFiles } from './ledger-files.ts'
import { fetchProof, proofHeader, readProof } from './proof.ts'
import { readRecordAt, readRecordById, type RecordKey } from './read.ts'
import type { Span } from './reads.ts'
import { filesSource, httpSource, type LogSource } from './source.ts'
import { TrustedTree } from './tree.ts'
import { treeRecords, uncheckedBundles } from './tree-records.ts'
import { Trust, type TrustOptions } from './trust.ts'
import { verifyAuditFiles } from './verify-directory.ts'
import { withLedgerFiles } from './verify-place.ts'
import { contractKeys, verifyAuditUrl } from './verify-url.ts'
import type { LedgerReport, VerifyOptions } from './verify.ts'

/** An entry and its proof. Neither of them is verified: pass both to `checkPayloadProof`. */
export interface ProvedEntry {
  /** The text of a `.tlog-proof` (c2sp.org/tlog-proof). */
  proof: string
  payload: Uint8Array
}

/** An open audit sub-ledger. */
export interface AuditPlace {
  /** The sub-ledger's origin, which is the origin of the ledger followed by /audit. */
  readonly origin: string
  /** The keys that verify the sub-ledger's checkpoints. */
  readonly trust: Trust
  /** The sub-ledger's checkpoint and tiles, which are not verified. */
  readonly source: LogSource
  /** Verifies the whole sub-ledger. @throws ClientError when it can't be read */
  verify(options: VerifyOptions): Promise<LedgerReport>
  /** Returns the entry with this index and its inclusion proof. @throws ClientError `not-found` */
  prove(index: number): Promise<ProvedEntry>
  /** Returns the entries of the ledger that hold a record. @throws ClientError `not-found`, `not-a-record` */
  spanOf(asked: RecordKey): Promise<Span>
}

/**
 * Opens the audit sub-ledger of the ledger at `place`, runs `work`, and closes it. A place that begins with http:// or https:// is
 * a URL; any other place is a path.
 * @throws ClientError `not-found` when there is no sub-ledger, `usage` when the trusted keys include none of its keys
 */
export function withAudit<T>(
  place: string,
  options: TrustOptions & ConnectionOptions,
  work: (audit: AuditPlace) => Promise<T>,
): Promise<T> {
  if (isUrl(place)) return withConnection(place, options, async (to) => work(await urlAudit(to, options)))
  return withLedgerFiles(place, options.moduleId, async (files) => work(await filesAudit(files, options)))
}

async function urlAudit(connection: Connection, options: TrustOptions): Promise<AuditPlace> {
  const audit = connection.audit()
  const contract = await audit.askJson('v1/contract')
  const { origin } = membersOf(contract)
  if (typeof origin !== 'string') throw new ClientError('malformed', 'audit/v1/contract: expected an origin')
  const trust = pinned(options, origin) ?? Trust.shown(contractKeys(contract), 'audit/v1/contract')
  return {
    origin,
    trust,
    source: httpSource(audit),
    verify: (checks) => verifyAuditUrl(connection, { ...checks, ...options }, trust, origin),
    async prove(index) {
      const { payload } = await readRecordAt(audit, index + 1).catch((error: unknown) => {
        if (!(error instanceof ClientError && error.code === 'not-found')) throw error
        throw new ClientError('not-found', `entry ${index}: the sub-ledger has no such entry`)
      })
      return { payload, proof: await fetchProof(audit, index + 1) }
    },
    async spanOf(asked) {
      const cursor = 'id' in asked ? (await readRecordById(connection, asked.id)).cursor : asked.cursor
      const { header, split } = proofHeader(readProof(await fetchProof(connection, cursor)))
      if (split === undefined) refusePart(header, cursor)
      return { first: cursor - 1, end: cursor - 1 + (split?.parts ?? 1) }
    },
  }
}

async function filesAudit(files: LedgerFiles, options: TrustOptions): Promise<AuditPlace> {
  const below = files.below('audit')
  const text = await below.read('origin')
  if (text === undefined) throw new ClientError('not-found', `${files.place}: there is no audit sub-ledger`)
  const origin = text.toString('utf8').replace(/\n$/, '')
  const trust = pinned(options, origin) ?? Trust.shown(await keysIn(below), 'audit/keys/')
  const source = filesSource(below)
  return {
    origin,
    trust,
    source,
    verify: (checks) => verifyAuditFiles(files, { ...checks, ...options }, origin),
    prove: (index) => proveFrom(source, trust, origin, index),
    spanOf: (asked) => spanIn(filesSource(files), asked),
  }
}

/**
 * Returns the pinned keys. They must include a key of the sub-ledger, because it does not share the ledger's keys. @throws
 * ClientError `usage`
 */
function pinned(options: TrustOptions, origin: string): Trust | undefined {
  const trust = Trust.pinned(options)
  if (trust === undefined || trust.knows(origin)) return trust
  throw new ClientError(
    'usage',
    `expected a key of the audit sub-ledger, ${origin}, found none with that name`,
  )
}

/** Returns the vkeys in the files of `keys/`, without verifying them. @throws ClientError `file` */
export async function keysIn(files: LedgerFiles): Promise<string[]> {
  const vkeys: string[] = []
  for (const { name, kind } of await files.list('keys')) {
    if (kind !== 'file' || !name.endsWith('.vkey')) continue
    vkeys.push(((await files.read(`keys/${name}`)) ?? '').toString().trimEnd())
  }
  return vkeys
}

/** Returns an entry and its inclusion proof, computed from tiles. */
async function proveFrom(
  source: LogSource,
  trust: Trust,
  origin: string,
  index: number,
): Promise<ProvedEntry> {
  const checkpoint = await source.checkpoint()
  const { size } = trust.open(checkpoint, origin)
  if (index >= size) throw new ClientError('not-found', `entry ${index}: the sub-ledger has ${size} entries`)
  const hashes = await computeFrom(source, inclusionPlan(index, size), size)
  const bundle = Math.floor(index / TILE_WIDTH)
  const entries = await source.bundle(bundle, tileWidth('entries', bundle, size))
  const { bytes, headerLength } = entryAt(entries, index)
  const extra = bytes.slice(0, headerLength)
  return {
    proof: formatTlogProof({ extra, index, hashes, checkpoint }, nativeCodec),
    payload: bytes.subarray(headerLength),
  }
}

function entryAt(entries: readonly Uint8Array[], index: number): { bytes: Uint8Array; headerLength: number } {
  const bytes = entries[index % TILE_WIDTH] ?? new Uint8Array()
  try {
    return { bytes, headerLength: parseEntry(bytes, nativeCodec).headerLength }
  } catch (error) {
    throw new ClientError('false', `entry ${index}: ${messageOf(error)}`)
  }
}

/** Computes the hashes of a proof from the tiles of a log with `size` entries: reads the tiles of its plan first. */
export async function computeFrom(
  source: { hashTile(level: number, index: number, width: number): Promise<readonly Hash[]> },
  plan: Plan,
  size: number,
): Promise<Hash[]> {
  const tiles = new Map<string, readonly Hash[]>()
  for (const { level, index, width } of planTiles(plan, size))
    tiles.set(`${level}/${index}`, await source.hashTile(level as number, index, width))
  return computeProof(plan, (level, index) => tiles.get(`${level}/${index}`) ?? [], nativeHasher)
}

/**
 * Verifies that the tree of the given size and root is consistent with an earlier checkpoint of the same log.
 * @throws ClientError `false` when the tree is not consistent
 */
export async function checkEarlier(
  { source }: Pick<AuditPlace, 'source'>,
  earlier: Checkpoint,
  { size, root }: Pick<Checkpoint, 'size' | 'root'>,
): Promise<void> {
  if (earlier.size > size)
    throw new ClientError(
      'false',
      `expected at least the ${earlier.size} entries of the earlier checkpoint, found ${size}`,
    )
  try {
    const proof = await computeFrom(source, consistencyPlan(earlier.size, size), size)
    const trees = { from: earlier.size, to: size, fromRoot: earlier.root, toRoot: root }
    verifyConsistency({ ...trees, proof }, nativeHasher)
  } catch (error) {
    if (error instanceof ClientError) throw error
    throw new ClientError(
      'false',
      `expected a tree that extends the earlier checkpoint's, found another: ${messageOf(error)}`,
    )
  }
}

/** Opens the newest tree of a sub-ledger. It verifies each hash that it reads against the signed checkpoint. @throws ClientError `false` */
export async function openAuditTree({ source, trust, origin }: AuditPlace): Promise<TrustedTree> {
  return TrustedTree.open(source, trust.open(await source.checkpoint(), origin))
}

/** Finds the entries of a record in files. Finding it by identifier reads all entries. */
async function spanIn(source: LogSource, asked: RecordKey): Promise<Span> {
  const { size } = parseCheckpointText(parseNote(await source.checkpoint()).text)
  if ('id' in asked) {
    for await (const { id, index, parts } of treeRecords(uncheckedBundles(source, size)))
      if (id === asked.id) return { first: index, end: index + parts }
    throw new ClientError('not-found', `no record ${JSON.stringify(asked.id)}`)
  }
  const { cursor } = asked
  if (cursor > size)
    throw new ClientError('not-found', `cursor ${cursor}: the ledger has entries 1 to ${size}`)
  const bundle = Math.floor((cursor - 1) / TILE_WIDTH)
  const { bytes } = entryAt(await source.bundle(bundle, tileWidth('entries', bundle, size)), cursor - 1)
  refusePart(bytes, cursor)
  return { first: cursor - 1, end: cursor - 1 + (parseEntry(bytes, nativeCodec).split?.parts ?? 1) }
}

/** Throws when an entry is a later part of a split record: its cursor names no record. */
function refusePart(bytes: Uint8Array, cursor: number): void {
  const { continuation, header } = parseEntry(bytes, nativeCodec)
  if (continuation === undefined) return
  const { part, of } = continuation
  throw new ClientError(
    'not-a-record',
    `cursor ${cursor} is part ${part}/${of} of ${JSON.stringify(header.id)}`,
  )
}
