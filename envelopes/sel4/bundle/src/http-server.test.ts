import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ACCEPTED, MALFORMED, REFUSED } from '@service-fs/wire/http-cases'
import { Peer, pureBytes, settled, TestHttp } from './testing.ts'

const HOST = 'Host: localhost\r\n'
const CHUNKED = `POST /a HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n`
const sized = (length: number | string, more = ''): string =>
  `POST /a HTTP/1.1\r\n${HOST}Content-Length: ${length}\r\n${more}\r\n`

/** Opens a connection that sends `text` and nothing after it. */
async function exchange(
  text: string,
  http: TestHttp = new TestHttp(),
): Promise<{ http: TestHttp; peer: Peer }> {
  const peer = http.connect()
  peer.send(text)
  await settled()
  return { http, peer }
}

/** Returns a server whose responses are streams of these pieces. An error ends the stream. */
function streaming(...pieces: readonly (string | Uint8Array | Error)[]): TestHttp {
  const http = new TestHttp()
  http.answer = async () => ({
    status: 200,
    headers: {},
    body: (async function* () {
      for (const piece of pieces) {
        if (piece instanceof Error) throw piece
        yield piece
      }
    })(),
  })
  return http
}

const statuses = (received: string): number[] =>
  [...received.matchAll(/HTTP\/1\.1 (\d+) /g)].map(([, status]) => Number(status))

describe('requests', () => {
  it('answers a valid request', async () => {
    const { http, peer } = await exchange(`GET /where?q=now HTTP/1.1\r\n${HOST}\r\n`)
    expect(peer.received).toBe(
      'HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 18\r\ndate: Fri, 15 Jan 2027 08:00:00 GMT\r\n\r\nGET /where?q=now 0',
    )
    expect(peer.isClosed).toBe(false)
    expect(http.seen).toMatchObject([
      { method: 'GET', target: '/where?q=now', headers: { host: 'localhost' } },
    ])
    expect(http.answered).toEqual(['GET 200'])
  })

  it('reads a body with a length, and a chunked body with extensions and trailers', async () => {
    const { http, peer } = await exchange(
      `${sized(5)}hello${CHUNKED}3;a=b;c="d"\r\nabc\r\n0004 ;x\r\n\r\n\r\n\r\n0\r\nX-A: dropped\r\n\r\n`,
    )
    expect(http.seen.map(({ body }) => body)).toEqual(['hello', 'abc\r\n\r\n'])
    expect(http.seen[1]?.headers['x-a']).toBeUndefined()
    expect(statuses(peer.received)).toEqual([200, 200])
  })

  it('answers pipelined requests in order, one at a time', async () => {
    const http = new TestHttp()
    const gates: (() => void)[] = []
    http.answer = (request) =>
      new Promise((resolve) => {
        gates.push(() => resolve({ status: 200, headers: {}, body: request.target }))
      })
    const { peer } = await exchange(`GET /1 HTTP/1.1\r\n${HOST}\r\nGET /2 HTTP/1.1\r\n${HOST}\r\n`, http)
    expect([http.seen.length, peer.isPaused]).toEqual([1, true])
    gates.shift()?.()
    await settled()
    expect([http.seen.length, peer.received.endsWith('/1')]).toEqual([2, true])
    expect(peer.isPaused).toBe(false)
    gates.shift()?.()
    await settled()
    expect(peer.received.endsWith('/2')).toBe(true)
  })

  it('trims header values, joins repeated ones, and ignores the case of names', async () => {
    const { http } = await exchange(
      `GET / HTTP/1.1\r\nhOST:localhost\r\nX-A: \t one \t \r\nx-a:two\r\nX-Payload-ID: \xc3\xa9\xa0\r\n\r\n`,
    )
    expect(http.seen[0]?.headers).toMatchObject({ 'x-a': 'one, two', 'x-payload-id': '\xc3\xa9\xa0' })
  })

  it.each(ACCEPTED)('answers %s', async (_, text) => {
    const { http, peer } = await exchange(text)
    expect(http.seen.map(({ target }) => target)).toEqual(['/healthz'])
    expect(statuses(peer.received)).toEqual([200])
  })

  it('skips at most eight empty lines before each request', async () => {
    const empty = '\r\n'.repeat(8)
    const first = await exchange(
      `${empty}GET /1 HTTP/1.1\r\n${HOST}\r\n${empty}GET /2 HTTP/1.1\r\n${HOST}\r\n`,
    )
    expect(first.http.seen.map(({ target }) => target)).toEqual(['/1', '/2'])
    const next = await exchange(`${empty}\r\nGET /1 HTTP/1.1\r\n${HOST}\r\n\r\n`)
    expect(statuses(next.peer.received)).toEqual([400])
  })

  it('accepts all forms of a target', async () => {
    const { http } = await exchange(
      `GET http://localhost:80/a HTTP/1.1\r\n${HOST}\r\nOPTIONS * HTTP/1.1\r\n${HOST}\r\nCONNECT localhost:80 HTTP/1.1\r\n${HOST}\r\n`,
    )
    expect(http.seen.map(({ target }) => target)).toEqual(['http://localhost:80/a', '*', 'localhost:80'])
  })
})

