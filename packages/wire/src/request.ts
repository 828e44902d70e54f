/** Requests and responses as the wire sees them: an adapter (Node's HTTP, the protection domain's) makes and sends them. */
import type { Role } from './roles.ts'

/** Content codings that a server may undo before the wire sees the body. */
export type Coding = 'gzip'

export const NDJSON = 'application/x-ndjson'
export const TLOG_PROOF = 'text/x.tlog-proof'

export interface WireRequest {
  /** Upper case, as on the request line. */
  method: string
  /** The request target: raw path and query, still percent-encoded. */
  target: string
  /** A header's value by lower-case name, one character a byte (Latin-1); undefined when absent. */
  header(name: string): string | undefined
  /** The whole body, already within the limits of `bodyLimit`. */
  body: Uint8Array
  /** The content coding that the adapter has undone: `body` is what was coded. */
  decoded?: Coding
  /** Who asks, once credentials are checked; `anonymous` when none are configured. */
  subject?: string
  /** What the subject may do with this tenant's ledger; undefined where no credentials are configured: everything. */
  roles?: readonly Role[]
  /** Called before an answer is made that may be large, with the bytes it may get: resolves when there is room, or throws a Problem. */
  reserve?(bytes: number): Promise<void>
  /** Called when it is made, before it is recorded, with the bytes it has. */
  made?(bytes: number): void
  /** The protocol on top of HTTP by which it came, for the audit entry. */
  via?: 'mcp'
}

/** What of a request is there before its body is. */
export type RequestHead = Pick<WireRequest, 'method' | 'target' | 'header' | 'subject' | 'roles'>

export interface WireResponse {
  status: number
  /** Lower-case names. */
  headers: Record<string, string>
  body: string | Uint8Array | AsyncIterable<string | Uint8Array>
  /** Whether a content coding is worth its while. */
  compressible?: boolean
}

/** Query parameters by name, percent-decoded. */
export type Query = ReadonlyMap<string, string>

/** The path (still percent-encoded) and the query of a request target. A full URL (absolute-form, RFC 9112 §3.2.2) loses its authority. */
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

/** Whether `Accept` names this media type, with a quality above 0. Wildcards do not count. */
export function accepts(request: WireRequest, wanted: string): boolean {
  const accept = request.header('accept')
  if (accept === undefined || !accept.includes(wanted)) return false
  return accept.split(',').some((range) => {
    const [type, ...parameters] = range.split(';')
    if (type?.trim().toLowerCase() !== wanted) return false
    return !parameters.some((parameter) => /^\s*q=0(?:\.0*)?\s*$/i.test(parameter))
  })
}

/** The media type of `Content-Type` without parameters, lower case; undefined when absent. */
export function mediaType(request: Pick<WireRequest, 'header'>): string | undefined {
  const value = request.header('content-type')
  if (value === undefined || value === 'application/json') return value
  const end = value.indexOf(';')
  return (end < 0 ? value : value.slice(0, end)).trim().toLowerCase()
}
