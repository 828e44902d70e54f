import { expect, it } from 'vitest'
import { Random } from '@service-fs/storage/random'
import { Problem } from '@service-fs/wire/problem'
import { parseClientHead, type ClientHead } from './client-head.ts'

const LINES = [
  [
    'GET / HTTP/1.1',
    'GET /v1/entries?limit=1 HTTP/1.1',
    'POST /v1/append HTTP/1.1',
    'POST /v1/append HTTP/1.0',
  ],
  ['Host: a', 'host: a', 'Host: b:80', 'Host: a\r\nhost: a'],
  ['Content-Length: 3', 'Content-Length: 4', 'Content-Length: x', 'Transfer-Encoding: chunked'],
  ['Authorization: Bearer a', 'Authorization: Bearer b', 'X-A: 1\r\nX-A: 2', 'X-A : 1'],
  ['Connection: close', 'Connection: x-a', 'Expect: 100-continue', 'X-B:'],
] as const

/** Returns a head, or the text of the problem that refuses it. */
function parsed(text: string, before?: ClientHead): ClientHead | string {
  try {
    return parseClientHead(text, before)
  } catch (error) {
    if (error instanceof Problem) return error.message
    throw error
  }
}

it('the front parses a head after another head as on a new connection', () => {
  const random = new Random(11)
  let before: ClientHead | undefined
  let [repeated, refused] = [0, 0]
  for (let round = 0; round < 5000; round++) {
    const [line = '', ...fields] = LINES.map(
      (some) => some[random.below(random.chance(0.8) ? 1 : some.length)] ?? '',
    )
    const text = [line, ...fields.filter(() => random.chance(0.9))].join('\r\n')
    const alone = parsed(text)
    const after = parsed(text, before)
    expect(after).toEqual(alone)
    if (typeof after === 'string') refused += 1
    else {
      if (after.rawHeaders === before?.rawHeaders) repeated += 1
      before = after
    }
  }
  expect(repeated).toBeGreaterThan(100)
  expect(refused).toBeGreaterThan(100)
})
