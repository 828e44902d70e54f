/** The limits of the wire protocol, and the largest answer that each route may make within them. */
import { MAX_VALUES } from './canonicaljson.ts'

/** Sizes in bytes unless named otherwise. */
export interface Limits {
  /** Of one record's payload. */
  maxPayload: number
  /** Records in one NDJSON append. */
  maxBatch: number
  /** Of the body of an NDJSON append. */
  maxBatchBytes: number
  /** Values and names of members in the JSON of an append. */
  maxValues: number
  /** Records in one answer of /v1/entries when `limit` is absent. */
  defaultEntries: number
  /** Largest `limit` of /v1/entries. */
  maxEntries: number
  /** /v1/entries ends an answer with the record that reaches this. */
  maxEntriesBytes: number
  /** 409 answers to appends of one subject that may not read. */
  conflictsPerMinute: number
  /** Records that were there already, in the answers to its appends. */
  duplicatesPerMinute: number
  /** Followers at a time. */
  maxFollowers: number
  /** Of events, in one batch of a follower: it ends with the record that reaches this. */
  followBytes: number
  /** Of events that are kept for all followers: who is further behind has its own read. */
  followWindow: number
  /** Milliseconds between two signs of life for who follows. */
  heartbeatMs: number
  /** Milliseconds after which a follower has to come again. */
  maxFollowMs: number
}

export const DEFAULT_LIMITS: Limits = {
  maxPayload: 16 * 2 ** 20,
  maxBatch: 4096,
  maxBatchBytes: 48 * 2 ** 20,
  maxValues: MAX_VALUES,
  defaultEntries: 100,
  maxEntries: 1000,
  maxEntriesBytes: 32 * 2 ** 20,
  conflictsPerMinute: 300,
  duplicatesPerMinute: 60_000,
  maxFollowers: 1024,
  followBytes: 256 * 1024,
  followWindow: 4 * 2 ** 20,
  heartbeatMs: 15_000,
  maxFollowMs: 3_600_000,
}

/** Bytes of base64 with the JSON around it, of so many bytes. */
const inJson = (bytes: number): number => Math.ceil(bytes / 3) * 4 + 4096

/** Bytes; undefined for an answer that is always small. */
export function answerSize({ pattern }: { readonly pattern: string }, limits: Limits): number | undefined {
  const path = pattern.startsWith('/audit/') ? pattern.slice('/audit'.length) : pattern
  // A page ends with the record that reaches its limit.
  if (path === '/v1/entries' || path === '/mcp') return limits.maxEntriesBytes + inJson(limits.maxPayload)
  if (path === '/v1/entries/{cursor}' || path === '/v1/records/{payload_id}') return inJson(limits.maxPayload)
  // 256 entries of at most 64 KiB (c2sp.org/tlog-tiles).
  if (path === '/tile/{path...}') return inJson(256 * 64 * 1024)
  return undefined
}
