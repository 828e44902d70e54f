/** Tests that `serve` and the front, each with a parser of its own, parse HTTP as strictly as Envelope B does. */
import { mkdtemp, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { isLocalName } from '@service-fs/wire/host-name'
import { ACCEPTED, HOST, MALFORMED, REFUSED } from '@service-fs/wire/http-cases'
import { startTestFront } from './testing.ts'
import { identityOf } from './identity-headers.ts'
import { startHttp, type HttpServer } from '@service-fs/http/http'
import { openTenant, type Tenant } from '../tenant/tenant.ts'

let dir: string
let tenant: Tenant
let inner: HttpServer
const servers = new Map<string, HttpServer>()

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'strict-'))
  tenant = await openTenant({ moduleId: 'test', root: dir })
  const path = join(dir, 'socket')
  const listen = { host: '127.0.0.1', port: 0 }
  inner = await startHttp({ path }, { wire: tenant.wire, authenticate: identityOf })
  servers.set('serve', await startHttp(listen, { wire: tenant.wire, accepts: isLocalName }))
  servers.set('front', await startTestFront(path))
})
afterAll(async () => {
  for (const server of servers.values()) await server.stop(100)
  await inner.stop(100)
  await tenant.close()
  await rm(dir, { recursive: true, force: true })
})

/** Sends text, and returns the bytes received until the connection closes, or until they match `enough`. */
function exchange(server: string, text: string, enough?: RegExp): Promise<string> {
  return new Promise((resolve, reject) => {
    const port = Number(new URL(servers.get(server)?.url ?? '').port)
    const socket = connect(port, '127.0.0.1', () => socket.write(text, 'latin1'))
    let got = ''
    socket.setEncoding('utf8')
    socket.on('data', (chunk: string) => {
      got += chunk
      if (enough?.test(got) === true) socket.destroy()
    })
    socket.on('error', reject)
    socket.on('close', () => resolve(got))
  })
}

const statuses = (received: string): number[] =>
  [...received.matchAll(/HTTP\/1\.1 (\d+) /g)].map(([, status]) => Number(status))

const GET = `GET /v1/checkpoint HTTP/1.1\r\n${HOST}\r\n`
const HEALTH = 'GET /healthz HTTP/1.1\r\nHost: localhost\r\n'
const LAST = `${HEALTH}Connection: close\r\n\r\n`
const raw = (id: string, body: string): string =>
  `POST /v1/append HTTP/1.1\r\n${HOST}X-Payload-ID: ${id}\r\nContent-Length: ${body.length}\r\n\r\n${body}`

