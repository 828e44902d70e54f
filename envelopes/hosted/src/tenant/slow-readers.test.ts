import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { startHttp, type HttpServer } from '@service-fs/http/http'
import { openTenant, type Tenant } from './tenant.ts'

const MIB = 2 ** 20
const RECORDS = 250
const PAYLOAD = JSON.stringify('x'.repeat(32 * 1024))
/** Room for one page that is being made, of at most 54 MiB, and a few that wait for their readers. */
const ROOM = 80 * MIB
/** Without backpressure their pages take 320 MiB. */
const READERS = 40

let root: string
let tenant: Tenant
let http: HttpServer
const sockets: Socket[] = []

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'slow-'))
  tenant = await openTenant({ moduleId: 'acme', root })
  http = await startHttp(
    { host: '127.0.0.1', port: 0 },
    { wire: tenant.wire, maxAnswerBytes: ROOM, answerPatience: 1500 },
  )
  const lines = Array.from({ length: RECORDS }, (_, i) => `{"payload_id":"r${i}","payload":${PAYLOAD}}\n`)
  const response = await fetch(new URL('/v1/append', http.url), {
    method: 'POST',
    headers: { 'content-type': 'application/x-ndjson', 'x-foundry-module-id': 'acme' },
    body: lines.join(''),
  })
  expect(response.status).toBe(200)
  await response.arrayBuffer()
})
afterAll(async () => {
  for (const socket of sockets) socket.destroy()
  await http.stop(1000)
  await tenant.close()
  await rm(root, { recursive: true, force: true })
})

/** Asks for all records as lines, and reads nothing of the response. */
function askWithoutReading(): Socket {
  const socket = connect(Number(new URL(http.url).port), '127.0.0.1')
  socket.on('error', () => undefined)
  socket.pause()
  socket.write(
    'GET /v1/entries?since=0&limit=1000 HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Foundry-Module-ID: acme\r\n' +
      'Accept: application/x-ndjson\r\nConnection: close\r\n\r\n',
  )
  sockets.push(socket)
  return socket
}

async function readAll(socket: Socket): Promise<string> {
  const chunks: Buffer[] = []
  socket.on('data', (chunk: Buffer) => chunks.push(chunk))
  socket.resume()
  if (!socket.closed) await once(socket, 'close')
  return Buffer.concat(chunks).toString('latin1')
}

it('a daemon keeps its memory bounded when clients do not read their pages', async () => {
  const before = process.memoryUsage()
  const readers = Array.from({ length: READERS }, askWithoutReading)
  let most = 0
  for (let i = 0; i < 40; i++) {
    await new Promise((resolve) => setTimeout(resolve, 50))
    const { arrayBuffers, heapUsed } = process.memoryUsage()
    most = Math.max(most, arrayBuffers + heapUsed - before.arrayBuffers - before.heapUsed)
  }
  expect(most).toBeLessThan(ROOM + 60 * MIB)
  // Small reads need no room.
  const checkpoint = await fetch(new URL('/checkpoint', http.url), {
    headers: { 'x-foundry-module-id': 'acme' },
  })
  expect(checkpoint.status).toBe(200)
  await checkpoint.arrayBuffer()
  const answers = await Promise.all(readers.map((reader) => readAll(reader)))
  const pages = answers.filter((answer) => answer.startsWith('HTTP/1.1 200'))
  const refused = answers.filter((answer) => answer.startsWith('HTTP/1.1 503'))
  expect(pages.length + refused.length).toBe(READERS)
  expect(pages.length).toBeGreaterThan(0)
  expect(refused.length).toBeGreaterThan(0)
  const wanted = RECORDS * (PAYLOAD.length + 1)
  for (const page of pages) {
    const body = page.slice(page.indexOf('\r\n\r\n') + 4)
    expect(body.length).toBeGreaterThan(wanted)
    expect(body.split('\n')).toHaveLength(RECORDS + 1)
  }
})