describe('connections', () => {
  it.each([
    ['HTTP/1.1', '', false],
    ['HTTP/1.1', 'Connection: close\r\n', true],
    ['HTTP/1.1', 'Connection: Keep-Alive, CLOSE\r\n', true],
    ['HTTP/1.1', 'Connection: upgrade\r\n', false],
    ['HTTP/1.0', '', true],
    ['HTTP/1.0', 'Connection: keep-alive\r\n', false],
  ])('%s %j closes the connection: %s', async (version, header, last) => {
    const { peer } = await exchange(`GET / ${version}\r\n${HOST}${header}\r\n`)
    expect(peer.isClosed).toBe(last)
    expect(peer.received.includes('connection: close')).toBe(last)
    expect(peer.received.includes('connection: keep-alive')).toBe(version === 'HTTP/1.0' && !last)
  })

  it('answers HEAD with the headers of GET and no body', async () => {
    const { peer } = await exchange(`HEAD /x HTTP/1.1\r\n${HOST}\r\nGET /y HTTP/1.1\r\n${HOST}\r\n`)
    const [head, get] = peer.received.split(/(?<=\r\n\r\n)(?=HTTP)/)
    expect(head).toMatch(/content-length: 9\r\n[^]*\r\n\r\n$/)
    expect(get).toMatch(/\r\n\r\nGET \/y 0$/)
  })

  it('streams bodies in chunks, and to HTTP/1.0 until the connection closes', async () => {
    const http = streaming('one', new Uint8Array(0), 'twenty-seven bytes of text!')
    const now = await exchange(`GET / HTTP/1.1\r\n${HOST}\r\n`, http)
    expect(now.peer.received).toMatch(/transfer-encoding: chunked\r\n/)
    expect(now.peer.received).toMatch(/\r\n\r\n3\r\none\r\n1b\r\ntwenty-seven bytes of text!\r\n0\r\n\r\n$/)
    const old = await exchange(`GET / HTTP/1.0\r\nConnection: keep-alive\r\n${HOST}\r\n`, http)
    expect(old.peer.received).toMatch(/\r\n\r\nonetwenty-seven bytes of text!$/)
    expect([old.peer.isClosed, old.peer.received.includes('chunked')]).toEqual([true, false])
    const head = await exchange(`HEAD / HTTP/1.1\r\n${HOST}\r\n`, http)
    expect(head.peer.received).toMatch(/transfer-encoding: chunked\r\n[^]*\r\n\r\n$/)
  })

  it('closes the connection without the last chunk when a stream fails', async () => {
    const http = streaming('one', new Error('no more'))
    const { peer } = await exchange(`GET / HTTP/1.1\r\n${HOST}\r\n`, http)
    expect([peer.isClosed, peer.received.endsWith('one\r\n'), http.reports.length]).toEqual([true, true, 1])
  })

  it('waits for a slow reader, and parses no further request from it', async () => {
    const http = new TestHttp({ idleTimeout: 5000 })
    http.hasRoom = false
    const { peer } = await exchange(`GET /1 HTTP/1.1\r\n${HOST}\r\nGET /2 HTTP/1.1\r\n${HOST}\r\n`, http)
    expect(http.seen.length).toBe(1)
    http.hasRoom = true
    peer.drain()
    await settled()
    expect(http.seen.length).toBe(2)
    http.hasRoom = false
    peer.send(`GET /3 HTTP/1.1\r\n${HOST}\r\n`)
    await settled()
    http.advance(6100)
    expect(peer.isClosed).toBe(true)
  })

  it('answers 503 while too many bytes wait to be sent', async () => {
    const http = new TestHttp({ answers: 100 })
    http.hasRoom = false
    const slow = await exchange(`GET /1 HTTP/1.1\r\n${HOST}\r\n`, http)
    http.hasRoom = true
    const other = await exchange(`GET /2 HTTP/1.1\r\n${HOST}\r\n`, http)
    expect(statuses(other.peer.received)).toEqual([503])
    slow.peer.drain()
    expect(statuses((await exchange(`GET /3 HTTP/1.1\r\n${HOST}\r\n`, http)).peer.received)).toEqual([200])
  })

  it('answers a peer that ends its side after a request, but not within one', async () => {
    const http = new TestHttp()
    const whole = http.connect()
    whole.send(`GET /1 HTTP/1.1\r\n${HOST}\r\nGET /2 HTTP/1.1\r\n${HOST}\r\n`)
    whole.end()
    await settled()
    expect([statuses(whole.received), whole.isClosed]).toEqual([[200, 200], true])
    for (const part of ['', 'GET', `${sized(10)}abc`]) {
      const peer = http.connect()
      if (part !== '') peer.send(part)
      peer.end()
      await settled()
      expect([peer.received, peer.isClosed]).toEqual(['', true])
    }
  })

  it('closes the oldest connection without a request, or else the oldest idle one, when the limit is reached', async () => {
    const http = new TestHttp({ connections: 3 })
    const gates: (() => void)[] = []
    http.answer = () =>
      new Promise((resolve) => {
        gates.push(() => resolve({ status: 200, headers: {}, body: 'ok' }))
      })
    const request = `GET / HTTP/1.1\r\n${HOST}\r\n`
    const [idle, silent, half] = [http.connect(), http.connect(), http.connect()]
    idle.send(request)
    await settled()
    gates.pop()?.()
    await settled()
    half.send('GET / HT')
    const busy = http.connect()
    busy.send(request)
    expect([idle, silent, half, busy].map(({ isClosed }) => isClosed)).toEqual([false, true, false, false])
    const more = [1, 2].map(() => {
      const peer = http.connect()
      peer.send(request)
      return peer
    })
    expect([idle, half, busy].map(({ isClosed }) => isClosed)).toEqual([true, true, false])
    expect([http.connect(), busy, ...more].map(({ isClosed }) => isClosed)).toEqual([
      true,
      false,
      false,
      false,
    ])
  })

  it('closes idle connections, answers requests under way, and cuts off the rest when it stops', async () => {
    const http = new TestHttp()
    const gates: (() => void)[] = []
    http.answer = () =>
      new Promise((resolve) => {
        gates.push(() => resolve({ status: 200, headers: {}, body: 'ok' }))
      })
    const idle = http.connect()
    const [busy, stuck] = [http.connect(), http.connect()]
    for (const peer of [busy, stuck]) peer.send(`GET / HTTP/1.1\r\n${HOST}\r\n`)
    let isStopped = false
    void http.server.stop(5000).then(() => (isStopped = true))
    expect([idle.isClosed, busy.isClosed]).toEqual([true, false])
    expect(http.connect().isClosed).toBe(true)
    gates[0]?.()
    await settled()
    expect([busy.isClosed, busy.received.includes('connection: close'), isStopped]).toEqual([
      true,
      true,
      false,
    ])
    http.advance(5100)
    await settled()
    expect([stuck.isClosed, isStopped]).toEqual([true, true])
  })
})

