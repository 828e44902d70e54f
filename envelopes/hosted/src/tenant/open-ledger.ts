/** Opens one of a tenant's ledgers from its directory, for writing or read-only. */
import { join } from 'node:path'
import { codeOf } from '@service-fs/format/errors'
import { LedgerError } from '@service-fs/ledger/errors'
import { ShorterLedger } from '@service-fs/ledger/high-water-mark'
import type { Ledger } from '@service-fs/ledger/ledger'
import type { LedgerLimits } from '@service-fs/ledger/limits'
import { openLedger, openReadOnlyLedger } from '@service-fs/ledger/open'
import type { StorageCapability } from '@service-fs/storage/capability'
import { openPosixReadOnly, openPosixStorage } from '@service-fs/storage-posix/posix'
import type { FileFlags } from '@service-fs/storage-posix/flags'
import { nativeCrypto } from '@service-fs/native/native'
import { verifierFromVkey, type KeySigner } from '@service-fs/tlog/keys'
import type { Verifier } from '@service-fs/tlog/note'
import { openRecordIndex } from './records/record-index.ts'
import { indexProgress } from './index-progress.ts'
import { openSigner, refuseUsed } from './keys.ts'
import type { LogFields } from '../process/log.ts'
import { MarkFile, type AcceptSizes } from './mark-file.ts'
import type { LedgerName, Metrics } from './metrics.ts'
import { nodeRuntime } from '@service-fs/native/runtime'
import { ServedLedger } from './served-ledger.ts'
import { scrubOf, type ScrubSettings } from './scrub.ts'
import { unwritableBecause, whyUnwritable } from './writable.ts'

export interface LedgerPlace {
  name: LedgerName
  dir: string
  origin: string
  /** The path of its private key. */
  key: string
  /** Whether a missing key may be created. */
  mayCreate: boolean
  limits?: Partial<LedgerLimits>
}

export interface LedgerSettings {
  metrics: Metrics
  /** Returns the file flags to use; called each time the ledger is opened for writing. @throws HostedError `immutable` */
  flags: () => Promise<FileFlags | undefined>
  /**
   * Whether the operator requested read-only mode, which accepts a damaged tail. The main ledger is then not written; the audit
   * sub-ledger still is, because every answered read must be recorded.
   */
  readOnly: boolean
  /** Tree sizes that the operator accepts, and the command that accepts them. */
  acceptSizes: AcceptSizes
  acceptCommand: (sizes: AcceptSizes) => string
  warn: (message: string, fields: LogFields) => void
  /** How sealed files are checked in the background. */
  scrub?: ScrubSettings | undefined
  /** Called when the ledger accepts appends again. */
  again: () => void
  /** Called when the ledger can be opened neither for writing nor read-only. */
  failed: (error: unknown) => void
}

/** Opens a ledger. The caller holds the lock of the tenant's directory. @throws the errors of openTenant() */
export function openServedLedger(place: LedgerPlace, settings: LedgerSettings): Promise<ServedLedger> {
  const { name, dir } = place
  const { readOnly, warn } = settings
  const asked = new LedgerError('read-only', 'the ledger was opened read-only (--read-only)')
  let said: string | undefined
  return ServedLedger.open({
    writable: (stopped) => openWritable(place, settings, stopped),
    readOnly: (why, known) => openForReading(place, settings, { why, known, damaged: readOnly }),
    async unwritable(error) {
      const why = await unwritableBecause(error, dir)
      return why ?? (readOnly && isCorrupt(error) ? asked : undefined)
    },
    shorter(error) {
      if (!(error instanceof ShorterLedger)) return undefined
      // The message has paths and a command, which are for the operator. Every client may see the reason.
      warn('the ledger is shorter than what was acknowledged', { ledger: name, reason: error.message })
      return new LedgerError('read-only', 'the ledger was opened read-only', { cause: error })
    },
    probe: () => whyUnwritable(dir),
    onlyRead: readOnly && name === 'main' ? asked : undefined,
    after: (ms, run) => nodeRuntime.after(ms, run),
    changed(why, status) {
      if (why === undefined) {
        warn('the ledger takes appends again', { ledger: name, size: status.size })
        settings.again()
      } else if (status.reason !== said) {
        warn('the ledger takes no appends', { ledger: name, size: status.size, reason: status.reason })
      }
      said = why === undefined ? undefined : status.reason
    },
    failed: settings.failed,
  })
}

async function openWritable(
  { name, dir, origin, key, mayCreate, limits }: LedgerPlace,
  { metrics, flags, acceptSizes, acceptCommand, scrub, warn }: LedgerSettings,
  stopped: (why: LedgerError) => void,
): Promise<Ledger> {
  const opened: { close(): Promise<void> }[] = []
  try {
    const synced = metrics.synced(name)
    const storage = await openPosixStorage(dir, { flags: await flags(), lock: false, synced })
    opened.push(storage)
    if ((await storage.read({ kind: 'checkpoint' })) === undefined) await refuseUsed(key, dir)
    const signer = await openSigner(key, origin, mayCreate)
    const identity = identityOf(metrics.timed(storage, name), signer)
    const mark = markOf({ name, key, origin }, identity.verifiers, acceptCommand)
    opened.push(mark)
    const index = openRecordIndex(join(dir, 'cache', 'records'), {
      report: (reason) => warn('the record index on disk', { ledger: name, reason }),
    })
    opened.push(index)
    const ledger = await openLedger({
      ...identity,
      origin,
      index,
      mark,
      acceptSize: acceptSizes[name],
      observer: {
        ...metrics.observer(name),
        stopped,
        accepted: ({ size, reason }) => warn('a tree was accepted', { ledger: name, size, reason }),
        indexing: indexProgress(name, warn),
      },
      scrub: scrubOf({ name, dir, origin }, warn, scrub),
      ...(limits === undefined ? {} : { limits }),
    })
    opened.push(ledger)
    return ledger
  } catch (error) {
    for (const one of opened.reverse()) await one.close().catch(() => undefined)
    throw error
  }
}

/** Opens a ledger read-only. Its record index is built in memory and takes about 100 bytes per record. */
async function openForReading(
  { name, dir, origin, key, limits }: LedgerPlace,
  { metrics, acceptCommand, warn }: LedgerSettings,
  how: { why: LedgerError; known: number; damaged: boolean },
): Promise<Ledger> {
  const storage = await openPosixReadOnly(dir)
  try {
    const signer = await openSigner(key, origin, false)
    const identity = identityOf(metrics.timed(storage, name), signer)
    const options = {
      ...identity,
      origin,
      mark: markOf({ name, key, origin }, identity.verifiers, acceptCommand),
      observer: { ...metrics.observer(name), indexing: indexProgress(name, warn) },
      ...(limits === undefined ? {} : { limits }),
    }
    return await openReadOnlyLedger(options, how)
  } catch (error) {
    await storage.close()
    throw error
  }
}

function markOf(
  { name, key, origin }: Pick<LedgerPlace, 'name' | 'key' | 'origin'>,
  verifiers: Verifier[],
  acceptCommand: LedgerSettings['acceptCommand'],
): MarkFile {
  return new MarkFile({ key, origin, verifiers, accept: (size) => acceptCommand({ [name]: size }) })
}

function identityOf(storage: StorageCapability, signer: KeySigner) {
  return {
    storage,
    signer,
    verifiers: [verifierFromVkey(signer.vkey, nativeCrypto)],
    runtime: nodeRuntime,
  }
}

function isCorrupt(error: unknown): boolean {
  return codeOf(error) === 'corrupt'
}
