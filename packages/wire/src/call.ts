/** What a route's handler is given and gives back. */
import type { Ledger } from '@service-fs/ledger/ledger'
import type { Codec } from '@service-fs/tlog/codec'

import type { AppendReads } from './append-reads.ts'
import type { Followers } from './followers.ts'
import type { Limits } from './limits.ts'
import type { Coding, Query, WireRequest, WireResponse } from './request.ts'

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