describe('bodies', () => {
  it('sends 100 Continue only for a body that it will read', async () => {
    const { http, peer } = await exchange(sized(3, 'Expect: 100-Continue\r\n'))
    expect(peer.received).toBe('HTTP/1.1 100 Continue\r\n\r\n')
    peer.send('abc')
    await settled()
    expect(http.seen[0]?.body).toBe('abc')
    const large = await exchange(sized(1001, 'Expect: 100-continue\r\n'))
    expect(large.peer.received).toMatch(/^HTTP\/1\.1 413 /)
    const none = await exchange(`GET / HTTP/1.1\r\n${HOST}Expect: 100-continue\r\n\r\n`)
    expect(none.peer.received).toMatch(/^HTTP\/1\.1 200 /)
    const old = await exchange(`POST / HTTP/1.0\r\n${HOST}Content-Length: 3\r\nExpect: 100-continue\r\n\r\n`)
    expect(old.peer.received).toBe('')
  })

  it('answers 413 before it reads a body that is too large, and lets the peer read the answer while it sends', async () => {
    const { http, peer } = await exchange(sized(1001))
    expect(peer.received).toMatch(/^HTTP\/1\.1 413 [^]*connection: close\r\n[^]*"code":"too-large"/)
    expect(peer.isClosed).toBe(false)
    peer.send('x'.repeat(500))
    http.advance(900)
    expect(peer.isClosed).toBe(false)
    peer.end()
    expect(peer.isClosed).toBe(true)
    expect(http.seen).toEqual([])
  })

  it('answers 413 to chunks that become too large, without keeping them', async () => {
    const { http, peer } = await exchange(`${CHUNKED}3e0\r\n${'x'.repeat(992)}\r\n9\r\n`)
    expect(statuses(peer.received)).toEqual([413])
    for (let i = 0; i < 12; i++) {
      peer.send('x'.repeat(1000))
      http.advance(900)
    }
    expect([peer.isClosed, http.seen.length]).toEqual([true, 0])
  })

  it('takes memory as a body arrives, and answers 503 when the budget is spent', async () => {
    const http = new TestHttp({ bodies: 10_000 }, 100_000)
    const announced = Array.from({ length: 20 }, () => http.connect())
    for (const peer of announced) peer.send(sized(9000))
    const real = http.connect()
    real.send(sized(9000))
    real.send('x'.repeat(8999))
    const late = http.connect()
    late.send(sized(9000))
    late.send('y'.repeat(5000))
    expect(statuses(late.received)).toEqual([503])
    expect(late.received).toContain('retry-after: 1')
    real.send('x')
    await settled()
    expect(http.seen[0]?.body.length).toBe(9000)
    // The answered request has released its memory.
    announced[0]?.send('z'.repeat(8999))
    announced[0]?.send('z')
    await settled()
    expect(http.seen.length).toBe(2)
    announced[1]?.send('z'.repeat(8999))
    announced[1]?.vanish()
    announced[2]?.send('z'.repeat(8999))
    expect(announced[2]?.received).toBe('')
  })

  it('ignores the body of a GET, and closes the connection', async () => {
    const { http, peer } = await exchange(
      `GET /1 HTTP/1.1\r\n${HOST}Content-Length: 5\r\n\r\nhelloGET /2 HTTP/1.1\r\n${HOST}\r\n`,
    )
    expect(http.seen.map(({ target }) => target)).toEqual(['/1'])
    expect(peer.received).toMatch(/connection: close/)
  })
})

