/** One tenant: its storage with the lock, its ledger, the audit sub-ledger, and the wire over both. */
import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import { Ledger } from '@service-fs/ledger/ledger'
import { Readiness } from '@service-fs/ledger/readiness'
import type { StorageCapability } from '@service-fs/storage/capability'
import { openPosixStorage } from '@service-fs/storage-posix/posix'
import type { Answer, Call } from '@service-fs/wire/call'
import { createWire, type Wire } from '@service-fs/wire/handle'
import { AUDIT_KEY, LEDGER_KEY, markUsed, openSigner, refuseUsed, secretDir } from './keys.ts'
import { flagsSetter } from './immutable.ts'
import type { ImmutableMode } from './immutable-modes.ts'
import { openLevelIndex } from './index.ts'
import { Metrics, type LedgerName } from './metrics.ts'
import { chooseOrigin } from './origin.ts'
import { Protections } from './protections.ts'
import { nativeCodec, nativeCrypto } from '@service-fs/native/native'
import { verifierFromVkey } from '@service-fs/tlog/keys'
import { nodeRuntime } from './runtime.ts'
import { VERSION } from './version.ts'

export interface TenantOptions {
  moduleId: string
  root: string
  /** As asked for; undefined: what the ledger has, or the default for a new one. */
  origin?: string | undefined
  /** The most that a record's payload may have; undefined: the default. */
  maxPayloadBytes?: number | undefined
  /** Whether file attributes are set on what is sealed. Default: off. */
  immutable?: ImmutableMode | undefined
  /** Whether a supervisor started this process, who sets them. */
  behindFront?: boolean | undefined
  /** Told of errors that became a 5xx answer. */
  report?: (error: unknown, requestId?: string) => void
}

export interface Tenant {
  readonly dir: string
  readonly origin: string
  readonly vkey: string
  readonly wire: Wire
  readonly ledger: Ledger
  readonly audit: Ledger
  readonly metrics: Metrics
  /** A clean stop of both ledgers. */
  close(): Promise<void>
}

/**
 * Opens `<root>/<moduleId>`, or makes it, keys included.
 * @throws HostedError `key`, `usage` (another origin than the ledger's), `immutable`; StorageError `locked`, `io`, `full`; LedgerError `corrupt`
 */
export async function openTenant(options: TenantOptions): Promise<Tenant> {
  const { root, moduleId, maxPayloadBytes } = options
  const dir = join(root, moduleId)
  const opened: { close(): Promise<void> }[] = []
  try {
    const metrics = new Metrics(moduleId)
    const supervised = options.behindFront === true && process.send !== undefined
    const setter = await flagsSetter(options.immutable ?? 'off', dir, supervised)
    const { flags } = setter
    const storage = await openPosixStorage(dir, { flags, synced: metrics.synced('main') })
    opened.push(storage)
    const stored = await storedOrigin(storage)
    const origin = chooseOrigin(stored, options)
    const secret = secretDir(root, moduleId)
    const mayCreate = stored === undefined
    const auditDir = join(dir, 'audit')
    const open = async (
      name: LedgerName,
      at: string,
      from: StorageCapability,
      logOrigin: string,
      key: string,
    ): Promise<Ledger> => {
      const keyPath = join(secret, key)
      if ((await from.read('checkpoint')) === undefined) await refuseUsed(keyPath, at)
      const signer = await openSigner(keyPath, logOrigin, mayCreate)
      const index = await openLevelIndex(join(at, 'cache', 'records'))
      opened.push(index)
      const timed = metrics.timed(from, name)
      const ledger = await Ledger.open({
        storage: timed,
        origin: logOrigin,
        signer,
        verifiers: [verifierFromVkey(signer.vkey, nativeCrypto)],
        runtime: nodeRuntime,
        index,
        observer: metrics.observer(name),
        ...(name === 'main' && maxPayloadBytes !== undefined ? { limits: { maxPayloadBytes } } : {}),
      })
      opened.push(ledger)
      await markUsed(keyPath)
      return ledger
    }
    const synced = metrics.synced('audit')
    const auditStorage = await openPosixStorage(auditDir, { flags, lock: false, synced })
    opened.push(auditStorage)
    // The audit ledger first: who finds the ledger finds its audit.
    const audit = await open('audit', auditDir, auditStorage, `${origin}/audit`, AUDIT_KEY)
    const ledger = await open('main', dir, storage, origin, LEDGER_KEY)
    metrics.watch({ main: ledger, audit }, dir)
    const protections = new Protections(
      [
        { dir, sealed: () => ledger.status().sealed },
        { dir: auditDir, sealed: () => audit.status().sealed },
      ],
      setter,
    )
    protections.start((error) => options.report?.(error, undefined))
    const wire = wireOf(options, ledger, audit, metrics, protections)
    metrics.followers(() => wire.followers)
    return {
      dir,
      origin,
      vkey: ledger.vkeys[0] ?? '',
      wire,
      ledger,
      audit,
      metrics,
      async close() {
        await protections.close()
        await closeBoth(audit, ledger)
      },
    }
  } catch (error) {
    for (const one of opened.reverse()) await one.close().catch(() => undefined)
    throw error
  }
}

/** The ledger last: its storage holds the lock. */
async function closeBoth(audit: Ledger, ledger: Ledger): Promise<void> {
  try {
    await audit.close()
  } finally {
    await ledger.close()
  }
}

async function storedOrigin(storage: StorageCapability): Promise<string | undefined> {
  const bytes = await storage.read('origin')
  return bytes === undefined ? undefined : nativeCodec.utf8Decode(bytes).replace(/\n$/, '')
}

function wireOf(
  options: TenantOptions,
  ledger: Ledger,
  audit: Ledger,
  metrics: Metrics,
  protections: Protections,
): Wire {
  const readiness = new Readiness(ledger, audit)
  let answerMcp: ((call: Call) => Promise<Answer>) | undefined
  return createWire({
    moduleId: options.moduleId,
    ledger,
    audit,
    codec: nativeCodec,
    now: () => Date.now(),
    after: (ms, run) => nodeRuntime.after(ms, run),
    requestId: () => randomUUID(),
    metrics: async () => ({ contentType: metrics.contentType, text: await metrics.text() }),
    ready: async () => ({ ...readiness.now(), protections: await protections.now() }),
    // Loaded when it is asked for: most tenants never are.
    async mcp(call) {
      const { mcpServer } = await import('./mcp/server.ts')
      answerMcp ??= mcpServer(call.options)
      return answerMcp(call)
    },
    version: VERSION,
    ...(options.report === undefined ? {} : { report: options.report }),
    limits: { maxPayload: ledger.limits.maxPayloadBytes, maxBatch: ledger.limits.maxBatchRecords },
  })
}
