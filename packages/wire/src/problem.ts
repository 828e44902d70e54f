/** Problem documents (RFC 9457). Only this file chooses the HTTP status of an error, for errors of all packages. */
import type { WireResponse } from './request.ts'

/** Members of a problem document beyond type, title, status, detail and code. */
export type Members = Readonly<Record<string, string | number | boolean | undefined>>

/** An error that the wire reports as a problem document. `code` is stable; docs/errors.md explains each one. */
export class Problem extends Error {
  readonly code: ProblemCode
  readonly members: Members

  constructor(code: ProblemCode, detail: string, members: Members = {}) {
    super(detail)
    this.name = 'Problem'
    this.code = code
    this.members = members
  }
}

interface Kind {
  readonly status: number
  readonly title: string
  /** Seconds after which the client may retry. */
  readonly retryAfter?: number
}

export type ProblemCode =
  | 'bad-request'
  | 'bad-record'
  | 'bad-signature'
  | 'module-id-missing'
  | 'module-id-ambiguous'
  | 'range'
  | 'unauthenticated'
  | 'module-id-mismatch'
  | 'forbidden'
  | 'signature-required'
  | 'no-tenant'
  | 'no-route'
  | 'not-found'
  | 'not-a-record'
  | 'audit-off'
  | 'method-not-allowed'
  | 'timeout'
  | 'conflict'
  | 'too-large'
  | 'target-too-long'
  | 'unsupported-media-type'
  | 'misdirected'
  | 'rate-limited'
  | 'headers-too-large'
  | 'internal'
  | 'not-implemented'
  | 'corrupt'
  | 'io'
  | 'signer'
  | 'stopped'
  | 'busy'
  | 'clock-behind'
  | 'clock-ahead'
  | 'closed'
  | 'not-ready'
  | 'tenant-unavailable'
  | 'issuer-unavailable'
  | 'full'
  | 'read-only'

/** All problem codes, with their statuses and titles. */
export const PROBLEMS: Readonly<Record<ProblemCode, Kind>> = {
  'bad-request': { status: 400, title: 'Malformed request' },
  'bad-record': { status: 400, title: 'Invalid record' },
  'bad-signature': { status: 400, title: 'Invalid signature of an author' },
  'module-id-missing': { status: 400, title: 'No tenant named' },
  'module-id-ambiguous': { status: 400, title: 'Two tenants named' },
  range: { status: 400, title: 'Out of range' },
  unauthenticated: { status: 401, title: 'No valid credentials' },
  'module-id-mismatch': { status: 403, title: 'Wrong tenant' },
  forbidden: { status: 403, title: 'Forbidden' },
  'signature-required': { status: 403, title: 'Signature of an author required' },
  'no-tenant': { status: 404, title: 'No such tenant' },
  'no-route': { status: 404, title: 'No such route' },
  'not-found': { status: 404, title: 'Not found' },
  'not-a-record': { status: 404, title: 'Not the first entry of a record' },
  'audit-off': { status: 404, title: 'No audit sub-ledger' },
  'method-not-allowed': { status: 405, title: 'Method not allowed' },
  timeout: { status: 408, title: 'Request timed out' },
  conflict: { status: 409, title: 'Identifier already in use' },
  'too-large': { status: 413, title: 'Too large' },
  'target-too-long': { status: 414, title: 'Request target too long' },
  'unsupported-media-type': { status: 415, title: 'Unsupported media type' },
  misdirected: { status: 421, title: 'Misdirected request' },
  'rate-limited': { status: 429, title: 'Too many requests', retryAfter: 1 },
  'headers-too-large': { status: 431, title: 'Header fields too large' },
  internal: { status: 500, title: 'Internal error' },
  corrupt: { status: 500, title: 'Stored data is corrupt' },
  io: { status: 500, title: 'Storage failure' },
  'not-implemented': { status: 501, title: 'Not implemented' },
  signer: { status: 500, title: 'Signing failed' },
  stopped: { status: 500, title: 'Ledger stopped' },
  busy: { status: 503, title: 'Server busy', retryAfter: 1 },
  'clock-behind': { status: 503, title: 'Clock behind the ledger', retryAfter: 10 },
  'clock-ahead': { status: 503, title: 'Clock too far ahead', retryAfter: 60 },
  closed: { status: 503, title: 'Ledger closing', retryAfter: 1 },
  'not-ready': { status: 503, title: 'Not ready', retryAfter: 1 },
  'tenant-unavailable': { status: 503, title: 'Tenant unavailable', retryAfter: 1 },
  'issuer-unavailable': { status: 503, title: 'Token issuer unavailable', retryAfter: 3 },
  'read-only': { status: 503, title: 'Ledger is read-only' },
  full: { status: 507, title: 'Disk full' },
}