describe('invalid requests', () => {
  it.each<readonly [string, string]>([
    ...MALFORMED,
    ['two spaces', `GET  / HTTP/1.1\r\n${HOST}\r\n`],
    ['a chunk size that is too long', `${CHUNKED}000000003\r\nabc\r\n0\r\n\r\n`],
  ])('%s: 400', async (_, text) => {
    const { http, peer } = await exchange(text)
    expect(peer.received).toMatch(
      /^HTTP\/1\.1 400 Bad Request\r\n[^]*connection: close\r\n[^]*"code":"bad-request"/,
    )
    expect(http.seen).toEqual([])
    // The server ignores further bytes.
    peer.send(`GET /smuggled HTTP/1.1\r\n${HOST}\r\n`)
    await settled()
    http.advance(1100)
    expect([http.seen, statuses(peer.received), peer.isClosed]).toEqual([[], [400], true])
  })

  it.each<readonly [string, number, string]>([
    ...REFUSED,
    ['a request line without an end', 414, 'G'.repeat(9000)],
    ['a long chunk extension', 413, `${CHUNKED}3;${'a'.repeat(300)}\r\nabc\r\n0\r\n\r\n`],
    ['many chunk extensions', 413, `${CHUNKED}${`1;${'a'.repeat(200)}\r\nx\r\n`.repeat(30)}0\r\n\r\n`],
  ])('%s: %i', async (_, status, text) => {
    const { http, peer } = await exchange(text)
    expect([statuses(peer.received), http.seen]).toEqual([[status], []])
  })

  it('accepts an IPv6 host', async () => {
    expect(statuses((await exchange('GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n')).peer.received)).toEqual([
      200,
    ])
  })
})

