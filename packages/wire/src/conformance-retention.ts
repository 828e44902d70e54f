/** The part of the conformance suite about retention (docs/retention.md). */
import { parseEntry } from '@service-fs/format/entry'

import { JSON_TYPE, NDJSON, type Answer, type Json, type Server, type Tools } from './conformance-tools.ts'

const [Y2030, Y2031, Y2032] = [
  '2030-01-01T00:00:00.000Z',
  '2031-01-01T00:00:00.000Z',
  '2032-01-01T00:00:00.000Z',
]
const DUTY_TYPE = 'application/vnd.service-fs.duty+json'
const REASON = { reason: 'as the statute asks' }

/** States a duty. */
const state = (w: Server, duty: unknown): Promise<Answer> =>
  w.ask('/v1/retention', {
    method: 'POST',
    headers: { 'content-type': JSON_TYPE, 'x-foundry-request-id': 'q' },
    body: typeof duty === 'string' ? duty : JSON.stringify(duty),
  })

/** Returns the body of an append of the record `a`. */
const body = (until: string | undefined): string =>
  JSON.stringify({ payload_id: 'a', payload: 1, retain_until: until })

export function retention({ it, same, like, refused }: Tools): void {
  it('stores the time until which a record must be kept in its header', async (w) => {
    const json = JSON.stringify({ payload_id: 'a', payload: 1, retain_until: Y2030 })
    same((await w.post(json)).status, 200)
    const raw = { 'x-payload-id': 'b', 'content-type': 'text/plain', 'x-retain-until': Y2031 }
    same((await w.post('b', raw)).status, 200)
    const lines = `{"payload_id":"c","payload":1}\n{"payload_id":"d","payload":1,"retain_until":"${Y2032}"}\n`
    same((await w.post(lines, NDJSON)).status, 200)
    for (const [index, until] of [Y2030, Y2031, undefined, Y2032].entries()) {
      const { fields } = parseEntry(await w.entry(index)).header
      same(fields, until === undefined ? [] : [['retain-until', until]])
      same((await w.ask(`/v1/entries/${index + 1}`)).json.retain_until, until)
    }
    const { entries } = (await w.ask('/v1/entries')).json
    same(
      entries.map((entry: Json) => entry.retain_until),
      [Y2030, Y2031, undefined, Y2032],
    )
  })

  it('rejects a bad time, and the header with a body that states its own time', async (w) => {
    for (const bad of ['', '2030-01-01', '2030-01-01T00:00:00Z', '2030-02-30T00:00:00.000Z'])
      refused(
        await w.post(JSON.stringify({ payload_id: 'a', payload: 1, retain_until: bad })),
        'bad-request',
        {
          field: 'retain_until',
        },
      )
    refused(await w.post('{"payload_id":"a","payload":1,"retain_until":1}'), 'bad-request', {
      field: 'retain_until',
    })
    const line = `{"payload_id":"a","payload":1}\n{"payload_id":"b","payload":1,"retain_until":"soon"}\n`
    refused(await w.post(line, NDJSON), 'bad-request', { field: 'retain_until', line: 2 })
    for (const headers of [{ 'x-payload-id': 'a', 'x-retain-until': 'soon' }, { 'x-retain-until': Y2030 }])
      refused(await w.post('{"payload_id":"a","payload":1}', headers), 'bad-request', {
        field: 'X-Retain-Until',
      })
    same((await w.ask('/v1/entries')).json.entries, [])
  })

  it('accepts a repeated append only with the same time', async (w) => {
    same((await w.post(body(Y2031))).json.duplicate, false)
    like((await w.post(body(Y2031))).json, { duplicate: true, cursor: 1 })
    for (const other of [undefined, Y2030, Y2032]) {
      const answer = await w.post(body(other))
      refused(answer, 'conflict', { cursor: 1 })
      same(answer.json.detail.includes(Y2031), false)
    }
    refused(await w.post(`${body(Y2030)}\n${body(Y2031)}\n`, NDJSON), 'conflict', {})
  })

  it('records policies, holds and extensions that only extend, also after a restart', async (w) => {
    await w.post(JSON.stringify({ payload_id: 'a', payload: 1, retain_until: Y2030 }))
    const policy = await state(w, { duty: 'policy', prefix: 'a', for: 'P6Y', ...REASON })
    like(policy.json, { cursor: 2, payload_id: 'vnd.service-fs.duty/1', index: 1, duplicate: false })
    const { header, payload } = parseEntry(await w.entry(1))
    same([header.type, header.fields], [DUTY_TYPE, [['duty', 'policy']]])
    const own = { request_id: 'q', subject: (await w.ask('/v1/entries/2')).json.payload.subject }
    same(JSON.parse(String.fromCharCode(...payload)), {
      duty: 'policy',
      for: 'P6Y',
      prefix: 'a',
      ...REASON,
      ...own,
    })
    same((await state(w, { duty: 'hold', hold: 'case-1', all: true, ...REASON })).status, 200)
    same((await state(w, { duty: 'extend', payload_id: 'a', until: Y2031, ...REASON })).status, 200)
    like((await w.ask('/v1/entries/4')).json.payload, { index: 0, was: Y2030, until: Y2031 })
    for (const how of [undefined, 'stop', 'kill'] as const) {
      if (how !== undefined) await w.reopen(how)
      for (const [duty, field] of [
        [{ duty: 'policy', prefix: 'a', for: 'P5Y' }, 'for'],
        [{ duty: 'policy', prefix: 'a', for: 'P6Y', reason: 'another' }, 'for'],
        [{ duty: 'hold', hold: 'case-1', prefix: 'a' }, 'hold'],
        [{ duty: 'lift', hold: 'case-2' }, 'hold'],
        [{ duty: 'extend', payload_id: 'a', until: Y2031, reason: 'another' }, 'until'],
        [{ duty: 'extend', payload_id: 'nobody', until: Y2031 }, 'payload_id'],
      ] as const)
        refused(await state(w, { ...REASON, ...duty }), 'bad-request', { field })
    }
    same((await state(w, { duty: 'lift', hold: 'case-1', ...REASON })).json.cursor, 5)
    refused(await state(w, { duty: 'lift', hold: 'case-1', reason: 'another' }), 'bad-request', {
      field: 'hold',
    })
    refused(await state(w, { duty: 'hold', hold: 'case-1', all: true, ...REASON }), 'bad-request', {
      field: 'hold',
    })
    same((await state(w, { duty: 'extend', payload_id: 'a', until: Y2032, ...REASON })).json.cursor, 6)
    like((await w.ask('/v1/entries/6')).json.payload, { index: 0, was: Y2031, until: Y2032 })
  })

  it('answers a repeated duty with its entry, even after a restart, unless the duty is a lifted hold', async (w) => {
    await w.append('a', 1)
    const hold = { duty: 'hold', hold: 'case-1', all: true, ...REASON }
    const duties: [object, string | undefined, object][] = [
      [{ duty: 'policy', all: true, for: 'P6Y', ...REASON }, undefined, { cursor: 2 }],
      [hold, undefined, { cursor: 3 }],
      [{ duty: 'extend', payload_id: 'a', until: Y2030, ...REASON }, 'a', { cursors: '1,4' }],
    ]
    for (const how of [undefined, 'kill'] as const) {
      if (how !== undefined) await w.reopen(how)
      for (const [at, [duty, id, shown]] of duties.entries()) {
        const own = `vnd.service-fs.duty/${at + 1}`
        const first = how === undefined ? await state(w, duty) : undefined
        if (first !== undefined) like(first.json, { cursor: at + 2, duplicate: false })
        const { json, headers } = await state(w, duty)
        like(json, { cursor: at + 2, payload_id: own, parts: 1, duplicate: true })
        if (first !== undefined) like(json, { leaf_hash: first.json.leaf_hash, time: first.json.time })
        const read = (await w.auditEntry(Number(headers['x-audit-index']))).payload
        like(read, {
          payload_id: id ?? own,
          outcome: 'duplicate',
          entries: id === undefined ? 1 : 2,
          ...shown,
        })
      }
    }
    const lift = { duty: 'lift', hold: 'case-1', ...REASON }
    like((await state(w, lift)).json, { cursor: 5, duplicate: false })
    like((await state(w, lift)).json, { cursor: 5, duplicate: true })
    refused(await state(w, hold), 'bad-request', { field: 'hold' })
    same((await w.ask('/v1/entries?since=4')).json.next_cursor, 5)
  })

  it('records in the audit that an extension revealed a record or its absence', async (w) => {
    await w.append('a', 1)
    const taken = await state(w, { duty: 'extend', payload_id: 'a', until: Y2030, ...REASON })
    const absent = await state(w, { duty: 'extend', payload_id: 'b', until: Y2030, ...REASON })
    for (const [{ headers }, id] of [
      [taken, 'a'],
      [absent, 'b'],
    ] as const) {
      const entry = await w.auditEntry(Number(headers['x-audit-index']))
      like(entry.payload, { route: '/v1/retention', payload_id: id, request_id: 'q' })
      same(entry.payload.cursor, id === 'a' ? 1 : undefined)
    }
    const held = await state(w, { duty: 'hold', hold: 'c', payload_id: 'b', ...REASON })
    same([held.status, held.headers['x-audit-index']], [200, undefined])
  })

  it('rejects malformed duties, and names the field', async (w) => {
    for (const [duty, field] of [
      ['{', 'body'],
      ['[]', 'body'],
      ['null', 'body'],
      [{}, 'duty'],
      [{ duty: 'policy', all: true, for: 'P1Y' }, 'reason'],
      [{ duty: 'policy', all: true, for: 'P1W', ...REASON }, 'for'],
      [{ duty: 'policy', all: true, for: 'P1Y', until: Y2030, ...REASON }, 'for'],
      [{ duty: 'policy', for: 'P1Y', ...REASON }, 'all'],
      [{ duty: 'policy', all: true, for: 'P1Y', subject: 'alice', ...REASON }, 'subject'],
      [{ duty: 'extend', payload_id: 'a', index: 0, until: Y2030, ...REASON }, 'index'],
      [{ duty: 'extend', payload_id: 'a', was: Y2030, until: Y2031, ...REASON }, 'was'],
      [{ duty: 'hold', hold: 'two words', all: true, ...REASON }, 'hold'],
    ] as const)
      refused(await state(w, duty), 'bad-request', { field })
    refused(await state(w, ' '.repeat(16_385)), 'too-large', { field: 'body' })
    same((await w.ask('/v1/entries')).json.entries, [])
  })

  it('rejects duty entries that a client appends', async (w) => {
    const payload = { duty: 'lift', hold: 'case-1', request_id: 'q', subject: 's', ...REASON }
    for (const record of [
      { payload_id: 'a', type: DUTY_TYPE },
      { payload_id: 'a', type: `${DUTY_TYPE.toUpperCase()}; x=y` },
      { payload_id: 'vnd.service-fs.duty/1', type: JSON_TYPE },
    ])
      refused(await w.post(JSON.stringify({ ...record, payload })), 'bad-record', {})
    const good = '{"payload_id":"b","payload":1}'
    refused(
      await w.post(`${good}\n{"payload_id":"vnd.service-fs.duty/x","payload":1}\n`, NDJSON),
      'bad-record',
      {},
    )
    same((await w.ask('/v1/entries')).json.entries, [])
  })
}
