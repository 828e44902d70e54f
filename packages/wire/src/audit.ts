/** Recording reads: the audit entry is durable before what was read is shown. */
import { canonicalJson } from './canonicaljson.ts'
import type { Shown, WireOptions } from './call.ts'
import type { WireRequest } from './request.ts'

export const READ_TYPE = 'application/vnd.service-fs.read+json'

/** Who reads. */
export interface Reader {
  readonly request: WireRequest
  readonly requestId: string
}

/**
 * Records a read by the pattern `route`, whose answer has `bytes`, in the audit ledger and returns the index of its entry; undefined when the ledger is public.
 * Fails when it cannot be recorded: then nothing may be shown.
 *
 * The entry's id ends in an identifier made for this read alone, so that two reads under one X-Foundry-Request-ID are two entries, and
 * no identifier has to be looked up: reads go on while the record index of the audit ledger is made.
 */
export async function recordRead(
  { request, requestId }: Reader,
  route: string,
  shown: Shown,
  bytes: number,
  options: WireOptions,
): Promise<number | undefined> {
  const { audit } = options
  if (audit === undefined) return undefined
  const { via } = request
  const isHead = request.method === 'HEAD'
  const text = canonicalJson({
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
  })
  const id = `read-${requestId}-${options.requestId()}`
  const payload = options.codec.utf8Encode(text)
  const { entries } = await audit.appendFresh([{ id, type: READ_TYPE, payload }])
  return entries[0]?.index
}
