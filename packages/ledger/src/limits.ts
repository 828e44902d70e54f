export interface LedgerLimits {
  /** Bytes of a record's payload. */
  maxPayloadBytes: number
  /** Records handed in at once. */
  maxBatchRecords: number
  /** Entries, and bytes of their base64 lines, that may wait for a commit; more is refused with `busy`. */
  queueEntries: number
  queueBytes: number
  /** Entries, and bytes of their lines, after which a commit takes no further batch. */
  commitEntries: number
  commitBytes: number
  /** Bytes of sealed tiles kept in memory. */
  cacheBytes: number
  /** How far the clock may step back before appends are refused, in milliseconds. */
  clockToleranceMs: number
  /** How long what needs the record index waits for one that is behind the ledger, in milliseconds. */
  indexWaitMs: number
  /** How far the clock may get ahead of the time that has passed since the opening before appends are refused, in milliseconds. */
  clockAheadMs: number
}

export const DEFAULT_LIMITS: LedgerLimits = {
  maxPayloadBytes: 16 * 1024 * 1024,
  maxBatchRecords: 4096,
  queueEntries: 16_384,
  queueBytes: 48 * 1024 * 1024,
  commitEntries: 4096,
  commitBytes: 4 * 1024 * 1024,
  cacheBytes: 8 * 1024 * 1024,
  clockToleranceMs: 10_000,
  indexWaitMs: 10_000,
  clockAheadMs: 86_400_000,
}
