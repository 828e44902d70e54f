import { gzipSync } from 'node:zlib'
import { afterEach, describe, expect, it } from 'vitest'
import { Connection, parseBaseUrl, type ConnectionOptions } from './http.ts'
import { startServer, type TestServer } from './testing.ts'
import * as byFetch from './transport-fetch.ts'
import * as byUndici from './transport-node.ts'
import type { Transport, TransportOptions } from './transport.ts'

const cleanups: (() => Promise<void>)[] = []

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

const busy: Parameters<typeof startServer>[0] = (_, response) => {
  response
    .writeHead(503, { 'content-type': 'application/problem+json' })
    .end('{"code":"busy","detail":"too many"}')
}

it('a base URL must be an http or https URL with a path', () => {
  expect(parseBaseUrl('http://127.0.0.1:8080').href).toBe('http://127.0.0.1:8080/')
  expect(parseBaseUrl('https://example.org/t/acme').href).toBe('https://example.org/t/acme/')
  for (const bad of [
    '',
    'example.org',
    'ftp://example.org',
    'http://a:b@example.org',
    'http://example.org?x=1',
  ]) {
    expect(() => parseBaseUrl(bad)).toThrow(expect.objectContaining({ code: 'usage' }))
  }
})

type Open = (origin: string, options: TransportOptions) => Transport

/** Passes the origin without its trailing slash: undici accepts only this form, and fetch appends an absolute path to it. */
const withoutSlash =
  (open: Open): Open =>
  (url, options) =>
    open(new URL(url).origin, options)

