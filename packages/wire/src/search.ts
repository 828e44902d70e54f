/** GET /v1/search: returns the records of a selection, page by page. */
import { rangesOf } from './append-records.ts'
import { jsonAnswer, type Answer, type Call } from './call.ts'
import { badField, integerParameter } from './fields.ts'
import { typesWithFields } from './search-fields.ts'
import { searchPage } from './search-page.ts'
import { conditionsShown, selectionInQuery } from './selection.ts'

/** GET /v1/search?from&to&type&prefix&where&after&limit: returns at most `limit` records whose cursor is above `after`. */
export async function search(call: Call): Promise<Answer> {
  const { query, ledger, limits, options, isAudit } = call
  const selection = selectionInQuery(query, options.codec)
  const after = integerParameter(query, 'after', 0)
  const limit = integerParameter(query, 'limit', limits.defaultEntries)
  if (limit < 1 || limit > limits.maxEntries)
    throw badField('limit', `1 to ${limits.maxEntries}`, String(limit))
  const types = typesWithFields(selection, options.searchFields)
  const { size } = ledger
  const index = isAudit ? options.search?.audit : options.search?.ledger
  const { codec } = options
  const most = limits.searchEntries
  const found = await searchPage({ ledger, index, codec, selection, types, after, size, limit, most })
  const { hits, end } = found
  const body = {
    module_id: options.moduleId,
    size,
    next_cursor: end,
    complete: end >= size,
    hits: hits.map(({ index: at, id, type, time }) => ({
      cursor: at + 1,
      payload_id: id,
      type,
      time,
      index: at,
    })),
  }
  return jsonAnswer(JSON.stringify(body), {
    what: {
      after,
      limit,
      next_cursor: end,
      ...conditionsShown(selection),
      ...(hits.length === 0 ? {} : { cursors: rangesOf(hits.map(({ index: at }) => at + 1)) }),
    },
    entries: hits.length,
  })
}
