/** Records reads in the audit sub-ledger. The audit entry is durable before the server sends the response. */
import { canonicalJson } from './canonicaljson.ts'
import type { Call, Shown, WireOptions } from './call.ts'
import type { WireRequest } from './request.ts'

export const READ_TYPE = 'application/vnd.service-fs.read+json'

export interface Reader {
  readonly request: WireRequest
  readonly requestId: string
  /** Whether the client reads the audit sub-ledger. */
  readonly isAudit: boolean
}

/** Reports whether reads of the ledger of a call are recorded. Reads of the audit sub-ledger are always recorded. */
export function isRecorded({ options, isAudit }: Pick<Call, 'options' | 'isAudit'>): boolean {
  return options.audit !== undefined && (isAudit || options.publicReads !== true)
}

/**
 * Records a read through the route of pattern `route`, with a response body of `bytes` bytes. Returns the index of the audit entry,
 * or undefined when reads are public. If it rejects, the server must not send the response.
 *
 * The identifier of the entry ends in a fresh unique part. So two reads with the same X-Foundry-Request-ID are two entries, and the
 * append needs no lookup: reads work while the record index of the audit sub-ledger is being built.
 */
export async function recordRead(
  { request, requestId, isAudit }: Reader,
  route: string,
  shown: Shown,
  bytes: number,
  options: WireOptions,
): Promise<number | undefined> {
  const { audit } = options
  if (audit === undefined || !isRecorded({ options, isAudit })) return undefined
  const { via } = request
  const isHead = request.method === 'HEAD'
  const members = {
    ...shown.what,
    subject: request.subject ?? 'anonymous',
    request_id: requestId,
    method: request.method,
    route,
    entries: isHead ? 0 : shown.entries,
    bytes: isHead ? 0 : bytes,
    ...(via === undefined ? {} : { via }),
    outcome: shown.outcome ?? 'shown',
    when: new Date(options.now()).toISOString(),
  }
  const text = canonicalJson(sorted(members))
  const id = `read-${requestId}-${options.requestId()}`
  const payload = options.codec.utf8Encode(text)
  const { entries } = await audit.appendFresh([{ id, type: READ_TYPE, payload }])
  return entries[0]?.index
}

/** Returns the members in canonical order (RFC 8785, section 3.2.3), so that their text is canonical without further sorting. */
function sorted<T>(members: Readonly<Record<string, T>>): Record<string, T> {
  const ordered: Record<string, T> = {}
  for (const name of Object.keys(members).sort()) ordered[name] = members[name] as T
  return ordered
}
