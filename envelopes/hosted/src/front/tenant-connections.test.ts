/** Tests how the front uses its connections to a tenant's process: kept for the next request, and closed when their state is unclear. */
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import { connect, createServer as createRawServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import type { HttpServer } from '@service-fs/http/listener'
import { startTestFront } from './testing.ts'

let dir: string
let path: string
let front: HttpServer
const cleanup: (() => void)[] = []

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'front-'))
  path = join(dir, 'socket')
  front = await startTestFront(path, { limits: { reachTimeout: 100 }, tenants: { has: () => true } })
})
afterEach(async () => {
  await front.stop(1000)
  for (const run of cleanup.splice(0)) run()
  await rm(dir, { recursive: true })
})

/** Listens as the tenant's process, and counts its connections. */
async function listen(server: Server): Promise<{ opened: number; open: number }> {
  const counts = { opened: 0, open: 0 }
  server.on('connection', (socket: Socket) => {
    counts.opened += 1
    counts.open += 1
    socket.once('close', () => (counts.open -= 1))
  })
  await new Promise<void>((resolve) => void server.listen(path, resolve))
  cleanup.push(() => {
    server.closeAllConnections()
    server.close()
  })
  return counts
}

const get = (): Promise<Response> => fetch(`${front.url}t/acme/v1/checkpoint`)

it('the front sends requests one after the other over one connection', async () => {
  const counts = await listen(createServer((_, out) => out.end('ok')))
  for (let i = 0; i < 20; i++) expect(await (await get()).text()).toBe('ok')
  expect(counts).toEqual({ opened: 1, open: 1 })
})

it('the front sends requests at the same time over a connection each, and keeps the connections', async () => {
  const waiting: (() => void)[] = []
  const counts = await listen(createServer((_, out) => void waiting.push(() => out.end('ok'))))
  for (let round = 0; round < 3; round++) {
    const asked = Array.from({ length: 5 }, get)
    await expect.poll(() => waiting.length).toBe(5)
    for (const answer of waiting.splice(0)) answer()
    for (const one of asked) expect(await (await one).text()).toBe('ok')
  }
  expect(counts).toEqual({ opened: 5, open: 5 })
})

it('the front closes a connection whose process did not read the whole request', async () => {
  const counts = await listen(
    createServer((_, out) => {
      out.writeHead(200, { 'content-length': '2' })
      out.end('ok')
    }),
  )
  const head =
    'POST /t/acme/v1/append HTTP/1.1\r\nHost: localhost\r\nX-Payload-ID: a\r\nContent-Length: 1000\r\n\r\n'
  const text = await new Promise<string>((resolve) => {
    let got = ''
    const socket = connect(Number(new URL(front.url).port), '127.0.0.1', () => socket.write(`${head}abc`))
    socket.on('data', (bytes) => (got += bytes.toString()))
    socket.on('error', () => undefined)
    socket.on('close', () => resolve(got))
  })
  expect(text).toMatch(/^HTTP\/1\.1 200 OK\r\n[^]*\r\n\r\nok$/)
  await expect.poll(() => counts.open).toBe(0)
  expect((await get()).status).toBe(200)
})

it('the front closes a connection that the process wants closed', async () => {
  const counts = await listen(
    createServer((_, out) => {
      out.shouldKeepAlive = false
      out.end('ok')
    }),
  )
  for (let i = 0; i < 3; i++) expect(await (await get()).text()).toBe('ok')
  expect(counts.opened).toBe(3)
  await expect.poll(() => counts.open).toBe(0)
})

it.each([
  ['a malformed response', 'HTTP/1.1 200 OK\nContent-Length: 2\r\n\r\nok'],
  ['a response with two lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok'],
  ['an end without a response', ''],
])('the front answers 503 after %s, and closes the connection', async (_, text) => {
  let open = 0
  const server = createRawServer((socket) => {
    open += 1
    socket.on('error', () => undefined)
    socket.once('close', () => (open -= 1))
    socket.once('data', () => (text === '' ? socket.end() : socket.write(text)))
  })
  await new Promise<void>((resolve) => void server.listen(path, resolve))
  cleanup.push(() => server.close())
  const got = await get()
  expect([got.status, ((await got.json()) as { code: string }).code]).toEqual([503, 'tenant-unavailable'])
  await expect.poll(() => open).toBe(0)
})

it('the front does not forward bytes that a process sends after its response, or before a request', async () => {
  let requests = 0
  const answer = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'
  const server = createRawServer((socket) => {
    socket.on('error', () => undefined)
    socket.on('data', () => {
      requests += 1
      socket.write(answer)
      setImmediate(() => socket.write(answer.replace('ok', 'no')))
    })
  })
  await new Promise<void>((resolve) => void server.listen(path, resolve))
  cleanup.push(() => server.close())
  for (let i = 0; i < 5; i++) {
    expect(await (await get()).text()).toBe('ok')
    await new Promise((resolve) => void setTimeout(resolve, 20))
  }
  expect(requests).toBe(5)
})
