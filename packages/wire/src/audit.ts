/** Recording reads: the audit entry is durable before what was read is shown. */
import { canonicalJson } from './canonicaljson.ts'
import type { Answer, WireOptions } from './call.ts'
import type { WireRequest } from './request.ts'

export const READ_TYPE = 'application/vnd.service-fs.read+json'

/** Who read what. */
export interface Read {
  request: WireRequest
  /** The route's pattern. */
  route: string
  requestId: string
}

/**
 * Records a read in the audit ledger and returns the index of its entry; undefined when the ledger is public.
 * Fails when it cannot be recorded: then nothing may be shown.
 *
 * The entry's id ends in an identifier made for this read alone, so that two reads under one X-Foundry-Request-ID are two entries.
 */
export async function recordRead(
  read: Read,
  answer: Answer,
  options: WireOptions,
): Promise<number | undefined> {
  const { audit } = options
  const { shown } = answer
  if (shown === undefined) throw new Error(`${read.route}: a recorded route that does not say what it shows`)
  if (audit === undefined) return undefined
  const { via } = read.request
  const isHead = read.request.method === 'HEAD'
  const text = canonicalJson({
    ...shown.what,
    subject: read.request.subject ?? 'anonymous',
    request_id: read.requestId,
    method: read.request.method,
    route: read.route,
    entries: isHead ? 0 : shown.entries,
    bytes: isHead ? 0 : answer.body.length,
    ...(via === undefined ? {} : { via }),
    outcome: 'shown',
    when: new Date(options.now()).toISOString(),
  })
  const id = `read-${read.requestId}-${options.requestId()}`
  const { entries } = await audit.append([{ id, type: READ_TYPE, payload: options.codec.utf8Encode(text) }])
  return entries[0]?.index
}
