/** Routes that read records: a range of records, or one record by its cursor or its identifier. */
import { answer, jsonAnswer, type Answer, type Call } from './call.ts'
import { Problem } from './problem.ts'
import { badField, integer, integerParameter } from './fields.ts'
import { readPage } from './page.ts'
import { recordJson } from './record-json.ts'
import { RecordWriter } from './record-writer.ts'
import { accepts, NDJSON } from './request.ts'
import { idProblem } from '@service-fs/format/entry'
import { asciiEncode } from '@service-fs/tlog/codec'

/** GET /v1/entries?since=N&limit=M: at most M records whose first entry has an index of at least N. */
export async function listEntries(call: Call): Promise<Answer> {
  const since = integerParameter(call.query, 'since', 0)
  const limit = integerParameter(call.query, 'limit', call.limits.defaultEntries)
  if (limit < 1 || limit > call.limits.maxEntries) {
    throw badField('limit', `1 to ${call.limits.maxEntries}`, String(limit))
  }
  const { ledger, options, limits } = call
  const { codec, moduleId } = options
  const form = accepts(call.request, NDJSON) ? 'lines' : 'list'
  const page = await readPage({ ledger, codec, since, limit, maxUnits: limits.maxEntriesBytes, form })
  const next = page.last === undefined ? since : page.last + 1
  const shown = { what: { since, limit, next_cursor: next }, entries: page.count }
  if (form === 'lines') {
    const response = answer(NDJSON, page.bytes(), shown)
    response.headers['x-next-cursor'] = String(next)
    return response
  }
  const head = `{"module_id":${JSON.stringify(moduleId)},"next_cursor":${next},"entries":[`
  return jsonAnswer(codec.concat(codec.asciiEncode(head), page.bytes(), CLOSE), shown)
}

const CLOSE = asciiEncode(']}')

/** GET /v1/entries/{cursor} */
export async function entryByCursor(call: Call): Promise<Answer> {
  const cursor = integer(call.params['cursor'] ?? '', 'cursor')
  const index = cursorIndex(call, cursor)
  const shown = { what: { cursor }, entries: 1 }
  const [entry] = await call.ledger.entries(index, index + 1)
  const writer = new RecordWriter(call.options.codec)
  if (entry !== undefined && writer.entry(index, entry)) return jsonAnswer(writer.bytes(), shown)
  return jsonAnswer(recordJson(await call.ledger.record(index), call.options.codec), shown)
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
