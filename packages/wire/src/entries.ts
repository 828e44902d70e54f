/** Routes that read records: a range of records, or one record by its cursor or its identifier. */
import { answer, jsonAnswer, type Answer, type Call } from './call.ts'
import { Problem } from './problem.ts'
import { badField, integer, integerParameter } from './fields.ts'
import { readPage } from './page.ts'
import { checkedId } from './record-fields.ts'
import { recordJson } from './record-json.ts'
import { RecordWriter } from './record-writer.ts'
import { accepts, NDJSON } from './request.ts'
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
  const maxUnits = limits.maxEntriesBytes
  const page = await readPage({ ledger, codec, since, to: ledger.size, limit, maxUnits, form })
  const next = page.last === undefined ? since : page.last + 1
  const shown = { what: { since, limit, next_cursor: next }, entries: page.count }
  if (form === 'lines') {
    const response = answer(NDJSON, page.bytes, shown)
    response.headers['x-next-cursor'] = String(next)
    return response
  }
  const head = `{"module_id":${JSON.stringify(moduleId)},"next_cursor":${next},"entries":[`
  return jsonAnswer(codec.concat(codec.asciiEncode(head), page.bytes, CLOSE), shown)
}

const CLOSE = asciiEncode(']}')

/** GET /v1/entries/{cursor} */
export async function entryByCursor(call: Call): Promise<Answer> {
  const cursor = integer(call.params['cursor'] ?? '', 'cursor')
  const index = cursorIndex(call, cursor)
  const shown = { what: { cursor }, entries: 1 }
  const [entry] = await call.ledger.entries(index, index + 1)
  return jsonAnswer(await oneRecord(call, index, entry), shown)
}

/** GET /v1/records/{payload_id} */
export async function recordById(call: Call): Promise<Answer> {
  const id = checkedId(call.params['payload_id'] ?? '', 'payload_id', undefined, call.options.codec)
  const { index, entry } = await call.ledger.entryById(id)
  const what = { payload_id: id, cursor: index + 1 }
  return jsonAnswer(await oneRecord(call, index, entry), { what, entries: 1 })
}

/** Returns the JSON of the record that begins at `index` with `entry`. */
async function oneRecord(
  { ledger, options: { codec } }: Call,
  index: number,
  entry: Uint8Array | undefined,
): Promise<string | Uint8Array> {
  const writer = new RecordWriter(codec, 'list')
  if (entry !== undefined && writer.entry(index, entry)) return writer.bytes()
  return recordJson(await ledger.record(index), codec)
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