describe.each(['serve', 'front'])('%s', (server) => {
  it.concurrent.each([
    ...MALFORMED.map(([name, text]) => [name, 400, text] as const),
    ...REFUSED,
    [
      'no Host, which Node.js would answer without a problem document',
      400,
      'GET / HTTP/1.1\r\n\r\n',
    ] as const,
    ['HTTP/0.9', 400, `GET / HTTP/0.9\r\n${HOST}\r\n`] as const,
  ])('%s: %i', async (_, status, text) => {
    // The server must not parse the next bytes as a request.
    const got = await exchange(server, `${text}${raw('smuggled', 'x')}`)
    expect(statuses(got)).toEqual([status])
    expect(got).toMatch(/\r\nconnection: close\r\n/i)
    expect(got).toMatch(/\r\ncontent-type: application\/problem\+json\r\n/)
  })

  it('records none of the malformed requests', () => {
    expect(tenant.ledger.size).toBe(0)
  })

  it.each(ACCEPTED)('%s: 200', async (_, text) => {
    const got = await exchange(server, `${text}${LAST}`)
    expect(statuses(got)).toEqual([200, 200])
  })

  it.each(['miracles', '100-continue'])('rejects a malformed body after Expect: %s', async (expectation) => {
    const head = `POST /v1/append HTTP/1.1\r\n${HOST}Content-Type: application/json\r\nContent-Length: 1\r\n`
    const got = await exchange(server, `${head}Expect: ${expectation}\r\n\r\n{`, /bad-request/)
    // A client that does not ask for 100 (Continue) receives none. A client that has sent its body may receive none.
    expect(statuses(got).at(-1)).toBe(400)
    expect(statuses(got).length).toBeLessThan(expectation === 'miracles' ? 2 : 3)
  })

  it('answers CONNECT and closes the connection', async () => {
    const got = await exchange(server, `CONNECT example.org:443 HTTP/1.1\r\n${HOST}\r\n`)
    expect(statuses(got)).toEqual([404])
    expect(got).toContain('"code":"no-route"')
  })

  it.each([
    ['an unknown method', `FOO /v1/checkpoint HTTP/1.1\r\n${HOST}Connection: close\r\n\r\n`, 400, 405],
    ['nine empty lines', '\r\n'.repeat(9) + LAST, 200, 400],
    ['a second space in the request line', LAST.replace(' ', '  '), 200, 400],
  ])('differs as docs/wire.md says: %s', async (_, text, serve, front) => {
    expect(statuses(await exchange(server, text))).toEqual([server === 'serve' ? serve : front])
  })

  it('answers HTTP/1.0', async () => {
    expect(statuses(await exchange(server, 'GET /healthz HTTP/1.0\r\nHost: localhost\r\n\r\n'))).toEqual([
      200,
    ])
  })

  it('answers pipelined requests in order, one at a time', async () => {
    const got = await exchange(server, `${HEALTH}\r\n${GET}GET /nothing HTTP/1.1\r\n${HOST}\r\n${GET}${LAST}`)
    expect(statuses(got)).toEqual([200, 200, 404, 200, 200])
    const [first, second] = [...got.matchAll(/x-audit-index: (\d+)/g)].map(([, index]) => Number(index))
    expect(second).toBe((first ?? 0) + 1)
  })

  it('answers two requests, then rejects the garbage after them', async () => {
    const got = await exchange(server, `${GET}${GET}HELLO\r\n\r\n${LAST}`)
    expect(statuses(got)).toEqual([200, 200, 400])
  })

  it('rejects a malformed body after a valid request', async () => {
    const got = await exchange(
      server,
      `${GET}POST /v1/append HTTP/1.1\r\n${HOST}X-Payload-ID: g\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n${LAST}`,
    )
    expect(statuses(got)).toEqual([200, 400])
    expect(tenant.ledger.size).toBe(0)
  })

  it('limits the unanswered requests of a connection', async () => {
    const got = await exchange(server, GET.repeat(500)).catch((error: Error) => error.message)
    expect(statuses(got).length).toBeLessThan(70)
    expect(statuses(await exchange(server, LAST))).toEqual([200])
    expect(statuses(await exchange(server, `${GET.repeat(60)}${LAST}`))).toHaveLength(61)
  })
})

// These come after the tests that expect an empty ledger.
describe.each(['serve', 'front'])('%s, when Connection names a field', (server) => {
  it.each(['Content-Length', 'close, content-length , Host', 'Transfer-Encoding'])(
    'reads the body by its length: %s',
    async (named) => {
      const { size } = tenant.ledger
      const inside = raw('smuggled', 'x').replace(
        '\r\n',
        '\r\nX-Service-FS-Subject: root\r\nX-Service-FS-Roles: *\r\n',
      )
      const head = `POST /v1/append HTTP/1.1\r\n${HOST}X-Payload-ID: ${server}-${named.length}\r\nConnection: ${named}\r\n`
      const got = await exchange(server, `${head}Content-Length: ${inside.length}\r\n\r\n${inside}${LAST}`)
      expect(statuses(got)).toEqual(named.startsWith('close') ? [200] : [200, 200])
      expect(tenant.ledger.size).toBe(size + 1)
      const { payload } = await tenant.ledger.record(size)
      expect(Buffer.from(payload).toString('latin1')).toBe(inside)
    },
  )
})
