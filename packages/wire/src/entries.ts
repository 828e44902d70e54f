/** Routes that read records: a range, one by its cursor, one by its identifier. */
import { answer, jsonAnswer, type Answer, type Call } from './call.ts'
import { Problem } from './problem.ts'
import { badField, integer, integerParameter } from './fields.ts'
import { recordJson } from './record-json.ts'
import { accepts, NDJSON } from './request.ts'
import { idProblem } from '@service-fs/format/entry'

/** GET /v1/entries?since=N&limit=M: at most M records whose first entry has an index of at least N. */
export async function listEntries(call: Call): Promise<Answer> {
  const since = integerParameter(call.query, 'since', 0)
  const limit = integerParameter(call.query, 'limit', call.limits.defaultEntries)
  if (limit < 1 || limit > call.limits.maxEntries) {
    throw badField('limit', `1 to ${call.limits.maxEntries}`, String(limit))
  }
  const { texts, last } = await gather(call, since, limit)
  const next = last === undefined ? since : last + 1
  const shown = { what: { since, limit, next_cursor: next }, entries: texts.length }
  if (accepts(call.request, NDJSON)) {
    const response = answer(NDJSON, texts.length === 0 ? '' : `${texts.join('\n')}\n`, shown)
    response.headers['x-next-cursor'] = String(next)
    return response
  }
  const id = JSON.stringify(call.options.moduleId)
  return jsonAnswer(`{"module_id":${id},"next_cursor":${next},"entries":[${texts.join(',')}]}`, shown)
}

/**
 * Returns the JSON texts of at most `limit` records, fewer when they reach the limit in bytes. `last` is the index of the last
 * one; undefined when there is none.
 */
async function gather(
  call: Call,
  since: number,
  limit: number,
): Promise<{ texts: string[]; last: number | undefined }> {
  const texts: string[] = []
  let last: number | undefined
  let size = 0
  if (since >= call.ledger.size) return { texts, last }
  for await (const record of call.ledger.records(since, { limit })) {
    const text = recordJson(record, call.options.codec)
    texts.push(text)
    last = record.index
    size += text.length
    if (texts.length === limit || size >= call.limits.maxEntriesBytes) break
  }
  return { texts, last }
}

/** GET /v1/entries/{cursor} */
export async function entryByCursor(call: Call): Promise<Answer> {
  const cursor = integer(call.params['cursor'] ?? '', 'cursor')
  const record = await call.ledger.record(cursorIndex(call, cursor))
  return jsonAnswer(recordJson(record, call.options.codec), { what: { cursor }, entries: 1 })
}

/** GET /v1/records/{payload_id} */
export async function recordById(call: Call): Promise<Answer> {
  const id = call.params['payload_id'] ?? ''
  if (idProblem(id, call.options.codec) !== undefined) {
    throw badField('payload_id', '1 to 256 bytes of UTF-8 without control characters', JSON.stringify(id))
  }
  const record = await call.ledger.recordById(id)
  const what = { payload_id: id, cursor: record.index + 1 }
  return jsonAnswer(recordJson(record, call.options.codec), { what, entries: 1 })
}

/** Returns the index of the entry at `cursor`, which counts from 1. @throws Problem `not-found` beyond the tree */
export function cursorIndex(call: Call, cursor: number): number {
  const { size } = call.ledger
  if (cursor >= 1 && cursor <= size) return cursor - 1
  throw new Problem('not-found', `cursor: expected 1 to ${size}, found ${cursor}`, {
    field: 'cursor',
    size,
  })
}
