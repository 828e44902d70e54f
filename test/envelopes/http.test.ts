// HTTP/1.1, byte for byte: both daemons' answers to requests that no ordinary client sends.

import { connect } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { daemonBuilt } from '../support/daemon.ts'
import { sleep } from '../support/process.ts'
import { bundleBuilt, startEnvelope, type EnvelopeDaemon } from './daemons.ts'
import { noPsdb } from './psdb.ts'

type Parts = readonly (string | Buffer)[]

const HEAD = 'Host: localhost\r\nX-Foundry-Module-ID: acme\r\nConnection: close\r\n'
const get = (more = '', target = '/healthz'): Parts => [`GET ${target} HTTP/1.1\r\n${HEAD}${more}\r\n`]
const latin1 = (parts: Parts): Parts => [Buffer.from(parts.join(''), 'latin1')]
const post = (headers: string, body: Parts = []): Parts => [
  `POST /v1/append HTTP/1.1\r\n${HEAD}Content-Type: application/json\r\n${headers}\r\n`,
  ...body,
]
const record = (id: string): string => `{"payload_id":"${id}","payload":1}`
const length = (text: string): string => `Content-Length: ${text.length}\r\n`
const LARGE = 2 ** 24 + 1

/** The expected status of both, and the code if it is a problem. */
const ANSWERED: Readonly<Record<string, readonly [Parts, ...answers: string[]]>> = {
  'a request': [get(), '200'],
  'two requests at once': [[`GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n`, ...get()], '200', '200'],
  'HTTP/1.0': [['GET /healthz HTTP/1.0\r\nHost: localhost\r\n\r\n'], '200'],
  'an empty line first': [['\r\n', ...get()], '200'],
  'eight empty lines first': [['\r\n', '\r\n\r\n\r\n\r', '\n\r\n\r\n\r\n', ...get()], '200'],
  'a head in pieces': [
    ['GET /hea', 'lthz HTTP/1.1\r\nHo', 'st: localhost\r', '\nConnection: close\r\n\r', '\n'],
    '200',
  ],
  'a full URL': [get('', 'http://localhost/healthz'), '200'],
  'a host with a port': [['GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:9\r\nConnection: close\r\n\r\n'], '200'],
  'an IPv6 host': [['GET /healthz HTTP/1.1\r\nHost: [::1]:9\r\nConnection: close\r\n\r\n'], '200'],
  'another host': [['GET /healthz HTTP/1.1\r\nHost: evil.example\r\n\r\n'], '421 misdirected'],
  'two hosts': [get('Host: localhost\r\n'), '400 bad-request'],
  'no host': [['GET /healthz HTTP/1.1\r\n\r\n'], '400 bad-request'],
  'another version': [[`GET /healthz HTTP/2.0\r\n${HEAD}\r\n`], '400 bad-request'],
  'a long request line': [get('', `/${'a'.repeat(9000)}`), '414 target-too-long'],
  'an unknown expectation': [get('Expect: miracles\r\n'), '200'],
  CONNECT: [[`CONNECT localhost:443 HTTP/1.1\r\n${HEAD}\r\n`], '404 no-route'],
  'a request, then bytes that are not HTTP': [
    ['GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\nhello\r\n\r\n'],
    '200',
    '400 bad-request',
  ],
  'an empty host': [['GET /healthz HTTP/1.1\r\nHost: \r\nConnection: close\r\n\r\n'], '421 misdirected'],
  'a method of another protocol': [[`PROPFIND /healthz HTTP/1.1\r\n${HEAD}\r\n`], '405 method-not-allowed'],
  'a fragment': [get('', '/healthz#x'), '404 no-route'],
  'bytes in a header': [latin1(get('X-A: \xff\r\n')), '200'],
  'a tenant twice': [get('X-Foundry-Module-ID: acme\r\n', '/checkpoint'), '403 module-id-mismatch'],
  'a request id twice': [get('X-Foundry-Request-ID: a\r\nX-Foundry-Request-ID: b\r\n'), '400 bad-request'],
  'many headers': [get('a: b\r\n'.repeat(2000)), '200'],
  'a large header': [get(`X-A: ${'x'.repeat(20_000)}\r\n`), '431 headers-too-large'],
  'a body to GET': [[...get('Content-Length: 5\r\n'), 'hello'], '200'],
  'no body': [post(''), '400 bad-request'],
  'a body in pieces': [
    post(length(record('pieces')), [record('pieces').slice(0, 9), record('pieces').slice(9)]),
    '200',
  ],
  'a chunk that is not as long as it says': [
    post('Transfer-Encoding: chunked\r\n', [
      '1\r\n{\r\n',
      '1f;x=y\r\n"payload_id":"chunks","payload":',
      '1\r\n',
      '1\r\n}\r\n0\r\n\r\n',
    ]),
    '400 bad-request',
  ],
  chunks: [
    post('Transfer-Encoding: chunked\r\n', [
      '1\r\n{\r\n',
      '20\r\n"payload_id":"chunked","payload"\r\n',
      '3\r\n:1}\r\n0\r\nX-T: y\r\n\r\n',
    ]),
    '200',
  ],
  'a length over the limit': [post(`X-Payload-ID: a\r\nContent-Length: ${LARGE}\r\n`), '413 too-large'],
  'chunks over the limit': [
    post('X-Payload-ID: a\r\nTransfer-Encoding: chunked\r\n', [
      `${LARGE.toString(16)}\r\n`,
      Buffer.alloc(LARGE),
    ]),
    '413 too-large',
  ],
  Expect: [post(`Expect: 100-continue\r\n${length(record('expect'))}`, [record('expect')]), '100', '200'],
  'Expect over the limit': [
    post(`X-Payload-ID: a\r\nExpect: 100-continue\r\nContent-Length: ${LARGE}\r\n`),
    '413 too-large',
  ],
}

