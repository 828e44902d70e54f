/** One tenant: its ledger and its audit sub-ledger on a disk of PSDB, with the wire over both. */
import { visibleLine } from '@service-fs/format/visible'
import { LedgerError } from '@service-fs/ledger/errors'
import type { Accepted } from '@service-fs/ledger/high-water-mark'
import type { Ledger } from '@service-fs/ledger/ledger'
import { openLedger, openReadOnlyLedger } from '@service-fs/ledger/open'
import type { LedgerOptions } from '@service-fs/ledger/options'
import { Readiness } from '@service-fs/ledger/readiness'
import type { Runtime } from '@service-fs/ledger/runtime'
import type { StorageCapability } from '@service-fs/storage/capability'
import type { PsdbStat } from '@service-fs/storage-psdb/storage'
import { createWire, type Wire } from '@service-fs/wire/handle'
import type { Config, Host, Limits } from './host.ts'
import { ledgerLimits, wireLimits } from './limits.ts'
import { metricsText, PROMETHEUS_TEXT, type Requests } from './metrics.ts'
import type { Marks } from './marks.ts'
import { hostVerifier, type Signatures } from './signing.ts'
import { uuids } from './uuid.ts'

/** The storage of one ledger, with the disk's status. */
export type Storage = StorageCapability & { stat(): Promise<PsdbStat> }

export interface TenantOptions {
  host: Host
  config: Config
  limits: Limits
  runtime: Runtime
  signatures: Signatures
  marks: Marks
  main: Storage
  audit: Storage
  requests: Requests
  /** Returns the number of open connections, for /metrics. */
  connections(): number
  report(error: unknown, requestId?: string): void
}

export interface Tenant {
  readonly wire: Wire
  /** Closes both ledgers. */
  close(): Promise<void>
}

/** Opens or creates both ledgers. @throws LedgerError `corrupt`; StorageError */
export async function openTenant(options: TenantOptions): Promise<Tenant> {
  const { origin } = options.config
  // Create the audit ledger first, so that a ledger always has its audit ledger.
  const audit = await openNumbered(options, 1, `${origin}/audit`, options.audit)
  try {
    const main = await openNumbered(options, 0, origin, options.main)
    return { wire: wireOf(options, main, audit), close: () => closeBoth(audit, main) }
  } catch (error) {
    await audit.close().catch(() => undefined)
    throw error
  }
}

function openNumbered(
  options: TenantOptions,
  number: 0 | 1,
  origin: string,
  storage: StorageCapability,
): Promise<Ledger> {
  const { host, config, limits, runtime, signatures, marks } = options
  const vkey = config.vkeys[number]
  const known = config.marks?.[number]
  const ledger: LedgerOptions = {
    storage,
    origin,
    signer: signatures.signer(number, vkey),
    verifiers: [hostVerifier(host, vkey, runtime.hasher, runtime.codec)],
    runtime,
    limits: ledgerLimits(limits, config.regionBytes),
    observer: {
      accepted: (accepted) => host.log(acceptedLine(host.now(), number === 0 ? 'main' : 'audit', accepted)),
    },
    ...(known === undefined ? {} : { mark: marks.mark(number, known), acceptSize: known.accept }),
  }
  return config.readsOn === true ? openOrRead(ledger, (error) => options.report(error)) : openLedger(ledger)
}

function acceptedLine(now: number, ledger: string, { size, reason }: Accepted): string {
  const line = { time: new Date(now).toISOString(), level: 'warn', ledger, size, reason }
  return visibleLine(JSON.stringify({ ...line, message: 'a tree was accepted' }))
}

/** Opens a ledger for appends, or read-only if it lost acknowledged entries. @throws like openLedger() if the ledger is corrupt */
async function openOrRead(options: LedgerOptions, report: (error: unknown) => void): Promise<Ledger> {
  try {
    return await openLedger(options)
  } catch (error) {
    if (!(error instanceof LedgerError) || error.code !== 'corrupt') throw error
    const why = new LedgerError('read-only', error.message, { cause: error })
    let ledger: Ledger
    try {
      ledger = await openReadOnlyLedger(options, { why })
    } catch {
      // A corrupt ledger cannot be read either. The first error says why.
      throw error
    }
    report(error)
    return ledger
  }
}

async function closeBoth(audit: Ledger, main: Ledger): Promise<void> {
  try {
    await audit.close()
  } finally {
    await main.close()
  }
}

function wireOf(options: TenantOptions, main: Ledger, audit: Ledger): Wire {
  const { host, config, runtime } = options
  const readiness = new Readiness(main, audit)
  const wire: Wire = createWire({
    moduleId: config.moduleId,
    ledger: main,
    audit,
    codec: runtime.codec,
    now: () => host.now(),
    after: (ms, run) => runtime.after(ms, run),
    requestId: uuids(host),
    metrics: async () => ({
      contentType: PROMETHEUS_TEXT,
      text: metricsText({ main, audit }, options.requests, await options.main.stat(), {
        connections: options.connections(),
        followers: wire.followers,
      }),
    }),
    ready: () => Promise.resolve(readiness.now()),
    version: config.version,
    report: (error, requestId) => options.report(error, requestId),
    limits: wireLimits(options.limits, main.limits),
  })
  return wire
}
