import { openTestLedger, TestRuntime, textRecord } from '@service-fs/ledger/testing'
import { expect, it } from 'vitest'
import { harness, type Harness } from './testing.ts'

const YEAR = 365 * 86_400_000

class SetClock extends TestRuntime {
  ahead = 0

  override now(): number {
    return this.time + this.ahead
  }
}

/** A tenant whose ledger was written with a clock a year ahead. The clock of its audit sub-ledger was ahead by an hour less. */
async function locked(): Promise<Harness & { runtime: SetClock }> {
  const runtime = new SetClock()
  runtime.ahead = YEAR - 3_600_000
  const origin = 'example.org/ledger/acme'
  const ledger = await openTestLedger({ runtime, origin })
  const audit = await openTestLedger({ runtime, origin: `${origin}/audit` })
  const h = await harness(() => ({ ledger, audit }))
  await audit.append([textRecord('read', '{}')])
  runtime.ahead = YEAR
  await ledger.append([textRecord('a', 'x')])
  runtime.ahead = 0
  return { ...h, ledger, audit, runtime }
}

const correct = (h: Harness, body: unknown, headers = {}) =>
  h.ask('/v1/clock/correct', {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-foundry-request-id': 'q', ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  })

it('reports the clock and the ledgers ahead of it, then corrects both with one request', async () => {
  const h = await locked()
  expect((await h.append('b', 1)).status).toBe(503)
  expect((await h.ask('/v1/entries')).json.code).toBe('clock-behind')
  const now = '2026-11-22T18:43:00.000Z'
  expect((await h.ask('/v1/clock')).json).toEqual({
    now,
    ledger: { newest: '2027-11-22T18:43:00.000Z', problem: 'clock-behind' },
    audit: { newest: '2027-11-22T17:43:00.000Z', problem: 'clock-behind' },
  })
  const answer = await correct(h, { newest: '2027-11-22T18:43:00.000Z', reason: 'flat battery' })
  expect([answer.status, answer.json]).toEqual([
    200,
    {
      corrected: [
        { ledger: 'audit', index: 1, newest: '2027-11-22T17:43:00.000Z', time: now },
        { ledger: 'ledger', index: 1, newest: '2027-11-22T18:43:00.000Z', time: now },
      ],
    },
  ])
  expect((await h.append('b', 1)).status).toBe(200)
  const { entries } = (await h.ask('/v1/entries?since=1&limit=1')).json
  expect(entries[0]).toMatchObject({
    type: 'application/vnd.service-fs.clock+json',
    time: now,
  })
  expect((await h.ask('/v1/clock')).json).toEqual({ now, ledger: { newest: now }, audit: { newest: now } })
})

it('corrects nothing for a repeated request, another time, or a correct clock', async () => {
  const h = await locked()
  const body = { newest: '2027-11-22T18:43:00.000Z', reason: 'flat battery' }
  const wrong = await correct(h, { ...body, newest: '2027-11-22T17:43:00.000Z' })
  expect([wrong.status, wrong.json.detail]).toEqual([
    400,
    'newest: expected 2027-11-22T18:43:00.000Z, as in GET /v1/clock, found 2027-11-22T17:43:00.000Z',
  ])
  expect((await correct(h, body)).status).toBe(200)
  const again = await correct(h, body)
  expect([again.status, again.json.field]).toEqual([400, 'newest'])
  expect([h.ledger.size, h.audit.size]).toEqual([2, 2])
})

it.each([
  ['not json', 'body'],
  ['[]', 'body'],
  ['{"newest":"2027-11-22T18:43:00.000Z"}', 'reason'],
  ['{"newest":1,"reason":"x"}', 'newest'],
  ['{"newest":"2027-11-22T18:43:00.000Z","reason":" "}', 'reason'],
  ['{"newest":"2027-11-22T18:43:00.000Z","reason":"a\\u001b[2J"}', 'reason'],
  [`{"newest":"2027-11-22T18:43:00.000Z","reason":"${'x'.repeat(1001)}"}`, 'reason'],
  ['{"newest":"2027-11-22T18:43:00.000Z","reason":"x","more":1}', 'more'],
])('rejects %s, and names %s', async (body, field) => {
  const h = await locked()
  const answer = await correct(h, body)
  expect([answer.status, answer.json.field]).toEqual([400, field])
  expect(h.ledger.size).toBe(1)
})

it('rejects a large body, and another content type', async () => {
  const h = await locked()
  expect((await correct(h, ' '.repeat(16_385))).status).toBe(413)
  expect((await correct(h, '{}', { 'content-type': 'text/plain' })).status).toBe(400)
})

it('rejects a correction appended by a client', async () => {
  const h = await harness()
  const body = JSON.stringify({
    payload_id: 'x',
    payload: { newest: '2027-11-22T18:43:00.000Z', now: '2026-01-01T00:00:00.000Z' },
    type: 'application/vnd.service-fs.clock+json',
  })
  const answer = await h.ask('/v1/append', { method: 'POST', body })
  expect([answer.status, answer.json.code]).toEqual([400, 'bad-record'])
})
