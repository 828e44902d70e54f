/** Problem documents, RFC 9457. The HTTP status of every error, whichever layer it comes from, is chosen here and nowhere else. */
import type { WireResponse } from './request.ts'

/** Members of a problem document beyond type, title, status, detail and code. */
export type Members = Readonly<Record<string, string | number | boolean | undefined>>

/** Something the wire answers with a problem document. `code` is stable and one of PROBLEMS. */
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
  /** Seconds after which trying again makes sense. */
  readonly retryAfter?: number
}

export type ProblemCode =
  | 'bad-request'
  | 'bad-record'
  | 'module-id-missing'
  | 'module-id-ambiguous'
  | 'range'
  | 'unauthenticated'
  | 'module-id-mismatch'
  | 'forbidden'
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

/** Every problem code there is, with its status and title. */
export const PROBLEMS: Readonly<Record<ProblemCode, Kind>> = {
  'bad-request': { status: 400, title: 'The request is malformed' },
  'bad-record': { status: 400, title: 'The record is not acceptable' },
  'module-id-missing': { status: 400, title: 'The tenant is not named' },
  'module-id-ambiguous': { status: 400, title: 'Two tenants are named' },
  range: { status: 400, title: 'Beyond the tree' },
  unauthenticated: { status: 401, title: 'No valid credentials' },
  'module-id-mismatch': { status: 403, title: 'Another tenant' },
  forbidden: { status: 403, title: 'Not allowed' },
  'no-tenant': { status: 404, title: 'No such tenant' },
  'no-route': { status: 404, title: 'No such route' },
  'not-found': { status: 404, title: 'Not found' },
  'not-a-record': { status: 404, title: 'Not the first entry of a record' },
  'audit-off': { status: 404, title: 'No audit ledger' },
  'method-not-allowed': { status: 405, title: 'Method not allowed' },
  timeout: { status: 408, title: 'The request did not arrive in time' },
  conflict: { status: 409, title: 'Another record has this identifier' },
  'too-large': { status: 413, title: 'Too large' },
  'target-too-long': { status: 414, title: 'The request target is too long' },
  'unsupported-media-type': { status: 415, title: 'The body is not in a form that is understood' },
  misdirected: { status: 421, title: 'Not a name of this server' },
  'rate-limited': { status: 429, title: 'Too many requests', retryAfter: 1 },
  'headers-too-large': { status: 431, title: 'The header fields are too large' },
  internal: { status: 500, title: 'Internal error' },
  corrupt: { status: 500, title: 'What is stored does not add up' },
  io: { status: 500, title: 'The storage failed' },
  signer: { status: 500, title: 'The signer failed' },
  stopped: { status: 500, title: 'The ledger accepts no appends' },
  busy: { status: 503, title: 'Too many waiting requests', retryAfter: 1 },
  'clock-behind': { status: 503, title: 'The clock is behind the ledger', retryAfter: 10 },
  'clock-ahead': { status: 503, title: 'The clock is far ahead', retryAfter: 60 },
  closed: { status: 503, title: 'The ledger is closing', retryAfter: 1 },
  'not-ready': { status: 503, title: 'Not ready', retryAfter: 1 },
  'tenant-unavailable': { status: 503, title: 'The tenant does not answer', retryAfter: 1 },
  'issuer-unavailable': { status: 503, title: 'The issuer of the token does not answer', retryAfter: 3 },
  'read-only': { status: 503, title: 'The ledger can only be read' },
  full: { status: 507, title: 'The storage is full' },
}

/** What a server-side failure says: its message may name files of this machine, so it is not passed on. */
const GENERIC: Partial<Record<ProblemCode, string>> = {
  internal: 'the daemon met an error that it did not expect; its log says which',
  corrupt:
    'the stored ledger failed a check; nothing was changed; `service-fs verify` and the log of the daemon say where',
  io: 'the storage reported an error; the log of the daemon says which; what was acknowledged is intact',
  stopped:
    'the ledger stopped accepting appends; /readyz says why; what was acknowledged is intact and can be read',
  closed: 'the ledger is being closed',
  signer: 'no signature could be had, so nothing was recorded; the log of the daemon says why',
  'read-only':
    'the ledger or its audit can only be read now: what has to be written is refused, and so is what is not known to be durable; /readyz says why; what was acknowledged is intact',
  full: 'the disk of the ledger or of its audit is full: what needs it is refused until it has room; what was acknowledged is intact',
}

/** The problem that stands for any error. Lower layers' errors are told apart by class name and `code`, so a bundle may hold two copies. */
export function problemOf(error: unknown): Problem {
  if (error instanceof Problem) return error
  if (!(error instanceof Error)) return generic('internal')
  const code = 'code' in error ? String(error.code) : ''
  if (error.name === 'LedgerError') return ledgerProblem(error, code)
  if (error.name === 'StorageError') return generic(STORAGE[code] ?? 'internal')
  if (error.name === 'FormatError' || error.name === 'TlogError') return generic('corrupt')
  return generic('internal')
}

/** LedgerError codes whose message is for the client; the status is that of the problem. */
const LEDGER: Readonly<Record<string, ProblemCode>> = {
  conflict: 'conflict',
  'not-found': 'not-found',
  'not-a-record': 'not-a-record',
  range: 'range',
  'bad-record': 'bad-record',
  'too-large': 'too-large',
  busy: 'busy',
  'not-ready': 'not-ready',
  'clock-behind': 'clock-behind',
  'clock-ahead': 'clock-ahead',
}

/** StorageError codes. A conflict or a bad path below the ledger is a broken invariant, not the client's doing. */
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

/** A ledger that stopped says so; what stopped it decides between 507 and 500. */
function failureProblem(error: Error, code: string): Problem {
  if (code !== 'stopped') return generic(OWN.find((own) => own === code) ?? 'internal')
  const cause = error.cause instanceof Error ? problemOf(error.cause).code : undefined
  return generic(cause === 'full' || cause === 'read-only' || cause === 'closed' ? cause : 'stopped')
}

/** LedgerError codes that are problem codes, but whose message is for the log. */
const OWN: readonly ProblemCode[] = ['full', 'read-only', 'closed', 'signer', 'corrupt']

/** Whether the log should know: a 5xx answer that is neither a matter of load nor of a state that is logged when it begins. */
export function isFailure({ code }: Problem): boolean {
  return PROBLEMS[code].status >= 500 && !EXPECTED.has(code)
}

const EXPECTED: ReadonlySet<ProblemCode> = new Set(['busy', 'not-ready', 'read-only'])

/** A problem's response. HEAD has the same headers; the body is left to the caller. */
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
  // RFC 9110 §15.5.16: which codings would have been taken.
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

/** RFC 6750 §3: how to authenticate, and what was wrong with the token that was given. */
function challengeOf({ code, members }: Problem): string | undefined {
  if (code === 'forbidden') return 'Bearer realm="service-fs", error="insufficient_scope"'
  if (code !== 'unauthenticated') return undefined
  return `Bearer realm="service-fs"${members['error'] === 'invalid_token' ? ', error="invalid_token"' : ''}`
}

function generic(code: ProblemCode): Problem {
  return new Problem(code, GENERIC[code] ?? PROBLEMS[code].title)
}
