import { gunzipSync, gzipSync } from 'node:zlib'
import { Budget } from '@service-fs/wire/body-limits'
import { expect, it } from 'vitest'
import { gunzipBody } from './gunzip-body.ts'

const LIMIT = 200_000
const text = Buffer.from('one record a line\n'.repeat(5000))

it('gunzipBody decodes gzip files, also with several members', async () => {
  const budget = new Budget(2 * LIMIT)
  expect(await gunzipBody(gzipSync(text), LIMIT, budget)).toEqual(text)
  const members = Buffer.concat([gzipSync('one'), gzipSync(''), gzipSync('two')])
  expect(await gunzipBody(members, LIMIT, budget)).toEqual(gunzipSync(members))
  // The caller releases the returned bodies.
  expect(budget.take(2 * LIMIT - text.length - 6)).toBe(true)
  expect(budget.take(1)).toBe(false)
})

it('gunzipBody stays within the limit and the budget, and releases all bytes that it took', async () => {
  const bomb = gzipSync(Buffer.alloc(50 * 2 ** 20))
  const budget = new Budget(2 * LIMIT)
  const refused = await gunzipBody(bomb, LIMIT, budget)
  expect(refused).toMatchObject({ code: 'too-large', members: { field: 'body', expected: LIMIT } })
  const small = new Budget(LIMIT / 2)
  expect(await gunzipBody(gzipSync(Buffer.alloc(LIMIT)), LIMIT, small)).toMatchObject({ code: 'busy' })
  expect([budget.take(2 * LIMIT), small.take(LIMIT / 2)]).toEqual([true, true])
  const exact = new Budget(LIMIT)
  expect(await gunzipBody(gzipSync(Buffer.alloc(LIMIT)), LIMIT, exact)).toHaveLength(LIMIT)
})

it('gunzipBody refuses a body that is not gzip, is truncated or changed, or has trailing bytes', async () => {
  const coded = gzipSync(text)
  const flipped = Buffer.from(coded)
  flipped[coded.length - 6]! ^= 1
  const bad: [string, Buffer][] = [
    ['nothing', Buffer.alloc(0)],
    ['text', text],
    ['cut', coded.subarray(0, coded.length - 1)],
    ['cut in the header', coded.subarray(0, 5)],
    ['changed', flipped],
    ['a byte behind it', Buffer.concat([coded, Buffer.from('x')])],
    ['NUL bytes behind it', Buffer.concat([coded, Buffer.alloc(512)])],
    ['half a member behind it', Buffer.concat([coded, coded.subarray(0, 20)])],
  ]
  for (const [name, bytes] of bad) {
    const budget = new Budget(LIMIT)
    const refused = await gunzipBody(bytes, LIMIT, budget)
    expect(refused, name).toMatchObject({ code: 'bad-request', members: { field: 'body' } })
    expect(budget.take(LIMIT), name).toBe(true)
  }
})
