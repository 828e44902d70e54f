import { mkdtemp, rm } from 'node:fs/promises'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { startHttp, type HttpOptions, type HttpServer } from '@service-fs/http/http'
import { openTenant, type Tenant } from './tenant.ts'

let root: string
let tenant: Tenant
let http: HttpServer
const answered: string[] = []
const reports: unknown[] = []
const sockets: Socket[] = []

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'stream-'))
  tenant = await openTenant({ moduleId: 'acme', root })
  ;[answered.length, reports.length] = [0, 0]
  http = await serve()
})
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy()
  tenant.wire.drain()
  await http.stop(100)
  await tenant.close()
  await rm(root, { recursive: true, force: true })
})

function serve(options: Partial<HttpOptions> = {}): Promise<HttpServer> {
  return startHttp(
    { host: '127.0.0.1', port: 0 },
    {
      wire: tenant.wire,
      answered: (method, status) => answered.push(`${method} ${status}`),
      report: (error) => reports.push(error),
      ...options,
    },
  )
}

/** A connection on which a request was sent, and the bytes received. */
async function asking(
  target: string,
  { method = 'GET', headers = '' } = {},
): Promise<{ socket: Socket; text: () => string; ended: Promise<void> }> {
  const socket = connect(Number(new URL(http.url).port), '127.0.0.1')
  sockets.push(socket)
  socket.on('error', () => undefined)
  let text = ''
  socket.on('data', (chunk: Buffer) => (text += chunk.toString('latin1')))
  const ended = new Promise<void>((resolve) => socket.once('close', () => resolve()))
  socket.write(
    `${method} ${target} HTTP/1.1\r\nHost: localhost\r\nX-Foundry-Module-ID: acme\r\n${headers}\r\n`,
  )
  return { socket, text: () => text, ended }
}

const until = (done: () => boolean): Promise<void> => expect.poll(done, { interval: 10 }).toBe(true)

async function append(id: string, bytes: number): Promise<void> {
  await tenant.ledger.append([{ id, type: 'text/plain', payload: new Uint8Array(bytes).fill(0x61) }])
}

describe('a stream', () => {
  it('starts a stream at once, and sends new records as they arrive, uncompressed', async () => {
    const { text } = await asking('/v1/follow', { headers: 'Accept-Encoding: gzip\r\n' })
    await until(() => text().includes('retry: 1000'))
    expect(text()).not.toMatch(/content-encoding|content-length/i)
    expect(text()).toMatch(/\r\nconnection: close\r\n/i)
    await append('a', 5000)
    await until(() => text().includes('"payload_id":"a"'))
    expect([answered, tenant.wire.followers]).toEqual([['GET 200'], 1])
  })

  it('starts no stream for HEAD, and keeps the connection open', async () => {
    const { socket, text } = await asking('/v1/follow', { method: 'HEAD' })
    await until(() => text().endsWith('\r\n\r\n'))
    expect(text()).toMatch(/^HTTP\/1\.1 200 OK\r\ncontent-type: text\/event-stream\r\n/)
    socket.write('GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n')
    await until(() => text().includes('{"alive":true}'))
    expect([answered, tenant.wire.followers]).toEqual([['HEAD 200', 'GET 200'], 0])
  })

  it('ends a stream without an error when the client disconnects', async () => {
    for (const leave of [
      (s: Socket) => s.destroy(),
      (s: Socket) => s.resetAndDestroy(),
      (s: Socket) => s.end(),
    ]) {
      const { socket, text } = await asking('/v1/follow')
      await until(() => text().includes('retry'))
      expect(tenant.wire.followers).toBe(1)
      leave(socket)
      await until(() => tenant.wire.followers === 0)
    }
    const sent = await asking('/v1/follow')
    sent.socket.destroy()
    await until(() => tenant.wire.followers === 0)
    expect(reports).toEqual([])
  })

  it('reads no records while the client does not read', async () => {
    const { socket, text } = await asking('/v1/follow')
    await until(() => text().includes('retry'))
    socket.pause()
    for (let i = 0; i < 24; i++) await append(`big ${i}`, 1_000_000)
    await new Promise((resolve) => setTimeout(resolve, 300))
    // The audit entry of the request, and the few deliveries that fit into the connection's buffers.
    expect(tenant.audit.size).toBeLessThan(16)
    socket.resume()
    await until(() => text().includes('"payload_id":"big 23"'))
    for (let i = 0; i < 24; i++) expect(text()).toContain(`"payload_id":"big ${i}"`)
  })

  it('ends streams with a retry delay when the server stops, without waiting for a stalled client', async () => {
    const [reader, stalled] = [await asking('/v1/follow'), await asking('/v1/follow')]
    await until(() => reader.text().includes('retry') && stalled.text().includes('retry'))
    stalled.socket.pause()
    for (let i = 0; i < 12; i++) await append(`big ${i}`, 1_000_000)
    await until(() => reader.text().includes('"payload_id":"big 11"'))
    tenant.wire.drain()
    // If the server waited for the stalled client, the test would time out.
    await http.stop(600_000)
    await reader.ended
    expect(reader.text().endsWith('retry: 1000\n\n\r\n0\r\n\r\n')).toBe(true)
    expect(reports).toEqual([])
  })

  it('keeps a stream open while data flows, and closes it when the client stops reading', async () => {
    const idleTimeout = 500
    const piece = { size: 1 }
    let [made, late, isOver] = [0, 0, false]
    async function* pieces(): AsyncGenerator<Uint8Array> {
      try {
        for (let before = performance.now(); ;) {
          await new Promise((resolve) => setTimeout(resolve, 100))
          const now = performance.now()
          // Something stopped this process for so long that the timeout may be over.
          if (now - before > idleTimeout / 2) late += 1
          before = now
          made += 1
          yield new Uint8Array(piece.size).fill(0x3a)
        }
      } finally {
        isOver = true
      }
    }
    const handle = async (): ReturnType<typeof tenant.wire.handle> => ({
      status: 200,
      headers: {},
      body: pieces(),
    })
    await http.stop(100)
    http = await serve({ wire: { ...tenant.wire, handle }, idleTimeout })
    let client = await asking('/')
    for (;;) {
      ;[made, late, isOver] = [0, 0, false]
      await until(() => made >= 15 || isOver)
      if (late === 0) break
      client.socket.destroy()
      await until(() => isOver)
      client = await asking('/')
    }
    const { socket, ended } = client
    expect([isOver, socket.destroyed]).toEqual([false, false])
    piece.size = 4_000_000
    socket.pause()
    await until(() => isOver)
    socket.resume()
    await ended
    expect(reports).toEqual([])
  })
})