/** Details of server errors. The message of the error itself may name files of the machine, so clients do not get it. */
const GENERIC: Partial<Record<ProblemCode, string>> = {
  internal: 'unexpected error; see the log',
  corrupt: 'stored data is corrupt; nothing was changed; run `service-fs verify` and see the log',
  io: 'storage failure; see the log; acknowledged records are intact',
  stopped: 'the ledger accepts no appends; see /readyz; acknowledged records are intact and readable',
  closed: 'the ledger is closing',
  signer: 'signing failed; nothing was recorded; see the log',
  'read-only':
    'the ledger or its audit sub-ledger is read-only: it accepts no writes and shows only durable records; see /readyz; acknowledged records are intact',
  full: 'the disk of the ledger or of its audit sub-ledger is full; retry when it has room; acknowledged records are intact',
}

/**
 * Returns the problem for any error. It identifies the errors of other packages by class name and `code`, not by class, because a
 * bundle may contain two copies of a class.
 */
export function problemOf(error: unknown): Problem {
  if (error instanceof Problem) return error
  if (!(error instanceof Error)) return generic('internal')
  const code = 'code' in error ? String(error.code) : ''
  if (error.name === 'LedgerError') return ledgerProblem(error, code)
  if (error.name === 'StorageError') return generic(STORAGE[code] ?? 'internal')
  if (error.name === 'FormatError' || error.name === 'TlogError') return generic('corrupt')
  return generic('internal')
}

/** LedgerError codes whose message is for the client. */
const LEDGER: Readonly<Record<string, ProblemCode>> = {
  conflict: 'conflict',
  'not-found': 'not-found',
  'not-a-record': 'not-a-record',
  range: 'range',
  'bad-record': 'bad-record',
  'bad-signature': 'bad-signature',
  'too-large': 'too-large',
  busy: 'busy',
  'not-ready': 'not-ready',
  'clock-behind': 'clock-behind',
  'clock-ahead': 'clock-ahead',
}

/** StorageError codes. Any other code, such as for a bad path, is a broken invariant: `internal`. */
const STORAGE: Readonly<Record<string, ProblemCode>> = {
  full: 'full',
  'read-only': 'read-only',
  io: 'io',
  locked: 'io',
  closed: 'closed',
  corrupt: 'corrupt',
}

function ledgerProblem(error: Error, code: string): Problem {
  const known = LEDGER[code]
  if (known === undefined) return failureProblem(error, code)
  const index = 'index' in error ? error.index : undefined
  return new Problem(known, error.message, typeof index === 'number' ? { cursor: index + 1 } : {})
}

/** Maps `stopped` by its cause: a full disk is 507, most other causes are 500. */
function failureProblem(error: Error, code: string): Problem {
  if (code !== 'stopped') return generic(OWN.find((own) => own === code) ?? 'internal')
  const cause = error.cause instanceof Error ? problemOf(error.cause).code : undefined
  return generic(cause === 'full' || cause === 'read-only' || cause === 'closed' ? cause : 'stopped')
}

/** LedgerError codes that are problem codes, but whose message is for the log only. */
const OWN: readonly ProblemCode[] = ['full', 'read-only', 'closed', 'signer', 'corrupt']

/** Reports whether to log a problem: a 5xx that is neither due to load nor to a state that was logged when it began. */
export function isFailure({ code }: Problem): boolean {
  return PROBLEMS[code].status >= 500 && !EXPECTED.has(code)
}

const EXPECTED: ReadonlySet<ProblemCode> = new Set(['busy', 'not-ready', 'read-only'])

/** Returns the response for a problem. The response to HEAD has the same headers; the server leaves out the body. */
export function problemResponse(problem: Problem): WireResponse & { body: string } {
  const kind: Kind = PROBLEMS[problem.code]
  const headers: Record<string, string> = {
    'content-type': 'application/problem+json',
    'cache-control': 'no-store',
  }
  const retryAfter = problem.members['retry_after'] ?? kind.retryAfter
  if (retryAfter !== undefined) headers['retry-after'] = String(retryAfter)
  const allow = problem.members['allow']
  if (typeof allow === 'string') headers['allow'] = allow
  // RFC 9110 §15.5.16: the codings that the server accepts.
  const codings = problem.members['accept_encoding']
  if (typeof codings === 'string') headers['accept-encoding'] = codings
  const challenge = challengeOf(problem)
  if (challenge !== undefined) headers['www-authenticate'] = challenge
  const document = {
    type: `urn:service-fs:problem:${problem.code}`,
    title: kind.title,
    status: kind.status,
    detail: problem.message,
    code: problem.code,
    ...problem.members,
  }
  return { status: kind.status, headers, body: JSON.stringify(document) }
}

/** Returns the WWW-Authenticate challenge (RFC 6750 §3). */
function challengeOf({ code, members }: Problem): string | undefined {
  if (code === 'forbidden') return 'Bearer realm="service-fs", error="insufficient_scope"'
  if (code !== 'unauthenticated') return undefined
  return `Bearer realm="service-fs"${members['error'] === 'invalid_token' ? ', error="invalid_token"' : ''}`
}

function generic(code: ProblemCode): Problem {
  return new Problem(code, GENERIC[code] ?? PROBLEMS[code].title)
}
