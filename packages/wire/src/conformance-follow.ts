/** The part of the conformance suite that tests following the ledger. */
import { NDJSON, type Answer, type Json, type Question, type Tools } from './conformance-tools.ts'

/** Adds the tests of /v1/follow. */
export function following({ it, same, like, refused }: Tools): void {
  it('sends existing and new records, each once and in order', async (w) => {
    await w.grow([3])
    const followed = w.ask('/v1/follow?limit=7')
    const later = w.ask('/v1/follow?since=3&limit=4')
    await w.grow([1, 2])
    await w.append('last', { done: true })
    const { entries } = (await w.ask('/v1/entries')).json
    for (const [answer, since] of [
      [await followed, 0],
      [await later, 3],
    ] as const) {
      same([answer.status, answer.headers['content-type']], [200, 'text/event-stream'])
      same(answer.headers['content-encoding'], undefined)
      const records = eventsOf(answer).filter(({ event }) => event === 'record')
      same(
        records.map(({ data }) => data),
        entries.slice(since),
      )
      same(
        records.map(({ id }) => id),
        entries.slice(since).map(({ cursor }: Json) => String(cursor)),
      )
    }
  })

  it('resumes from Last-Event-ID rather than from since', async (w) => {
    await w.grow([5])
    const ids = async (target: string, last?: string): Promise<unknown> =>
      eventsOf(await w.ask(target, { headers: { 'last-event-id': last } })).flatMap(({ id }) => id ?? [])
    same(await ids('/v1/follow?limit=2', '3'), ['4', '5'])
    same(await ids('/v1/follow?since=1&limit=1', '2'), ['3'])
    same(await ids('/v1/follow?since=1&limit=1', ''), ['2'])
    same(await ids('/v1/follow?since=4&limit=1'), ['5'])
  })

  it('sends a split record whole, and starts after it if the cursor is inside it', async (w) => {
    await w.post(new Uint8Array(150_000).fill(7), { 'x-payload-id': 'big' })
    await w.append('next', 1)
    const [big, next] = (await w.ask('/v1/entries')).json.entries
    for (const [since, expected] of [
      [0, [big, next]],
      [1, [next]],
      [2, [next]],
      [3, [next]],
    ] as const) {
      const events = eventsOf(await w.ask(`/v1/follow?since=${since}&limit=${expected.length}`))
      same(
        events.filter(({ event }) => event === 'record').map(({ data }) => data),
        expected,
      )
    }
  })

  it('records the request and each delivery before sending them', async (w) => {
    await w.grow([4])
    const id = 'follow-1'
    const got = await w.ask('/v1/follow?since=1&limit=3', { headers: { 'x-foundry-request-id': id } })
    same(got.headers['x-foundry-request-id'], id)
    const opening = await w.auditEntry(Number(got.headers['x-audit-index']))
    same(opening.payload_id.startsWith(`read-${id}-`), true)
    const reader = {
      request_id: id,
      method: 'GET',
      route: '/v1/follow',
      subject: 'anonymous',
      outcome: 'shown',
    }
    like(opening.payload, { ...reader, since: 1, next_cursor: 1, entries: 0, bytes: 0 })
    let next = 1
    for (const [i, { event, data }] of eventsOf(got).entries()) {
      if (event !== 'audit') continue
      const { index, ...batch } = data
      const { payload } = await w.auditEntry(index)
      like(payload, { ...reader, ...batch, since: next })
      next = batch.next_cursor
      const shown = eventsOf(got).slice(i + 1, i + 1 + batch.entries)
      same(shown.at(-1)?.id, String(next))
      same(
        payload.bytes,
        shown.reduce((sum, { bytes }) => sum + bytes, 0),
      )
    }
    same(next, 4)
  })

  it('answers HEAD at once with the headers of GET', async (w) => {
    await w.grow([2])
    const got = await w.ask('/v1/follow?since=1', { method: 'HEAD' })
    same([got.status, got.headers['content-type'], got.body.length], [200, 'text/event-stream', 0])
    const { payload } = await w.auditEntry(Number(got.headers['x-audit-index']))
    like(payload, { method: 'HEAD', route: '/v1/follow', since: 1, entries: 0, bytes: 0 })
  })

  it('rejects a start beyond the ledger and invalid cursors', async (w) => {
    await w.grow([2])
    const ask = (target: string, last?: string, question: Question = {}): Promise<Answer> =>
      w.ask(target, { headers: { 'last-event-id': last }, ...question })
    refused(await ask('/v1/follow?since=3'), 'range', { field: 'since', size: 2 })
    refused(await ask('/v1/follow?since=0', '3'), 'range', { field: 'Last-Event-ID', size: 2 })
    refused(await ask('/v1/follow', 'x'), 'bad-request', { field: 'Last-Event-ID' })
    refused(await ask('/v1/follow?since=-1'), 'bad-request', { field: 'since' })
    refused(await ask('/v1/follow?limit=0'), 'bad-request', { field: 'limit' })
    refused(await ask('/v1/follow?until=1'), 'bad-request', { field: 'until' })
    refused(await ask('/v1/follow', undefined, { tenant: undefined }), 'module-id-missing', {})
    refused(await ask('/audit/v1/follow'), 'no-route', {})
    same((await w.ask('/audit/v1/entries')).json.entries, [])
  })

  it('sends the same records to many followers', async (w) => {
    const count = 12
    const many = Array.from({ length: count }, (_, i) => w.ask(`/v1/follow?limit=${40 + (i % 3)}`))
    for (let from = 0; from < 42; from += 3) await w.post(lines(from, 3), NDJSON)
    const { entries } = (await w.ask('/v1/entries')).json
    for (const [i, answer] of (await Promise.all(many)).entries()) {
      same(
        eventsOf(answer).flatMap(({ event, data }) => (event === 'record' ? data : [])),
        entries.slice(0, 40 + (i % 3)),
      )
    }
  })

  it('resumes after a restart', async (w) => {
    await w.grow([3])
    const first = eventsOf(await w.ask('/v1/follow?limit=2'))
    const last = first.at(-1)?.id
    for (const how of ['kill', 'stop'] as const) {
      await w.reopen(how)
      const followed = w.ask('/v1/follow?limit=2', { headers: { 'last-event-id': last } })
      await w.append(how, 1)
      same(eventsOf(await followed).flatMap(({ id }) => id ?? [])[0], '3')
    }
  })
}

function lines(from: number, count: number): string {
  return Array.from(
    { length: count },
    (_, i) => `{"payload_id":"m${from + i}","payload":${from + i}}\n`,
  ).join('')
}

interface Event {
  readonly event: string
  readonly id: string | undefined
  readonly data: Json
  /** Bytes of its text, empty line included. */
  readonly bytes: number
}

/** Parses an event stream of ASCII with LF line ends and one data line in each event. */
function eventsOf({ text }: Answer): Event[] {
  const events: Event[] = []
  for (const block of text.split('\n\n').slice(0, -1)) {
    const field = (name: string): string | undefined =>
      block
        .split('\n')
        .find((line) => line.startsWith(`${name}: `))
        ?.slice(name.length + 2)
    const data = field('data')
    if (data === undefined) continue
    const event = field('event') ?? 'message'
    events.push({ event, id: field('id'), data: JSON.parse(data), bytes: block.length + 2 })
  }
  return events
}
