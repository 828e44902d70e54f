import type { LedgerLimits } from '@service-fs/ledger/limits'
import type { Limits as WireLimits } from '@service-fs/wire/limits'
import type { Limits } from './host.ts'

const MIB = 2 ** 20

export const DEFAULT_LIMITS: Limits = {
  requestLine: 8 * 1024,
  head: 16 * 1024,
  headTimeout: 10_000,
  requestTimeout: 120_000,
  idleTimeout: 60_000,
  connections: 512,
  bodies: 64 * MIB,
  answers: 64 * MIB,
  drainTimeout: 10_000,
  payload: 16 * MIB,
  batch: 24 * MIB,
}

/** Room in a commit for everything but its payloads' lines: headers of entries, the right edge, the checkpoint. */
const COMMIT_SLACK = 4 * MIB

/** Returns the ledger's limits. A commit crosses the data region in one message, so a batch must be smaller than the region. */
export function ledgerLimits(limits: Limits, regionBytes: number): Partial<LedgerLimits> {
  return {
    maxPayloadBytes: Math.min(limits.payload, largestPayload(regionBytes)),
    queueBytes: regionBytes - COMMIT_SLACK,
    commitBytes: 2 * MIB,
    cacheBytes: 8 * MIB,
  }
}

export function wireLimits(limits: Limits, ledger: LedgerLimits): Partial<WireLimits> {
  return {
    maxPayload: ledger.maxPayloadBytes,
    maxBatch: ledger.maxBatchRecords,
    maxBatchBytes: limits.batch,
    searchEntries: 1024,
    maxEntriesBytes: 8 * MIB,
    maxFollowers: Math.floor(limits.connections / 4),
    followBytes: 64 * 1024,
    followWindow: MIB,
  }
}

/** Returns the largest payload. The base64 lines of a commit make it a third longer. */
function largestPayload(regionBytes: number): number {
  return Math.floor((regionBytes - COMMIT_SLACK) * 0.75)
}
