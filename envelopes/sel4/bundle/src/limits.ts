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

/** What a commit has besides the lines of its payloads: headers of entries, the right edge, the checkpoint. */
const COMMIT_SLACK = 4 * MIB

/** A commit goes through the data region in one message, so one batch is smaller than it. */
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
    maxEntriesBytes: 8 * MIB,
    maxFollowers: Math.floor(limits.connections / 4),
    followBytes: 64 * 1024,
    followWindow: MIB,
  }
}

/** A payload is a third longer in the lines of a commit. */
function largestPayload(regionBytes: number): number {
  return Math.floor((regionBytes - COMMIT_SLACK) * 0.75)
}
