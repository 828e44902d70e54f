/** The limits of the wire protocol, and the largest response body that each route can make within them. */
import { MAX_VALUES } from './canonicaljson.ts'

/** Sizes are in bytes, unless a comment says otherwise. */
export interface Limits {
  /** Payload of one record. */
  maxPayload: number
  /** Records of a batch. */
  maxBatch: number
  /** Body of a batch. */
  maxBatchBytes: number
  /** JSON values and member names in the body of an append. */
  maxValues: number
  /** Records in one response of /v1/entries if the request has no `limit`. */
  defaultEntries: number
  /** Largest `limit` that /v1/entries accepts. */
  maxEntries: number
  /**
   * Entries that one request of /v1/search reads; each 4 KiB of an entry count as one more entry. The response then has the cursor to
   * resume from.
   */
  searchEntries: number
  /** JSON of the records in one response of /v1/entries: the record that reaches this size is the last. */
  maxEntriesBytes: number
  /** Conflicts (409) a minute that a subject without a read role may cause. */
  conflictsPerMinute: number
  /** Duplicates a minute that such a subject may cause, counted by record. */
  duplicatesPerMinute: number
  /** Examiner's packs at the same time. */
  maxPacks: number
  /** Followers at the same time. */
  maxFollowers: number
  /** Bytes of events in one delivery to a follower: the record that reaches this size is the last. */
  followBytes: number
  /** Bytes of events kept for all followers. A follower that is further behind reads the ledger itself. */
  followWindow: number
  /** Milliseconds between two heartbeats to a follower. */
  heartbeatMs: number
  /** Milliseconds after which a follower must reconnect, so that the server checks its credentials again. */
  maxFollowMs: number
}

export const DEFAULT_LIMITS: Limits = {
  maxPayload: 16 * 2 ** 20,
  maxBatch: 4096,
  maxBatchBytes: 48 * 2 ** 20,
  maxValues: MAX_VALUES,
  defaultEntries: 100,
  maxEntries: 1000,
  searchEntries: 16_384,
  maxEntriesBytes: 32 * 2 ** 20,
  conflictsPerMinute: 300,
  duplicatesPerMinute: 60_000,
  maxPacks: 2,
  maxFollowers: 1024,
  followBytes: 256 * 1024,
  followWindow: 4 * 2 ** 20,
  heartbeatMs: 15_000,
  maxFollowMs: 3_600_000,
}

/** JSON of a hit: an identifier of 256 bytes and a type of 255, of which each character may be escaped, and a few numbers. */
const HIT_BYTES = 1280

/** Returns an upper bound of a record's JSON, for a payload of `bytes` in base64: the header may be full, and need escapes. */
const inJson = (bytes: number): number => Math.ceil(bytes / 3) * 4 + 8192

/**
 * Returns an upper bound, in bytes, of the response body of a route; undefined for a response that is always small. A server
 * that holds responses in memory reserves this much before it makes one.
 */
export function answerSize({ pattern }: { readonly pattern: string }, limits: Limits): number | undefined {
  const path = pattern.startsWith('/audit/') ? pattern.slice('/audit'.length) : pattern
  // The record that reaches the limit is still part of the page.
  if (path === '/v1/entries' || path === '/mcp') return limits.maxEntriesBytes + inJson(limits.maxPayload)
  if (path === '/v1/entries/{cursor}' || path === '/v1/records/{payload_id}') return inJson(limits.maxPayload)
  if (path === '/v1/search') return limits.maxEntries * HIT_BYTES
  // 256 entries of at most 64 KiB (c2sp.org/tlog-tiles, "Log entries").
  if (path === '/tile/{path...}') return inJson(256 * 64 * 1024)
  return undefined
}
