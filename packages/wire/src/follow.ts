/** GET /v1/follow: a stream of records as they become durable, as server-sent events (WHATWG HTML, section 9.2). */
import { recordRead } from './audit.ts'
import type { Call, Streamed } from './call.ts'
import { badField, integer, integerParameter } from './fields.ts'
import { Follower } from './follower.ts'
import type { Chunk } from './followers.ts'
import { isFailure, Problem, problemOf, problemResponse } from './problem.ts'

const ROUTE = '/v1/follow'

/**
 * Starts a stream. The wire records the request before it responds, and each delivery before it sends it. `Last-Event-ID`, sent by
 * a client that reconnects, overrides `since`.
 */
export async function follow(call: Call): Promise<Streamed> {
  const { request, followers, options } = call
  const since = sinceOf(call)
  const limit = limitOf(call)
  if (followers.isDraining) throw new Problem('closed', 'the ledger is closing')
  if (followers.isFull) throw new Problem('busy', `${followers.count} followers already; retry later`)
  const follower = request.method === 'HEAD' ? undefined : followerOf(call, since, limit)
  try {
    const opening = { what: { since, next_cursor: since }, entries: 0 }
    const index = await recordRead(call, ROUTE, opening, 0, options)
    return {
      status: 200,
      headers: {
        'content-type': 'text/event-stream',
        // Proxies must not cache, buffer or compress the stream; a proxy that compresses also buffers.
        'cache-control': 'no-store, no-transform',
        'x-accel-buffering': 'no',
        ...(index === undefined ? {} : { 'x-audit-index': String(index) }),
      },
      body: follower ?? NOTHING,
    }
  } catch (error) {
    await follower?.return()
    throw error
  }
}

const NOTHING: AsyncIterable<Uint8Array> = {
  async *[Symbol.asyncIterator]() {},
}

function sinceOf({ request, query, ledger }: Call): number {
  const last = request.header('last-event-id')
  const field = last === undefined || last === '' ? 'since' : 'Last-Event-ID'
  const since = field === 'since' ? integerParameter(query, 'since', 0) : integer(last ?? '', field)
  if (since <= ledger.size) return since
  throw new Problem('range', `${field}: expected at most ${ledger.size}, found ${since}`, {
    field,
    size: ledger.size,
  })
}

function limitOf({ query }: Call): number {
  if (query.get('limit') === undefined) return Number.POSITIVE_INFINITY
  const limit = integerParameter(query, 'limit')
  if (limit === 0) throw badField('limit', 'at least 1', '0')
  return limit
}

function followerOf(call: Call, since: number, limit: number): Follower {
  const { followers, limits, options, requestId } = call
  return new Follower({
    followers,
    since,
    limit,
    maxBeats: Math.ceil(limits.maxFollowMs / limits.heartbeatMs),
    encode: (text) => options.codec.utf8Encode(text),
    show: (before, chunks) => show(call, before, chunks),
    failed: (error) => {
      const problem = problemOf(error)
      if (isFailure(problem) && problem.code !== 'closed') options.report?.(error, requestId)
      return `event: problem\ndata: ${problemResponse(problem).body}\nretry: 1000\n\n`
    },
  })
}

/** Records a delivery. Returns the event that announces the audit entry; empty for a public ledger. */
async function show(call: Call, since: number, chunks: readonly Chunk[]): Promise<string> {
  let [entries, bytes, cursor] = [0, 0, since]
  for (const chunk of chunks) {
    entries += chunk.records
    bytes += chunk.events.length
    cursor = chunk.cursor
  }
  const shown = { what: { since, next_cursor: cursor }, entries }
  const index = await recordRead(call, ROUTE, shown, bytes, call.options)
  if (index === undefined) return ''
  return `event: audit\ndata: {"index":${index},"since":${since},"next_cursor":${cursor},"entries":${entries}}\n\n`
}