/** Both must refuse this, with any code: a server that accepts it may read it differently from a proxy in front of it. */
const REFUSED: Readonly<Record<string, Parts>> = {
  'no HTTP': ['hello\r\n\r\n'],
  'lines without CR': [`GET /healthz HTTP/1.1\nHost: localhost\n\n`],
  'a space before the colon': get('X-A : b\r\n'),
  'a line without a colon': get('X-A\r\n'),
  'a folded line': get('X-A: b\r\n c\r\n'),
  'NUL in a header': get('X-A: b\0c\r\n'),
  'CR in a header': get('X-A: b\rc\r\n'),
  'a tab in the target': get('', '/health\tz'),
  'a space in the target': get('', '/health z'),
  'bytes in the target': latin1(get('', '/v1/records/\xff')),
  'a method in small letters': [`get /healthz HTTP/1.1\r\n${HEAD}\r\n`],
  'two lengths': post('Content-Length: 2\r\nContent-Length: 3\r\n', ['{}']),
  'a list of lengths': post('Content-Length: 2, 2\r\n', ['{}']),
  'a negative length': post('Content-Length: -2\r\n', ['{}']),
  'a length with a sign': post('Content-Length: +2\r\n', ['{}']),
  'a hexadecimal length': post('Content-Length: 0x2\r\n', ['{}']),
  'a length of 20 digits': post('Content-Length: 99999999999999999999\r\n', ['{}']),
  'a length and chunks': post('Transfer-Encoding: chunked\r\nContent-Length: 5\r\n', ['0\r\n\r\n']),
  'another transfer coding': post('Transfer-Encoding: gzip, chunked\r\n', ['0\r\n\r\n']),
  'no transfer coding': post('Transfer-Encoding: identity\r\n'),
  'a chunk without a valid size': post('Transfer-Encoding: chunked\r\n', ['zz\r\n']),
}

/** The statuses and codes of a daemon's answers, until it closes the connection or has sent `answers` of them. */
function exchange(url: string, parts: Parts, answers: number): Promise<string[]> {
  return new Promise((resolve) => {
    const socket = connect(Number(new URL(url).port), '127.0.0.1')
    let text = ''
    const found = (): string[] =>
      [
        ...text.matchAll(/HTTP\/1\.1 (\d{3})[^\r]*\r\n(?:[^\r\n]+\r\n)*\r\n(?:\{[^\n]*?"code":"([\w-]+)")?/g),
      ].map(([, status, code]) => (code === undefined ? `${status}` : `${status} ${code}`))
    const end = (): void => {
      clearTimeout(timer)
      socket.destroy()
      resolve(found())
    }
    const timer = setTimeout(end, 20_000)
    socket.setEncoding('latin1')
    socket.on('data', (piece: string) => {
      text += piece
      // The last answer's body is short and arrives with its head.
      if (found().length >= answers) setTimeout(end, 50)
    })
    socket.on('error', () => undefined)
    socket.on('close', end)
    void (async () => {
      for (const part of parts) {
        socket.write(part)
        await sleep(10)
      }
    })()
  })
}

describe.skipIf(!daemonBuilt || !bundleBuilt || noPsdb !== undefined)('HTTP/1.1 to both daemons', () => {
  const daemons: EnvelopeDaemon[] = []
  beforeAll(async () => {
    daemons.push(await startEnvelope('a'), await startEnvelope('b'))
  })
  afterAll(async () => {
    for (const daemon of daemons) await daemon.dispose()
  })

  it.each(Object.entries(ANSWERED))('%s', async (_, [parts, ...expected]) => {
    const found = daemons.map((daemon) => exchange(daemon.url(), parts, expected.length))
    expect(await Promise.all(found)).toEqual([expected, expected])
  })

  it.each(Object.entries(REFUSED))('%s is refused', async (_, parts) => {
    for (const daemon of daemons) {
      const [status = 'none', ...more] = await exchange(daemon.url(), parts, 1)
      expect([/^4\d\d/.test(status), more], status).toEqual([true, []])
    }
  })
})