describe('slow peers', () => {
  it('answers 408 to an incomplete head', async () => {
    const http = new TestHttp({ headTimeout: 3000, idleTimeout: 10_000 })
    const peer = http.connect()
    for (let i = 0; i < 10 && peer.received === ''; i++) {
      peer.send(i === 0 ? 'GET / HTTP/1.1\r\n' : 'X-A: b\r\n')
      http.advance(500)
    }
    expect(statuses(peer.received)).toEqual([408])
    http.advance(1500)
    expect(peer.isClosed).toBe(true)
  })

  it('answers 408 to a body that arrives one byte at a time', async () => {
    const http = new TestHttp({ requestTimeout: 5000, idleTimeout: 2000 })
    const [drips, stops] = [http.connect(), http.connect()]
    for (const peer of [drips, stops]) peer.send(sized(100))
    for (let i = 0; i < 40 && drips.received === ''; i++) {
      drips.send('x')
      http.advance(500)
    }
    expect(statuses(drips.received)).toEqual([408])
    expect(statuses(stops.received)).toEqual([408])
    expect(http.seen).toEqual([])
  })

  it('closes a silent connection without an answer, before and after a request', async () => {
    const http = new TestHttp({ idleTimeout: 2000 })
    const silent = http.connect()
    http.advance(3100)
    expect([silent.isClosed, silent.received]).toEqual([true, ''])
    const { peer } = await exchange(`GET / HTTP/1.1\r\n${HOST}\r\n`, http)
    http.advance(1500)
    expect(peer.isClosed).toBe(false)
    http.advance(1600)
    expect(peer.isClosed).toBe(true)
    expect(http.server.connections).toBe(0)
  })

  it('waits for a slow answer', async () => {
    const http = new TestHttp()
    http.answer = () => new Promise(() => undefined)
    const { peer } = await exchange(`GET / HTTP/1.1\r\n${HOST}\r\n`, http)
    http.advance(500_000)
    expect(peer.isClosed).toBe(false)
  })
})

