/**
 * Tests that a front, the tenant behind it, and a server without a front agree where each request ends: the same pipelined bytes, cut
 * at random places, give the same responses and the same records.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { HOST, MALFORMED } from '@service-fs/wire/http-cases'
import { startHttp, type HttpServer } from '@service-fs/http/http'
import { Random } from '@service-fs/storage/random'
import { openTenant, type Tenant } from '../tenant/tenant.ts'
import { startTestFront } from './testing.ts'
import { identityOf } from './identity-headers.ts'

/** FRAMING_ROUNDS sets the number of sequences of requests, FRAMING_SEED their seed. */
const ROUNDS = Number(process.env['FRAMING_ROUNDS'] ?? 12)
const SEED = Number(process.env['FRAMING_SEED'] ?? 1)
const REQUESTS = 14

interface Side {
  tenant: Tenant
  port: number
}

let dir: string
let front: Side
let direct: Side
const servers: HttpServer[] = []

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'framing-'))
  const listen = { host: '127.0.0.1', port: 0 }
  const behind = await openTenant({ moduleId: 'test', root: join(dir, 'a') })
  const path = join(dir, 'socket')
  const inner = await startHttp({ path }, { wire: behind.wire, authenticate: identityOf })
  const outer = await startTestFront(path)
  front = { tenant: behind, port: Number(new URL(outer.url).port) }
  const alone = await openTenant({ moduleId: 'test', root: join(dir, 'b') })
  const server = await startHttp(listen, { wire: alone.wire })
  direct = { tenant: alone, port: Number(new URL(server.url).port) }
  servers.push(outer, server, inner)
})
afterAll(async () => {
  for (const server of servers) await server.stop(1000)
  for (const { tenant } of [front, direct]) await tenant.close()
  await rm(dir, { recursive: true, force: true })
})

interface Request {
  /** One character for each byte. */
  text: string
  isHead: boolean
  status: number
  /** The record that the request appends. */
  record?: { id: string; payload: string }
}

const append = (id: string, fields: string): string =>
  `POST /v1/append HTTP/1.1\r\n${HOST}X-Payload-ID: ${id}\r\n${fields}\r\n`

/** Returns a body that contains a request, which a parser must not find if it knows where the body ends. */
function payloadOf(random: Random, id: string): string {
  const parts = [
    '\r\n0\r\n\r\n',
    `GET /v1/checkpoint HTTP/1.1\r\n${HOST}\r\n`,
    `${append(`smuggled-${id}`, 'Content-Length: 1\r\n')}x`,
    '\0\xff\r\n',
    'x'.repeat(random.below(3000)),
  ]
  return Array.from({ length: random.below(4) }, () => parts[random.below(parts.length)]).join('')
}

function chunked(random: Random, payload: string): string {
  let text = ''
  for (let at = 0; at < payload.length;) {
    const size = Math.min(payload.length - at, 1 + random.below(random.chance(0.3) ? 5 : 2000))
    const hex = random.chance(0.5) ? size.toString(16).toUpperCase() : `00${size.toString(16)}`
    text += `${hex}${random.chance(0.2) ? ';a=b' : ''}\r\n${payload.slice(at, at + size)}\r\n`
    at += size
  }
  return `${text}0\r\n${random.chance(0.2) ? 'X-Trailer: Content-Length\r\n' : ''}\r\n`
}

/** `Connection` may name the fields that delimit the body, and each recipient must ignore that. */
const NAMED = ['', 'Connection: Content-Length\r\n', 'Connection: keep-alive, transfer-encoding, host\r\n']

function appending(random: Random, id: string): Request {
  const payload = payloadOf(random, id)
  const named = NAMED[random.below(NAMED.length)] ?? ''
  const record = { id, payload }
  if (random.chance(0.5))
    return {
      text: `${append(id, `${named}Transfer-Encoding: chunked\r\n`)}${chunked(random, payload)}`,
      isHead: false,
      status: 200,
      record,
    }
  const zeros = '0'.repeat(random.below(3))
  const text = `${append(id, `${named}Content-Length: ${zeros}${payload.length}\r\n`)}${payload}`
  return { text, isHead: false, status: 200, record }
}

/** Returns a request that is refused by its head, with a body that is not a request. */
function refused(random: Random, id: string): Request {
  const payload = payloadOf(random, id)
  const [line, status] = (
    [
      ['POST /v1/nothing', 404],
      ['POST /v1/checkpoint', 405],
      ['PUT /v1/append', 405],
      ['POST /v1/append?x=1', 400],
    ] as const
  )[random.below(4)] ?? ['', 0]
  const head = `${line} HTTP/1.1\r\n${HOST}X-Payload-ID: ${id}\r\n`
  const body = random.chance(0.5)
    ? `Content-Length: ${payload.length}\r\n\r\n${payload}`
    : `Transfer-Encoding: chunked\r\n\r\n${chunked(random, payload)}`
  return { text: head + body, isHead: false, status }
}

