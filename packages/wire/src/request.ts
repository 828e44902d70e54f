/** Requests and responses. A server (Node's HTTP server, or that of the protection domain) parses requests and sends responses. */
import type { Role } from './roles.ts'

/** Content codings that a server may decode before it calls the wire. */
export type Coding = 'gzip'

export const NDJSON = 'application/x-ndjson'
/** The media type of a framed batch. */
export const FRAMED = 'application/vnd.service-fs.batch'
export const TLOG_PROOF = 'text/x.tlog-proof'

export interface WireRequest {
  /** The method, in upper case. */
  method: string
  /** The request target: raw path and query, still percent-encoded. */
  target: string
  /** Returns the value of a header by its lower-case name, one character for each byte (Latin-1); undefined when absent. */
  header(name: string): string | undefined
  /** The complete body, within the limit of `bodyLimit`. */
  body: Uint8Array
  /** The content coding that the server has decoded: `body` is the decoded content. */
  decoded?: Coding
  /** The authenticated subject; `anonymous` when no credentials are configured. */
  subject?: string
  /** The client's address, or the network that is counted as one client; undefined when the server does not know it. */
  address?: string
  /** The roles of the subject for this tenant. Undefined when no credentials are configured: the subject may do everything. */
  roles?: readonly Role[]
  /** Reserves memory for a response of up to `bytes` bytes. Resolves when there is room, or rejects with a Problem. */
  reserve?(bytes: number): Promise<void>
  /** Receives the actual size of that response, before the read is recorded. */
  made?(bytes: number): void
  /** The protocol on top of HTTP that the client used, for the audit entry. */
  via?: 'mcp'
}

/** The part of a request that is known before its body. */
export type RequestHead = Pick<WireRequest, 'method' | 'target' | 'header' | 'subject' | 'roles'>

export interface WireResponse {
  status: number
  /** Lower-case names. */
  headers: Record<string, string>
  body: string | Uint8Array | AsyncIterable<string | Uint8Array>
  /** Whether compression can make the body smaller. */
  compressible?: boolean
}

/** Query parameters by name, percent-decoded. */
export interface Query {
  /** Returns the value of a parameter that is given at most once. */
  get(name: string): string | undefined
  /** Returns the values of a parameter in order. */
  all(name: string): readonly string[]
}

/**
 * Splits a request target into its path, still percent-encoded, and its query. Drops the authority of a URL (RFC 9112 §3.2.2).
 */
export function splitTarget(target: string): { path: string; query: string } {
  let start = 0
  if (!target.startsWith('/')) {
    const scheme = target.indexOf('://')
    if (scheme < 0) return { path: target, query: '' }
    start = target.indexOf('/', scheme + 3)
    if (start < 0) return { path: '/', query: '' }
  }
  const mark = target.indexOf('?', start)
  if (mark < 0) return { path: start === 0 ? target : target.slice(start), query: '' }
  return { path: target.slice(start, mark), query: target.slice(mark + 1) }
}

/** Reports whether `Accept` names the media type `wanted` with a quality above 0. Ignores wildcards. */
export function accepts(request: WireRequest, wanted: string): boolean {
  const accept = request.header('accept')
  if (accept === undefined || !accept.includes(wanted)) return false
  return accept.split(',').some((range) => {
    const [type, ...parameters] = range.split(';')
    if (type?.trim().toLowerCase() !== wanted) return false
    return !parameters.some((parameter) => /^\s*q=0(?:\.0*)?\s*$/i.test(parameter))
  })
}

/** Returns the media type of `Content-Type` in lower case, without parameters; undefined when absent. */
export function mediaType(request: Pick<WireRequest, 'header'>): string | undefined {
  const value = request.header('content-type')
  if (value === undefined || value === 'application/json') return value
  const end = value.indexOf(';')
  return (end < 0 ? value : value.slice(0, end)).trim().toLowerCase()
}