describe.each([
  { name: 'undici', openTransport: withoutSlash(byUndici.openTransport) },
  { name: 'fetch', openTransport: withoutSlash(byFetch.openTransport) },
])('a connection by $name', ({ openTransport }) => {
  async function connected(
    handle: Parameters<typeof startServer>[0],
    options: ConnectionOptions = {},
  ): Promise<{ server: TestServer; connection: Connection }> {
    const server = await startServer(handle)
    const connection = new Connection(server.url + 't/acme', options, openTransport(server.url, options))
    cleanups.push(
      () => server.close(),
      () => connection.close(),
    )
    return { server, connection }
  }

  it('a connection sends the tenant and the token, joins the paths, and reads gzip', async () => {
    const { server, connection } = await connected(
      (request, response) => {
        response.writeHead(200, { 'content-encoding': 'gzip' })
        response.end(
          gzipSync(
            `${String(request.headers['x-foundry-module-id'])} ${String(request.headers['authorization'])}`,
          ),
        )
      },
      { moduleId: 'acme', token: 'secret' },
    )
    expect(await connection.askText('checkpoint')).toBe('acme Bearer secret')
    await connection.audit().ask('checkpoint')
    expect(server.asked).toEqual(['/t/acme/checkpoint', '/t/acme/audit/checkpoint'])
    await expect(connection.ask('checkpoint', { limit: 4 })).rejects.toMatchObject({ code: 'malformed' })
  })

  it.each([429, 503])(
    'a connection retries after the pause in Retry-After when a ledger answers %s',
    async (status) => {
      let turnedAway = 3
      const { server, connection } = await connected((_, response) => {
        turnedAway -= 1
        if (turnedAway > 0)
          response
            .writeHead(status, { 'retry-after': '0', 'content-type': 'application/problem+json' })
            .end('{"code":"busy"}')
        else response.end('{"ok":true}')
      })
      expect(await connection.askJson('v1/contract')).toEqual({ ok: true })
      expect(server.asked).toHaveLength(3)
    },
  )

  it('a connection gives up on a busy ledger after the patience', async () => {
    const { connection } = await connected(busy, { patience: 200 })
    await expect(connection.ask('v1/append')).rejects.toMatchObject({
      code: 'busy',
      status: 503,
      detail: 'too many',
    })
  })

  it('a connection reconnects when it breaks, and reports a failure to connect', async () => {
    let broken = 2
    const { server, connection } = await connected((request, response) => {
      broken -= 1
      if (broken >= 0) request.socket.destroy()
      else response.end('here')
    })
    expect(await connection.askText('checkpoint')).toBe('here')
    expect(server.asked).toHaveLength(3)
    const nowhere = 'http://127.0.0.1:9'
    const nobody = new Connection(nowhere, { retries: 1 }, openTransport(nowhere, {}))
    await expect(nobody.ask('checkpoint')).rejects.toMatchObject({ code: 'connection' })
    await nobody.close()
  })

  it('a connection turns problem documents and other error responses into errors', async () => {
    const { connection } = await connected((request, response) => {
      const document = {
        code: 'module-id-mismatch',
        title: 'Wrong tenant',
        detail: 'expected tenant a, found b',
      }
      if (request.url?.endsWith('problem') === true)
        response.writeHead(403, { 'content-type': 'application/problem+json' }).end(JSON.stringify(document))
      else response.writeHead(404).end('no')
    })
    await expect(connection.ask('problem')).rejects.toMatchObject({
      code: 'module-id-mismatch',
      status: 403,
      message: 'expected tenant a, found b',
    })
    await expect(connection.ask('other')).rejects.toMatchObject({ code: 'not-found', status: 404 })
  })

  it('a connection reads lines from any chunks, and reports a truncated response', async () => {
    const { connection } = await connected((request, response) => {
      response.write('{"a":1}\n{"b"')
      setTimeout(() => {
        if (request.url?.endsWith('whole') === true) response.end(':"ü"}\n\n')
        else response.end()
      }, 20)
    })
    const lines: string[] = []
    for await (const line of connection.askLines('whole')) lines.push(line)
    expect(lines).toEqual(['{"a":1}', '{"b":"ü"}'])
    await expect(async () => {
      for await (const line of connection.askLines('cut')) lines.push(line)
    }).rejects.toMatchObject({ code: 'connection' })
  })

  it.each([204, 206, 301, 302, 307])('a connection rejects a response %s', async (status) => {
    const { connection } = await connected((_, response) => {
      response.writeHead(status, { location: 'https://example.org/' }).end()
    })
    await expect(connection.ask('v1/entries')).rejects.toMatchObject({ code: 'http', status })
    await expect(connection.askLines('v1/entries').next()).rejects.toMatchObject({ code: 'http', status })
  })

  it('a connection ends a response that is silent for too long', async () => {
    const { connection } = await connected((_, response) => void response.write('begun\n'), { retries: 0 })
    const silent = connection.ask('v1/entries', { silence: 100 })
    await expect(silent).rejects.toMatchObject({ code: 'connection' })
    const lines = connection.askLines('v1/follow', { silence: 100 })
    expect(await lines.next()).toEqual({ done: false, value: 'begun' })
    await expect(lines.next()).rejects.toMatchObject({ code: 'connection' })
  })

  it('a connection is closed when the caller stops reading a response', async () => {
    let closed: (() => void) | undefined
    const gone = new Promise<void>((resolve) => (closed = resolve))
    const { connection } = await connected((request, response) => {
      request.socket.on('close', () => closed?.())
      response.write('one\n')
    })
    for await (const line of connection.askLines('v1/follow')) {
      expect(line).toBe('one')
      break
    }
    await gone
  })

  it('the requests under way fail when a connection is closed', async () => {
    let arrived: (() => void) | undefined
    const asked = new Promise<void>((resolve) => (arrived = resolve))
    const { connection } = await connected(() => arrived?.())
    const answer = expect(connection.ask('checkpoint')).rejects.toThrow(/clos|destroy/)
    await asked
    await connection.close()
    await answer
  })
})

it('a connection by fetch accepts no certificates', () => {
  expect(() => byFetch.openTransport('https://example.org', { tls: { ca: 'PEM' } })).toThrow(
    expect.objectContaining({ code: 'usage' }),
  )
  byFetch.openTransport('https://example.org', { tls: {} })
})
