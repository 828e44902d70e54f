/** The options of a wire, and the arguments and results of a route's handler. */
import type { SearchField } from '@service-fs/format/json-fields'
import type { Selection } from '@service-fs/format/selection'
import type { Ledger } from '@service-fs/ledger/ledger'
import type { Codec } from '@service-fs/tlog/codec'

import type { Authors } from './authors.ts'
import type { AppendReads } from './append-reads.ts'
import type { Followers } from './followers.ts'
import type { Limits } from './limits.ts'
import type { PackMaker, Packs } from './packs.ts'
import type { Coding, Query, WireRequest, WireResponse } from './request.ts'
import type { SearchIndex } from './search-page.ts'
import type { Trees } from './shown-trees.ts'

/** The part of a ledger that the wire uses. */
export type WireLedger = Pick<
  Ledger,
  | 'origin'
  | 'vkeys'
  | 'size'
  | 'checkpoint'
  | 'append'
  | 'appendFresh'
  | 'record'
  | 'entryById'
  | 'records'
  | 'hashTile'
  | 'tileHash'
  | 'bundle'
  | 'tileBytes'
  | 'bundleBytes'
  | 'entries'
  | 'inclusionProof'
  | 'consistencyProof'
  | 'tlogProof'
  | 'grown'
  | 'clock'
  | 'correctClock'
  | 'stateDuty'
>

export interface WireOptions {
  /** The tenant: `[a-z0-9][a-z0-9-]{0,62}`. */
  moduleId: string
  ledger: WireLedger
  /** The audit sub-ledger, which records reads. Without it the ledger is public: reads are not recorded. */
  audit?: WireLedger | undefined
  /** Whether reads of the ledger are public, and so not recorded although there is an audit sub-ledger. Default: false. */
  publicReads?: boolean
  codec: Codec
  /** Returns the time in milliseconds since 1970, for the `when` of an audit entry. */
  now(): number
  /** Calls `run` once after `ms` milliseconds. The returned function cancels it. The timer must not keep the process alive. */
  after(ms: number, run: () => void): () => void
  /** Returns a globally unique identifier of at most 64 visible ASCII characters. It becomes part of an audit entry's id. */
  requestId(): string
  /** Returns the text for Prometheus. If absent, /metrics is 404. */
  metrics?(): Promise<{ contentType: string; text: string }>
  /** Reports whether the server is ready, for /readyz. */
  ready(): Promise<Readiness>
  /** Answers POST /mcp. If absent, /mcp is 404. */
  mcp?(call: Call): Promise<Answer>
  /** Begins an examiner's pack of the ledger. If absent, /v1/examine is 501. */
  examine?(selection: Selection): Promise<PackMaker>
  /** The second trees of the ledger. If absent, /v1/trees and /v1/rehash are 501. */
  trees?: Trees
  /** The search index, which suggests where to look for records. Default: a search reads the entries in order. */
  search?: { readonly ledger: SearchIndex; readonly audit: SearchIndex }
  /** Verifies the signatures of authors. If absent, an append with a signature is 501. */
  authors?: Authors
  /** The fields of records that a search may compare. If absent, a search with conditions on fields is 501. */
  searchFields?: readonly SearchField[]
  limits?: Partial<Limits>
  /** Whether to scan the bytes of a JSON body before it is parsed: faster where JavaScript is compiled, slower in an interpreter. */
  scansBytes?: boolean
  /** Content codings of request bodies that the server decodes before it calls the wire. Default: none. */
  codings?: readonly Coding[]
  /** The software version that /v1/contract shows. */
  version: string
  /** Logs an error that became a 5xx response. Not called for `busy`, `not-ready` and `read-only`. */
  report?(error: unknown, requestId: string): void
}

/** The result of /readyz. */
export interface Readiness {
  ready: boolean
  /** Why the server is not ready. */
  reason?: string
  /** The protections of the ledger's files that are in force, as JSON. */
  protections?: Readonly<Record<string, unknown>>
  /** What the background check of the sealed files has found, as JSON. Damage does not make the server unready. */
  scrub?: Readonly<Record<string, unknown>>
}

/** One request, as a handler gets it. */
export interface Call {
  readonly request: WireRequest
  /** The client's X-Foundry-Request-ID, or one made for the request. */
  readonly requestId: string
  readonly options: WireOptions
  readonly limits: Limits
  /** The tenant's ledger, or its audit sub-ledger for a route below /audit. */
  readonly ledger: WireLedger
  readonly isAudit: boolean
  readonly followers: Followers
  readonly appendReads: AppendReads
  readonly packs: Packs
  /** The parameters of the route's path, percent-decoded. */
  readonly params: Readonly<Record<string, string>>
  readonly query: Query
}

/** The content of a response, for the audit entry. */
export interface Shown {
  /** The range, cursor, index or tile. */
  readonly what: Readonly<Record<string, string | number | readonly string[]>>
  /** Number of records or entries that the body contains or reveals. */
  readonly entries: number
  /** `duplicate` or `conflict` for an append that revealed existing records. Default: `shown`. */
  readonly outcome?: 'duplicate' | 'conflict'
}

/** A response with a complete body. If `shown` is set, the wire records the read before it returns the response. */
export interface Answer extends WireResponse {
  body: string | Uint8Array
  shown?: Shown
}

/** A response whose body is a stream. It lasts until the client or the server ends it, and records the reads itself. */
export interface Streamed extends WireResponse {
  body: AsyncIterable<Uint8Array>
}

export type Handler = (call: Call) => Promise<Answer | Streamed>

/** Returns a JSON answer with `Cache-Control: no-store`. */
export function jsonAnswer(body: string | Uint8Array, shown?: Shown): Answer {
  return answer('application/json', body, shown)
}

/** Returns an answer of status 200 with `Cache-Control: no-store`. */
export function answer(contentType: string, body: string | Uint8Array, shown?: Shown): Answer {
  const headers = { 'content-type': contentType, 'cache-control': 'no-store' }
  return { status: 200, headers, body, compressible: true, ...(shown === undefined ? {} : { shown }) }
}