/** Returns bytes that are not a request, or a request whose body is malformed. */
function malformed(random: Random): Request {
  return { text: MALFORMED[random.below(MALFORMED.length)]?.[1] ?? '', isHead: false, status: 400 }
}

function requestOf(random: Random, id: string): Request {
  const kind = random.below(20)
  if (kind < 10) return appending(random, id)
  if (kind < 15) return refused(random, id)
  if (kind < 16) return malformed(random)
  const method = random.chance(0.5) ? 'HEAD' : 'GET'
  const body = random.chance(0.3) ? 'Content-Length: 5\r\n\r\nGET /' : '\r\n'
  return {
    text: `${method} /v1/checkpoint HTTP/1.1\r\n${HOST}${body}`,
    isHead: method === 'HEAD',
    status: 200,
  }
}

interface Response {
  status: number
  body: string
}

/** Takes the complete responses to these requests from the received bytes. Here the servers delimit every body by its length. */
function responsesIn(received: string, requests: readonly Request[]): Response[] {
  const responses: Response[] = []
  for (let at = 0; responses.length < requests.length;) {
    const end = received.indexOf('\r\n\r\n', at)
    if (end < 0) break
    const head = received.slice(at, end)
    const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(head)?.[1])
    const length = Number(/^content-length: (\d+)$/im.exec(head)?.[1])
    expect([status, length]).not.toContain(Number.NaN)
    const stop = end + 4 + (requests[responses.length]?.isHead === true ? 0 : length)
    if (stop > received.length) break
    responses.push({ status, body: received.slice(end + 4, stop) })
    at = stop
  }
  return responses
}

/** Sends the requests on one connection, in random pieces, until all are answered or the server closes it. */
function session(port: number, requests: readonly Request[], random: Random): Promise<Response[]> {
  return new Promise((resolve) => {
    const bytes = Buffer.from(requests.map(({ text }) => text).join(''), 'latin1')
    let received = ''
    const socket = connect(port, '127.0.0.1', () => void send())
    const send = async (): Promise<void> => {
      socket.setNoDelay()
      for (let at = 0; at < bytes.length && !socket.destroyed;) {
        const length = random.chance(0.2) ? bytes.length : 1 + random.below(random.chance(0.5) ? 40 : 1500)
        socket.write(bytes.subarray(at, at + length))
        at += length
        for (let turns = random.below(4); turns > 0; turns--) await turn()
      }
    }
    socket.setEncoding('latin1')
    socket.on('data', (text: string) => {
      received += text
      if (responsesIn(received, requests).length === requests.length) socket.end()
    })
    // A server that closes with unread bytes resets the connection.
    socket.on('error', () => undefined)
    socket.on('close', () => resolve(responsesIn(received, requests)))
  })
}

/** Sends all requests, on another connection after each close. */
async function answersOf(port: number, requests: readonly Request[], random: Random): Promise<Response[]> {
  const responses: Response[] = []
  for (let attempts = 0; responses.length < requests.length; attempts++) {
    expect(attempts).toBeLessThanOrEqual(requests.length)
    responses.push(...(await session(port, requests.slice(responses.length), random)))
  }
  return responses
}

const codeIn = ({ status, body }: Response): [number, unknown] => {
  const isProblem = body.includes('"code"')
  return [status, isProblem ? (JSON.parse(body) as { code: unknown }).code : '']
}

async function recordsOf({ ledger }: Tenant): Promise<{ id: string; payload: string }[]> {
  const records: { id: string; payload: string }[] = []
  for (let index = 0; index < ledger.size; index++) {
    const { id, payload } = await ledger.record(index)
    records.push({ id, payload: Buffer.from(payload).toString('latin1') })
  }
  return records
}

it('agree about requests cut at random places', async () => {
  const expected: { id: string; payload: string }[] = []
  for (let round = 0; round < ROUNDS; round++) {
    const seed = SEED * 1000 + round
    const random = new Random(seed)
    const requests = Array.from({ length: REQUESTS }, (_, i) => requestOf(random, `r${round}-${i}`))
    for (const { record } of requests) if (record !== undefined) expected.push(record)
    const [behind, alone] = [
      await answersOf(front.port, requests, new Random(seed + 1)),
      await answersOf(direct.port, requests, new Random(seed + 2)),
    ]
    expect({ seed, statuses: behind.map(({ status }) => status) }).toEqual({
      seed,
      statuses: requests.map(({ status }) => status),
    })
    expect({ seed, codes: behind.map(codeIn) }).toEqual({ seed, codes: alone.map(codeIn) })
  }
  expect(await recordsOf(front.tenant)).toEqual(expected)
  expect(await recordsOf(direct.tenant)).toEqual(expected)
})
