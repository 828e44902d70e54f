/** GET /v1/contract: version, tenant, origin, verifier keys and limits of a ledger. */
import { isRecorded } from './audit.ts'
import { jsonAnswer, type Answer, type Call } from './call.ts'

export async function contract(call: Call): Promise<Answer> {
  const { ledger, limits, options } = call
  const { audit } = options
  const body = {
    version: options.version,
    module_id: options.moduleId,
    origin: ledger.origin,
    vkeys: ledger.vkeys,
    hash_algorithms: ['sha-256'],
    reads: isRecorded({ options, isAudit: false }) ? 'recorded' : 'public',
    audit: audit === undefined ? null : { origin: audit.origin, vkeys: audit.vkeys },
    limits: {
      payload_bytes: limits.maxPayload,
      payload_id_bytes: 256,
      type_bytes: 255,
      append_lines: limits.maxBatch,
      append_bytes: limits.maxBatchBytes,
      append_values: limits.maxValues,
      entries_default: limits.defaultEntries,
      entries_max: limits.maxEntries,
      entries_bytes: limits.maxEntriesBytes,
      followers: limits.maxFollowers,
    },
  }
  return jsonAnswer(JSON.stringify(body), { what: {}, entries: 0 })
}
