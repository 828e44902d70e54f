/** Sizes are in bytes, times in milliseconds. */
export interface LedgerLimits {
  /** The largest payload of a record. */
  maxPayloadBytes: number
  /** The most records in a batch. */
  maxBatchRecords: number
  /** Entries, and bytes of their base64 lines, that may wait for a commit; more are rejected with `busy`. */
  queueEntries: number
  queueBytes: number
  /** A commit that has this many entries, or bytes of their lines, takes no further batch. */
  commitEntries: number
  commitBytes: number
  /** The size of the cache of sealed tiles. */
  cacheBytes: number
  /** How far the clock may step back before appends are rejected. */
  clockToleranceMs: number
  /** How long appends and lookups wait for a record index that is behind the ledger. */
  indexWaitMs: number
  /** Appends are rejected when the clock is ahead of the time elapsed since the opening by more than this. */
  clockAheadMs: number
}

export const DEFAULT_LIMITS: LedgerLimits = {
  maxPayloadBytes: 16 * 1024 * 1024,
  maxBatchRecords: 4096,
  queueEntries: 16_384,
  queueBytes: 48 * 1024 * 1024,
  commitEntries: 4096,
  commitBytes: 4 * 1024 * 1024,
  cacheBytes: 20 * 1024 * 1024,
  clockToleranceMs: 10_000,
  indexWaitMs: 10_000,
  clockAheadMs: 86_400_000,
}
