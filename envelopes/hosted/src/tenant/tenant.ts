/** One tenant: its storage with the lock, its ledger, the audit sub-ledger, and the wire over both. */
import { randomUUID } from 'node:crypto'
import { existsSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { LedgerError } from '@service-fs/ledger/errors'
import { Readiness } from '@service-fs/ledger/readiness'
import type { SearchField } from '@service-fs/format/json-fields'
import { nativeCodec } from '@service-fs/native/native'
import type { FileFlags } from '@service-fs/storage-posix/flags'
import { lockLedger, openPosixReadOnly } from '@service-fs/storage-posix/posix'
import type { Answer, Call, WireOptions } from '@service-fs/wire/call'
import { createWire, type Wire } from '@service-fs/wire/handle'
import { CODINGS } from '@service-fs/http/gunzip-body'
import { openAuthors, type AuthorSettings } from './author-settings.ts'
import { flagsSetter, type FlagsSetter, type ImmutableMode } from './immutable.ts'
import { AUDIT_KEY, LEDGER_KEY, secretDir, chooseOrigin } from './keys.ts'
import type { LogFields } from '../process/log.ts'
import { acceptCommand, type AcceptSizes } from './mark-file.ts'
import { Metrics, type LedgerName } from './metrics.ts'
import { openServedLedger } from './open-ledger.ts'
import { declareReads } from './reads-notice.ts'
import { Protections } from './protections.ts'
import { SegmentIndex } from './search/search-index.ts'
import { watchReady } from '../process/ready-metric.ts'
import { nodeRuntime } from '@service-fs/native/runtime'
import { SecondTrees } from './second-trees.ts'
import { watchTrees } from './tree-metrics.ts'
import type { ScrubSettings } from './scrub.ts'
import type { ServedLedger } from './served-ledger.ts'
import { VERSION } from '../version.ts'

export interface TenantOptions {
  moduleId: string
  root: string
  /** The requested origin; undefined: the ledger's own, or the default for a new one. */
  origin?: string | undefined
  /** The maximum size of a record's payload; undefined: the default. */
  maxPayloadBytes?: number | undefined
  /** Whether file attributes make sealed files immutable. Default: off. */
  immutable?: ImmutableMode | undefined
  /** Whether a supervisor started this process; it then sets the attributes. */
  behindFront?: boolean | undefined
  /** Whether to open the ledger read-only, and to serve the intact part of a damaged one. Default: false. */
  readOnly?: boolean | undefined
  /** Whether the clock may jump ahead by any time. Default: at most a day more than the time since the start. */
  allowClockAhead?: boolean | undefined
  /** Whether reads of the ledger are public, and so not recorded. Default: false. */
  publicReads?: boolean | undefined
  /** Tree sizes that the operator accepts although larger trees were acknowledged. */
  acceptSizes?: AcceptSizes | undefined
  /** The fields of records that searches may compare. Default: none. */
  searchFields?: readonly SearchField[] | undefined
  /** How sealed files are checked in the background. Default: all of them in 30 days. */
  scrub?: ScrubSettings
  /**
   * The signatures of authors that the ledger accepts, and the records that must have one. Default: the ledger accepts
   * every valid signature, and no record must have one.
   */
  authors?: AuthorSettings | undefined
  /** Receives messages for the operator. */
  warn?: (message: string, fields: LogFields) => void
  /** The metrics to update. Default: new ones. */
  metrics?: Metrics
  /** Receives errors behind 5xx responses. */
  report?: (error: unknown, requestId?: string) => void
}

export interface Tenant {
  readonly dir: string
  readonly origin: string
  readonly vkey: string
  /** The vkey of the audit sub-ledger. */
  readonly auditVkey: string
  readonly wire: Wire
  readonly ledger: ServedLedger
  readonly audit: ServedLedger
  readonly metrics: Metrics
  /** Rejects when one of the ledgers can no longer be served. */
  readonly failed: Promise<never>
  /** Stops both ledgers cleanly. */
  close(): Promise<void>
}

/**
 * Opens `<root>/<moduleId>`, or creates it with its keys. When its disk is full or not writable, opens the ledger read-only, and
 * then for writing as soon as the disk is writable.
 * @throws HostedError `key`, `usage` (another origin than the ledger's), `immutable`; StorageError `locked`, `io`, `full`, `read-only`;
 *   HostedError `authors`; LedgerError `corrupt`; `not-found`: there is no ledger to open read-only
 */
export async function openTenant(options: TenantOptions): Promise<Tenant> {
  const dir = join(options.root, options.moduleId)
  if (options.readOnly === true && !existsSync(dir))
    throw new LedgerError('not-found', `${dir}: there is no ledger`)
  const lock = await lockLedger(dir, { write: options.readOnly !== true })
  const opened: { close(): Promise<void> }[] = [{ close: () => lock.release() }]
  try {
    const tenant = await openLocked(options, dir, opened)
    const close = async (): Promise<void> => {
      try {
        await tenant.close()
      } finally {
        await lock.release()
      }
    }
    return { ...tenant, close }
  } catch (error) {
    for (const one of opened.reverse()) await one.close().catch(() => undefined)
    throw error
  }
}

/** `opened` collects the resources that the caller closes after a failure. */
async function openLocked(
  options: TenantOptions,
  dir: string,
  opened: { close(): Promise<void> }[],
): Promise<Tenant> {
  const { root, moduleId, maxPayloadBytes, readOnly = false } = options
  const authors = await openAuthors(options.authors)
  const metrics = options.metrics ?? new Metrics(moduleId)
  // A process that was killed may have left this folder, which only takes space.
  if (!readOnly) await rm(packFolder(options), { recursive: true, force: true }).catch(() => undefined)
  const stored = await storedOrigin(dir)
  const origin = chooseOrigin(stored, options)
  const secret = secretDir(root, moduleId)
  const auditDir = join(dir, 'audit')
  const attributes = new Attributes(options, dir)
  let fail!: (error: unknown) => void
  const failed = new Promise<never>((_, reject) => (fail = reject))
  failed.catch(() => undefined)
  const settings = {
    metrics,
    flags: () => attributes.flags(),
    readOnly,
    acceptSizes: options.acceptSizes ?? {},
    acceptCommand: (sizes: AcceptSizes) => acceptCommand({ moduleId, root }, sizes),
    warn: options.warn ?? (() => undefined),
    scrub: options.scrub,
    again: () => {
      protections?.start((error) => options.report?.(error))
      void trees?.resume()
    },
    failed: fail,
  }
  const mayCreate = stored === undefined && !readOnly
  const clock = options.allowClockAhead === true ? { clockAheadMs: Number.POSITIVE_INFINITY } : {}
  const place = { mayCreate, origin: `${origin}/audit`, key: join(secret, AUDIT_KEY), limits: clock }
  let protections: Protections | undefined
  let trees: SecondTrees | undefined
  // Open the audit ledger first, so that a ledger never exists without its audit.
  const audit = await openServedLedger({ ...place, name: 'audit', dir: auditDir }, settings)
  opened.push(audit)
  const limits = maxPayloadBytes === undefined ? clock : { ...clock, maxPayloadBytes }
  const main = { ...place, limits, origin, key: join(secret, LEDGER_KEY) }
  const ledger = await openServedLedger({ ...main, name: 'main', dir }, settings)
  opened.push(ledger)
  await declareReads(audit, options)
  metrics.watch({ main: ledger, audit }, dir)
  watchReady(metrics.registry, { main: ledger, audit })
  const found = (protections = new Protections(
    [
      { dir, sealed: () => ledger.status().sealed, trees: () => trees?.list() ?? [] },
      { dir: auditDir, sealed: () => audit.status().sealed },
    ],
    () => attributes.setter,
  ))
  found.start((error) => options.report?.(error))
  const search = {
    ledger: searchIndexOf(options, ledger, 'main', dir),
    audit: searchIndexOf(options, audit, 'audit', auditDir),
  }
  metrics.watchSearch({ main: search.ledger, audit: search.audit })
  const { warn } = settings
  const { flags } = settings
  const kept = (trees = new SecondTrees({ dir, secret, log: ledger, readOnly, flags, warn }))
  await kept.resume()
  opened.push(kept)
  watchTrees(metrics.registry, kept)
  const parts = { ledger, audit, metrics, protections: found, search, authors, trees: kept }
  const wire = wireOf(options, parts)
  metrics.followers(() => wire.followers)
  const close = async (): Promise<void> => {
    await found.close()
    await Promise.all([search.ledger.close(), search.audit.close(), kept.close()])
    await closeBoth(audit, ledger)
  }
  return {
    dir,
    origin,
    vkey: ledger.vkeys[0] ?? '',
    auditVkey: audit.vkeys[0] ?? '',
    wire,
    ledger,
    audit,
    metrics,
    failed,
    close,
  }
}

/**
 * Decides which process sets attributes on the tenant's files. Tries again after a failure, because an unwritable disk may have
 * caused it.
 */
class Attributes {
  readonly #options: TenantOptions
  readonly #dir: string
  setter: FlagsSetter

  constructor(options: TenantOptions, dir: string) {
    this.#options = options
    this.#dir = dir
    const reason = options.readOnly === true ? 'opened read-only (--read-only)' : 'not determined yet'
    this.setter = { by: 'nobody', reason }
  }

  /** @throws HostedError `immutable` */
  async flags(): Promise<FileFlags | undefined> {
    const { immutable = 'off', behindFront } = this.#options
    if (this.setter.by !== 'nobody') return this.setter.flags
    const supervised = behindFront === true && process.send !== undefined
    this.setter = await flagsSetter(immutable, this.#dir, supervised)
    return this.setter.flags
  }
}

async function closeBoth(audit: ServedLedger, ledger: ServedLedger): Promise<void> {
  try {
    await audit.close()
  } finally {
    await ledger.close()
  }
}

/** Returns the origin of the existing ledger, if there is one. */
async function storedOrigin(dir: string): Promise<string | undefined> {
  const storage = await openPosixReadOnly(dir)
  try {
    const bytes = await storage.read({ kind: 'origin' })
    return bytes === undefined ? undefined : nativeCodec.utf8Decode(bytes).replace(/\n$/, '')
  } finally {
    await storage.close()
  }
}

/** Returns the search index of a ledger. Indexing begins with the first search. */
function searchIndexOf(
  { readOnly = false, searchFields = [], warn }: TenantOptions,
  ledger: ServedLedger,
  name: LedgerName,
  dir: string,
): SegmentIndex {
  return new SegmentIndex(ledger, join(dir, 'cache', 'search'), {
    report: (reason) => warn?.('the search index', { ledger: name, reason }),
    after: (ms, run) => void nodeRuntime.after(ms, run),
    fields: searchFields,
    writes: !readOnly,
  })
}

/** Returns the member `scrub` of /readyz. It contains no number and no name, because only readers may learn them. */
function scrubJson(ledgers: readonly ServedLedger[]): Record<string, unknown> {
  const isDamaged = ledgers.some((ledger) => (ledger.status().scrub?.damaged ?? 0) > 0)
  if (!isDamaged) return { damaged: false }
  return { damaged: true, reason: 'a sealed file is damaged: the log names it' }
}

/** Returns the folder that holds the parts of a pack until the pack ends. */
function packFolder({ root, moduleId, readOnly = false }: TenantOptions): string {
  return readOnly ? tmpdir() : join(root, moduleId, 'cache', 'examine')
}

interface WireParts extends Required<Pick<WireOptions, 'search' | 'authors' | 'trees'>> {
  readonly ledger: ServedLedger
  readonly audit: ServedLedger
  readonly metrics: Metrics
  readonly protections: Protections
}

function wireOf(
  options: TenantOptions,
  { ledger, audit, metrics, protections, search, authors, trees }: WireParts,
): Wire {
  const readiness = new Readiness(ledger, audit)
  let answerMcp: ((call: Call) => Promise<Answer>) | undefined
  return createWire({
    moduleId: options.moduleId,
    ledger,
    audit,
    publicReads: options.publicReads === true,
    codec: nativeCodec,
    now: () => Date.now(),
    after: (ms, run) => nodeRuntime.after(ms, run),
    requestId: () => randomUUID(),
    metrics: async () => ({ contentType: metrics.contentType, text: await metrics.text() }),
    ready: async () => ({
      ...readiness.now(),
      protections: await protections.now(),
      scrub: scrubJson([ledger, audit]),
    }),
    // Load the MCP server on first use, because most tenants never need it.
    async mcp(call) {
      const { mcpServer } = await import('../mcp/server.ts')
      answerMcp ??= mcpServer(call)
      return answerMcp(call)
    },
    // Load the code of packs on first use, like the MCP server.
    async examine(selection) {
      const { openPack } = await import('./pack-stream.ts')
      return openPack({ ledger, folder: packFolder(options) }, selection)
    },
    search,
    authors,
    searchFields: options.searchFields ?? [],
    trees,
    codings: CODINGS,
    scansBytes: true,
    version: VERSION,
    ...(options.report === undefined ? {} : { report: options.report }),
    limits: { maxPayload: ledger.limits.maxPayloadBytes, maxBatch: ledger.limits.maxBatchRecords },
  })
}
