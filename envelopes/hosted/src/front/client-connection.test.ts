/** Tests the front with connections that are slow, stop halfway, or never read. */
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect as connectTls } from 'node:tls'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { Connections } from '@service-fs/http/connections'
import type { HttpServer, ListenerOptions, TlsMaterial } from '@service-fs/http/listener'
import { hasOpenssl, issue, makeCa } from '@service-fs/http/testing-certificates'
import { startClientListener } from './client-listener.ts'
import type { ClientRequest } from './client-request.ts'

const LISTEN = { host: '127.0.0.1', port: 0 }
const GET = 'GET / HTTP/1.1\r\nHost: localhost\r\n'
const LAST = `${GET}Connection: close\r\n\r\n`

const report = (error: unknown): void => {
  throw error
}

async function withServer(
  options: ListenerOptions,
  handle: (request: ClientRequest) => Promise<void>,
  test: (port: number, server: HttpServer) => Promise<void>,
): Promise<void> {
  const server = await startClientListener(LISTEN, { report, ...options }, handle)
  try {
    await test(Number(new URL(server.url).port), server)
  } finally {
    await server.stop(0)
  }
}

const hello = (request: ClientRequest): Promise<void> =>
  request.answer({ status: 200, headers: {}, body: 'hello' })

const states = (connections: Connections): number[] =>
  (['silent', 'idle', 'busy'] as const).map((state) => connections.count(state))

it('the front counts a connection as idle after its last response', async () => {
  const connections = new Connections()
  await withServer({ connections }, hello, async (port) => {
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
    let got = ''
    socket.on('data', (bytes) => (got += bytes.toString()))
    socket.write(LAST)
    await expect.poll(() => got).toContain('hello')
    expect(states(connections)).toEqual([0, 1, 0])
    socket.destroy()
    await expect.poll(() => states(connections)).toEqual([0, 0, 0])
  })
})

it('the front closes a connection whose client sends bytes but does not read its last response', async () => {
  const connections = new Connections()
  const body = Buffer.alloc(32 * 2 ** 20)
  const handle = (request: ClientRequest): Promise<void> => request.answer({ status: 200, headers: {}, body })
  await withServer({ connections, requestTimeout: 500 }, handle, async (port) => {
    const socket = connect(port, '127.0.0.1')
    // A server that closes with unread bytes resets the connection.
    socket.on('error', () => undefined)
    socket.write(LAST)
    socket.pause()
    const sending = setInterval(() => socket.write('x'), 20)
    await expect.poll(() => states(connections)).toEqual([0, 1, 0])
    await expect.poll(() => states(connections)).toEqual([0, 0, 0])
    clearInterval(sending)
    socket.destroy()
  })
})

it('the front answers a pipelined request after the client has slowly read the preceding response', async () => {
  const body = Buffer.alloc(16 * 2 ** 20, 'x')
  const handle = (request: ClientRequest): Promise<void> => request.answer({ status: 200, headers: {}, body })
  await withServer({ headersTimeout: 200, keepAliveTimeout: 200 }, handle, async (port) => {
    const socket = connect(port, '127.0.0.1')
    socket.write(`${GET}\r\n${LAST}`)
    await sleep(1500)
    const pieces: Buffer[] = []
    for await (const piece of socket as AsyncIterable<Buffer>) pieces.push(piece)
    const got = Buffer.concat(pieces)
    expect(got.toString('latin1').split('HTTP/1.1 200 OK')).toHaveLength(3)
    expect(got.length).toBeGreaterThan(2 * body.length)
  })
})

it.each(['a\r\nb', 'a\u010d\u010ab'])(
  'the front closes a connection rather than send the field value %j',
  async (value) => {
    const reports: unknown[] = []
    const options = { report: (error: unknown) => void reports.push(error) }
    const handle = (request: ClientRequest): Promise<void> =>
      request.answer({ status: 200, headers: { etag: value }, body: '' })
    await withServer(options, handle, async (port) => {
      const socket = connect(port, '127.0.0.1')
      socket.write(LAST)
      let got = ''
      for await (const piece of socket as AsyncIterable<Buffer>) got += piece.toString()
      expect(got).toBe('')
      expect(reports).toEqual([new TypeError('etag: expected printable ASCII')])
    })
  },
)