async function run(pieces: readonly Uint8Array[]): Promise<unknown> {
  const http = new TestHttp()
  const peer = http.connect()
  for (const piece of pieces) {
    if (peer.isClosed) break
    peer.sendBytes(piece)
    await settled()
  }
  http.advance(1100)
  return [http.seen, peer.received, peer.isClosed]
}

function cut(bytes: Uint8Array, cuts: readonly number[]): Uint8Array[] {
  const at = [...new Set(cuts.map((n) => n % bytes.length))].sort((a, b) => a - b)
  return [0, ...at].map((from, i) => bytes.subarray(from, at[i] ?? bytes.length)).filter((p) => p.length > 0)
}

describe('arbitrary bytes', () => {
  const streams = [
    `GET /1 HTTP/1.1\r\n${HOST}\r\n\r\nGET /2 HTTP/1.1\r\n${HOST}X-A: a\r\n\r\n`,
    `${sized(5)}hello${CHUNKED}3;a\r\nabc\r\n5\r\n\r\n\r\n\r\r\n0\r\nX-A: b\r\n\r\nGET /3 HTTP/1.1\r\n${HOST}\r\n`,
    `${sized(3, 'Expect: 100-continue\r\n')}abcGET /4 HTTP/1.1\r\n${HOST}Connection: close\r\n\r\nGET /5 HTTP/1.1\r\n${HOST}\r\n`,
    `GET /6 HTTP/1.1\r\n${HOST}Content-Length: 3\r\n\r\nabcGET /7 HTTP/1.1\r\n${HOST}\r\n`,
    `${sized(3)}abc${CHUNKED}3\r\nabcd\r\n`,
    `GET /8 HTTP/1.1\r\n${HOST}\r\nGET /9 HTTP/1.1\r\nHost: localhost\n\r\n`,
    `${CHUNKED}5;${'x'.repeat(260)}\r\n`,
    `GET /${'a'.repeat(8200)} HTTP/1.1\r\n`,
    `GET / HTTP/1.1\r\n${HOST}${'X-A: b\r\n'.repeat(2100)}\r\n`,
    `${sized(2000)}${'a'.repeat(2000)}`,
  ]

  it.each(streams.map((text) => [text.slice(0, 60), text]))(
    'get the same answers however they are split: %j',
    async (_, text) => {
      const bytes = pureBytes(text)
      const whole = await run([bytes])
      await fc.assert(
        fc.asyncProperty(fc.array(fc.nat(), { maxLength: 40 }), async (cuts) => {
          expect(await run(cut(bytes, cuts))).toEqual(whole)
        }),
        { numRuns: 60 },
      )
      if (bytes.length < 1000)
        expect(await run(Array.from(bytes, (byte) => Uint8Array.of(byte)))).toEqual(whole)
    },
  )

  it('get an answer or a timeout, and never cause an internal error', async () => {
    const piece = fc.oneof(
      fc.constantFrom(
        'GET / HTTP/1.1\r\n',
        HOST,
        '\r\n',
        '\r',
        '\n',
        'POST / HTTP/1.1\r\n',
        '0\r\n\r\n',
        '5\r\nhello\r\n',
      ),
      fc.constantFrom(
        'Content-Length: 3\r\n',
        'Transfer-Encoding: chunked\r\n',
        'Expect: 100-continue\r\n',
        ' ',
        ':',
      ),
      fc.string({ unit: fc.nat(255).map((n) => String.fromCharCode(n)), maxLength: 20 }),
    )
    await fc.assert(
      fc.asyncProperty(fc.array(piece, { maxLength: 20 }), async (pieces) => {
        const http = new TestHttp()
        const peer = http.connect()
        for (const text of pieces) {
          if (text === '' || peer.isClosed) continue
          peer.send(text)
          await settled()
        }
        expect(http.reports).toEqual([])
        http.advance(200_000)
        expect([peer.isClosed, http.server.connections]).toEqual([true, 0])
      }),
      { numRuns: 500 },
    )
  })
})
