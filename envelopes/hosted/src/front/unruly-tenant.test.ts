/**
 * Tests the front with a tenant that dies, answers early, cuts its responses anywhere, and sends bytes that nobody asked for: a client gets
 * the response to its own request, or 503, or a connection that closes.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { Agent, createServer, request, type IncomingMessage, type Server } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { HttpServer } from '@service-fs/http/listener'
import { Random } from '@service-fs/storage/random'
import { startTestFront } from './testing.ts'

/** UNRULY_ROUNDS sets the number of requests of each client, UNRULY_SEED their seed. */
const ROUNDS = Number(process.env['UNRULY_ROUNDS'] ?? 60)
const SEED = Number(process.env['UNRULY_SEED'] ?? 1)
const CLIENTS = 8

let dir: string
let front: HttpServer
let tenant: Server
const random = new Random(SEED)
const underWay = { now: 0 }

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'unruly-'))
  const path = join(dir, 'socket')
  // The front may close the connection.
  tenant = createServer((raw) => void misbehave(raw).catch(() => undefined)).listen(path)
  front = await startTestFront(path, {
    tenants: { began: () => void (underWay.now += 1), ended: () => void (underWay.now -= 1) },
  })
})
afterAll(async () => {
  await front.stop(100)
  tenant.closeAllConnections()
  tenant.close()
  await rm(dir, { recursive: true, force: true })
})

/** Answers a request with arbitrary bytes, or not at all. */
async function misbehave(raw: IncomingMessage): Promise<void> {
  const { socket } = raw
  socket.on('error', () => undefined)
  const isEarly = random.chance(0.1)
  if (!isEarly) for await (const _ of raw.on('error', () => undefined)) await turn()
  if (random.chance(0.1)) {
    socket.destroy()
    return
  }
  const body = `${String(raw.headers['x-payload-id'])}${'.'.repeat(random.below(random.chance(0.3) ? 200_000 : 50))}`
  const head = 'HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n'
  const whole = random.chance(0.5)
    ? `${head}Content-Length: ${body.length}\r\n\r\n${body}`
    : `${head}Transfer-Encoding: chunked\r\n\r\n${chunked(body)}`
  // Uses one write, so that the front reads the further bytes together with the response. Bytes of a later write
  // would answer the next request.
  const isMore = whole.length < 10_000 && random.chance(0.2)
  const bytes = Buffer.from(isMore ? `${whole}${head}Content-Length: 3\r\n\r\nbad` : whole, 'latin1')
  const stop = !isMore && random.chance(0.1) ? random.below(bytes.length) : bytes.length
  for (let at = 0; at < stop && !socket.destroyed;) {
    const length = isMore || random.chance(0.5) ? stop : 1 + random.below(5000)
    socket.write(bytes.subarray(at, Math.min(stop, at + length)))
    at += length
    if (random.chance(0.3)) await turn()
  }
  if (stop < bytes.length || isEarly) socket.end()
}

function chunked(body: string): string {
  let text = ''
  for (let at = 0; at < body.length;) {
    const piece = body.slice(at, at + 1 + random.below(70_000))
    text += `${piece.length.toString(16)}\r\n${piece}\r\n`
    at += piece.length
  }
  return `${text}0\r\n\r\n`
}

interface Answer {
  status: number
  body: string
}

/** Sends a request; returns undefined if the connection closes before the response is complete. */
function ask(agent: Agent, id: string): Promise<Answer | undefined> {
  const isPost = random.chance(0.7)
  return new Promise((resolve) => {
    const asked = request(
      new URL(isPost ? '/t/test/v1/append' : '/t/test/v1/checkpoint', front.url),
      { agent, method: isPost ? 'POST' : 'GET', headers: { 'x-payload-id': id } },
      (response) => {
        let body = ''
        response.setEncoding('latin1')
        response.on('data', (text: string) => (body += text))
        response.on('error', () => resolve(undefined))
        response.on('end', () => resolve({ status: response.statusCode ?? 0, body }))
      },
    )
    asked.on('error', () => resolve(undefined))
    if (isPost) for (let i = random.below(4); i > 0; i--) asked.write('x'.repeat(1 + random.below(90_000)))
    asked.end()
  })
}

async function client(name: string): Promise<number> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  let answered = 0
  for (let i = 0; i < ROUNDS; i++) {
    const id = `${name}-${i}-`
    const answer = await ask(agent, id)
    if (answer === undefined) continue
    expect([200, 503]).toContain(answer.status)
    if (answer.status === 503) expect(answer.body).toContain('"code":"tenant-unavailable"')
    else expect(answer.body.replace(/\.+$/, '')).toBe(id)
    if (answer.status === 200) answered += 1
  }
  agent.destroy()
  return answered
}

it('the front gives no client the response to the request of another', async () => {
  const counts = await Promise.all(Array.from({ length: CLIENTS }, (_, i) => client(`c${i}`)))
  for (const count of counts) expect(count).toBeGreaterThan(ROUNDS / 4)
  await expect.poll(() => underWay.now).toBe(0)
})
