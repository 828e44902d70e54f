/** What a route's handler is given and gives back. */
import type { Ledger } from '@service-fs/ledger/ledger'
import type { Codec } from '@service-fs/tlog/codec'

import type { Coding } from './body-meaning.ts'
import { MAX_VALUES } from './canonicaljson.ts'
import type { AppendReads } from './append-reads.ts'
import type { Followers } from './followers.ts'
import type { Query, WireRequest, WireResponse } from './request.ts'

/** What the wire uses of a ledger. */
export type WireLedger = Pick<
  Ledger,
  | 'origin'
  | 'vkeys'
  | 'size'
  | 'checkpoint'
  | 'append'
  | 'appendFresh'
  | 'record'
  | 'recordById'
  | 'records'
  | 'hashTile'
  | 'bundle'
  | 'inclusionProof'
  | 'consistencyProof'
  | 'tlogProof'
  | 'grown'
  | 'clock'
  | 'correctClock'
>

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

export interface WireOptions {
  /** The tenant: `[a-z0-9][a-z0-9-]{0,62}`. */
  moduleId: string
  ledger: WireLedger
  /** Where reads are recorded. Undefined: a public ledger, whose reads are not. */
  audit?: WireLedger | undefined
  codec: Codec
  /** Milliseconds since 1970, for the `when` of an audit entry. */
  now(): number
  /** Calls `run` once after `ms` milliseconds; the returned function calls it off. Must not keep the process alive. */
  after(ms: number, run: () => void): () => void
  /** A fresh identifier, unique among all that were ever made: it becomes part of an audit entry's id. Visible ASCII, at most 64. */
  requestId(): string
  /** Prometheus text; absent: /metrics is 404. */
  metrics?(): Promise<{ contentType: string; text: string }>
  ready(): Promise<Readiness>
  /** Answers POST /mcp; absent: /mcp is 404. */
  mcp?(call: Call): Promise<Answer>
  limits?: Partial<Limits>
  /** Content codings of request bodies that the adapter undoes; default: none. */
  codings?: readonly Coding[]
  /** Of the software, shown in /v1/contract. */
  version: string
  /** Told of every error that became a 5xx answer, for the log; not of `busy`, `not-ready` and `read-only`. */
  report?(error: unknown, requestId: string): void
}

/** What /readyz says. */
export interface Readiness {
  ready: boolean
  /** Why not. */
  reason?: string
  /** What keeps this ledger from being changed on this machine, as JSON: only what is in force. */
  protections?: Readonly<Record<string, unknown>>
}

/** One request on its way through a handler. */
export interface Call {
  readonly request: WireRequest
  /** The client's X-Foundry-Request-ID, or the one that was made for the request. */
  readonly requestId: string
  readonly options: WireOptions
  readonly limits: Limits
  /** The ledger that the route is about: the tenant's, or its audit sub-ledger under /audit. */
  readonly ledger: WireLedger
  readonly isAudit: boolean
  readonly followers: Followers
  readonly appendReads: AppendReads
  /** The pattern's parameters, percent-decoded. */
  readonly params: Readonly<Record<string, string>>
  readonly query: Query
}

/** What a read showed: goes into the audit entry. */
export interface Shown {
  /** Range, cursor, index or tile. */
  readonly what: Readonly<Record<string, string | number>>
  /** How many records or entries the body holds, or tells of. */
  readonly entries: number
  /** `duplicate`, `conflict`: what an append told of records that were there. Default: `shown`. */
  readonly outcome?: 'duplicate' | 'conflict'
}

/** A response. What says what it shows is recorded before it is given: its body is whole. */
export interface Answer extends WireResponse {
  body: string | Uint8Array
  shown?: Shown
}

/** An answer that goes on until its reader or the server ends it. What it shows, it records itself. */
export interface Streamed extends WireResponse {
  body: AsyncIterable<Uint8Array>
}

export type Handler = (call: Call) => Promise<Answer | Streamed>

/** A JSON answer that no cache keeps. */
export function jsonAnswer(body: string, shown?: Shown): Answer {
  return answer('application/json', body, shown)
}

/** An answer that no cache keeps. */
export function answer(contentType: string, body: string | Uint8Array, shown?: Shown): Answer {
  const headers = { 'content-type': contentType, 'cache-control': 'no-store' }
  return { status: 200, headers, body, compressible: true, ...(shown === undefined ? {} : { shown }) }
}