it('the front reports that a connection could not be accepted, and accepts the next one', async () => {
  const connections = new Connections()
  const watch = vi.spyOn(connections, 'watch')
  const reports: unknown[] = []
  const options = { connections, report: (error: unknown) => void reports.push(error) }
  await withServer(options, hello, async (port) => {
    const error = new Error('accept ENFILE')
    watch.mock.calls[0]?.[0].emit('error', error)
    expect(reports).toEqual([error])
    const socket = connect(port, '127.0.0.1')
    socket.write(LAST)
    const [bytes] = (await once(socket, 'data')) as [Buffer]
    expect(bytes.toString()).toContain('hello')
    socket.destroy()
  })
})

it.each([204, 304])('the front sends no last chunk after %i', async (status) => {
  const handle = async (request: ClientRequest): Promise<void> => {
    request.respond(status, '', 'chunked')
    request.end()
  }
  await withServer({}, handle, async (port) => {
    const socket = connect(port, '127.0.0.1')
    let got = ''
    socket.on('data', (bytes) => (got += bytes.toString()))
    socket.write(`${GET}\r\n${LAST}`)
    await once(socket, 'close')
    expect(got.replaceAll(/ [A-Z][A-Za-z ]+\r\n/g, '\r\n')).toBe(
      `HTTP/1.1 ${status}\r\n\r\nHTTP/1.1 ${status}\r\nconnection: close\r\n\r\n`,
    )
  })
})

const why = hasOpenssl ? '' : ' (skipped: no openssl)'

describe.skipIf(!hasOpenssl)(`TLS${why}`, () => {
  let dir: string
  let ca: string
  let [first, second]: TlsMaterial[] = []

  beforeAll(() => {
    dir = mkdtempSync(join(tmpdir(), 'front-'))
    const authority = makeCa(dir, 'ca')
    ca = readFileSync(authority.certificate, 'utf8')
    const made = ['first', 'second'].map((name) => {
      const { certificate, key } = issue(dir, name, authority)
      return { certificate: readFileSync(certificate, 'utf8'), key: readFileSync(key, 'utf8') }
    })
    ;[first, second] = made
  })
  afterAll(() => rmSync(dir, { recursive: true }))

  it.each([false, true])(
    'closes a connection whose handshake stops halfway; the client has ended its side: %s',
    async (ends) => {
      const connections = new Connections()
      await withServer({ connections, tls: first, headersTimeout: 300 }, hello, async (port) => {
        const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
        socket.on('error', () => undefined)
        // The beginning of a TLS record, without the rest.
        socket.write(Buffer.from([0x16, 3, 1, 2, 0]))
        if (ends) socket.end()
        await expect.poll(() => connections.count('silent')).toBe(1)
        await expect.poll(() => connections.count('silent')).toBe(0)
        socket.destroy()
      })
    },
  )

  it('closes a connection that sends no TLS', async () => {
    const connections = new Connections()
    await withServer({ connections, tls: first }, hello, async (port) => {
      const socket = connect(port, '127.0.0.1')
      socket.on('error', () => undefined)
      socket.write(LAST)
      await once(socket.resume(), 'close')
      await expect.poll(() => states(connections)).toEqual([0, 0, 0])
    })
  })

  it('answers a request under way when the server stops', async () => {
    let answer: (() => void) | undefined
    const handle = async (request: ClientRequest): Promise<void> => {
      await new Promise<void>((resolve) => (answer = resolve))
      await hello(request)
    }
    await withServer({ tls: first }, handle, async (port, server) => {
      const socket = connectTls({ port, host: '127.0.0.1', ca, servername: 'localhost' })
      let got = ''
      socket.on('data', (bytes: Buffer) => (got += bytes.toString()))
      socket.write(`${GET}\r\n`)
      await expect.poll(() => answer).toBeDefined()
      const stopped = server.stop(20_000)
      answer?.()
      await once(socket, 'close')
      await stopped
      expect(got).toMatch(/^HTTP\/1\.1 200 OK\r\n[^]*\r\nconnection: close\r\n\r\nhello$/)
    })
  })

  it('uses a new certificate for new connections', async () => {
    await withServer({ tls: first }, hello, async (port, server) => {
      const nameOf = async (): Promise<unknown> => {
        const socket = connectTls({ port, host: '127.0.0.1', ca, servername: 'localhost' })
        await once(socket, 'secureConnect')
        const { CN } = socket.getPeerCertificate().subject
        socket.destroy()
        return CN
      }
      expect(await nameOf()).toBe('first')
      server.updateTls(second as TlsMaterial)
      expect(await nameOf()).toBe('second')
    })
  })
})
