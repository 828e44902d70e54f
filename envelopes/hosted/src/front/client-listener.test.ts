/**
 * Compares the front's reading of requests with that of Node.js's HTTP server, on requests with random faults: Node.js accepts every
 * request that the front accepts, with the same method, target, fields and body.
 */
import { connect } from 'node:net'
import type { IncomingMessage } from 'node:http'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { startListener, type HttpServer } from '@service-fs/http/listener'
import { Random } from '@service-fs/storage/random'
import { startClientListener } from './client-listener.ts'
import type { ClientRequest } from './client-request.ts'

/** LISTENER_ROUNDS sets the number of requests, LISTENER_SEED their seed. */
const ROUNDS = Number(process.env['LISTENER_ROUNDS'] ?? 800)
const SEED = Number(process.env['LISTENER_SEED'] ?? 3)

let front: HttpServer
let node: HttpServer

const report = (error: unknown): void => {
  throw error
}

/** Returns the parts of a request that a handler receives, as JSON. */
function seen(head: Pick<IncomingMessage, 'headers' | 'method' | 'url'>, body: Buffer): string {
  const fields = Object.entries(head.headers).toSorted(([a], [b]) => (a < b ? -1 : 1))
  return JSON.stringify([head.method, head.url, fields, body.toString('latin1')])
}

function bodyOf(request: ClientRequest): Promise<Buffer | undefined> {
  return new Promise((resolve) => {
    const pieces: Buffer[] = []
    request.readBody({
      bytes: (bytes) => pieces.push(bytes) > 0,
      end: () => resolve(Buffer.concat(pieces)),
      cut: () => resolve(undefined),
    })
    if (request.head.length === 0) resolve(Buffer.alloc(0))
  })
}

beforeAll(async () => {
  const listen = { host: '127.0.0.1', port: 0 }
  front = await startClientListener(listen, { report }, async (request) => {
    const body = await bodyOf(request)
    if (body !== undefined) await request.answer({ status: 200, headers: {}, body: seen(request, body) })
  })
  node = await startListener(listen, { report }, async (raw, out) => {
    const pieces: Buffer[] = []
    for await (const piece of raw as AsyncIterable<Buffer>) pieces.push(piece)
    const text = seen(raw, Buffer.concat(pieces))
    out.writeHead(200, { 'content-length': Buffer.byteLength(text) }).end(text)
  })
})
afterAll(async () => {
  await front.stop(0)
  await node.stop(0)
})

const KNOWN = /^(?:\r\n)*(?:GET|HEAD|POST|PUT) (?:\/|\* |http:\/\/localhost\/)/

interface Answer {
  status: number
  body: string
}

/**
 * Sends bytes in random pieces, and returns the first response; undefined if there is none. Ends the client's side
 * only for the front: Node.js does not answer a request whose client has ended its side.
 */
function ask(
  server: HttpServer,
  bytes: Buffer,
  random: Random,
  isHead: boolean,
): Promise<Answer | undefined> {
  return new Promise((resolve) => {
    let got = ''
    const socket = connect(Number(new URL(server.url).port), '127.0.0.1', () => {
      socket.setNoDelay()
      for (let at = 0; at < bytes.length;) {
        const length = 1 + random.below(bytes.length)
        socket.write(bytes.subarray(at, at + length))
        at += length
      }
      if (server === front) socket.end()
    })
    socket.on('data', (data) => {
      got += data.toString('latin1')
      if (answerIn(got, isHead) !== undefined) socket.destroy()
    })
    socket.on('error', () => undefined)
    socket.on('close', () => resolve(answerIn(got, isHead)))
  })
}

function answerIn(text: string, isHead: boolean): Answer | undefined {
  const end = text.indexOf('\r\n\r\n') + 4
  const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(text)?.[1])
  const length = isHead ? 0 : Number(/^content-length: (\d+)\r$/im.exec(text.slice(0, end))?.[1] ?? 0)
  if (end < 4 || text.length < end + length) return undefined
  return { status, body: text.slice(end, end + length) }
}

function requestText(random: Random): string {
  const pick = <T>(...values: readonly T[]): T => values[random.below(values.length)] as T
  const method = pick('GET', 'POST', 'HEAD', 'PUT')
  const target = pick('/', '/a?b=c', 'http://localhost/x', '*', '/%zz')
  const fields = [
    pick('Host: localhost', 'host:localhost', 'HOST:  localhost:80 \t'),
    ...Array.from({ length: random.below(4) }, () =>
      pick(
        'X-A: b',
        'X-A:',
        'x-b: \xe9 ',
        'Connection: keep-alive',
        'Connection: close',
        'constructor: x',
        'X-A: b\r\nX-A: c',
      ),
    ),
  ]
  const body = 'x\r\n\r\n0'.repeat(random.below(4))
  const isChunked = method !== 'GET' && random.chance(0.4)
  if (isChunked) fields.push('Transfer-Encoding: chunked')
  else if (body !== '') fields.push(`Content-Length: ${body.length}`)
  const sent = isChunked
    ? `${body === '' ? '' : `${body.length.toString(16)}${pick('', ';a', ';a=b')}\r\n${body}\r\n`}0\r\n\r\n`
    : body
  return `${pick('', '', '\r\n')}${method} ${target} HTTP/1.${pick(1, 1, 1, 0)}\r\n${fields.join('\r\n')}\r\n\r\n${sent}`
}

const FAULTS = [
  '\r',
  '\n',
  '\r\n',
  ' ',
  '\t',
  '\0',
  ':',
  ';',
  ',',
  '0',
  'a',
  '\x80',
  'Content-Length: 3\r\n',
  'Transfer-Encoding: chunked\r\n',
]

/** Inserts, removes or doubles some characters. */
function broken(random: Random, text: string): string {
  let found = text
  for (let faults = random.below(3); faults > 0; faults--) {
    const at = random.below(found.length)
    const fault = FAULTS[random.below(FAULTS.length)] ?? ''
    found = found.slice(0, at) + fault + found.slice(at + random.below(3))
  }
  return found
}

it('the front reads the requests that it accepts as Node.js does', async () => {
  const random = new Random(SEED)
  let accepted = 0
  let refused = 0
  for (let round = 0; round < ROUNDS; round += 10) {
    const texts = Array.from({ length: 10 }, () => broken(random, requestText(random)))
    await Promise.all(
      texts.map(async (text) => {
        const bytes = Buffer.from(text, 'latin1')
        const isHead = /^(?:\r\n)?HEAD /.test(text)
        const found = await ask(front, bytes, new Random(random.below(2 ** 30)), isHead)
        // Node.js refuses unknown methods and some targets that do not begin with a slash; the front refuses such
        // requests when it looks up their route.
        if (found?.status !== 200 || !KNOWN.test(text)) {
          refused += 1
          return
        }
        accepted += 1
        const expected = await ask(node, bytes, new Random(random.below(2 ** 30)), isHead)
        expect({ text, found }).toEqual({ text, found: expected })
      }),
    )
  }
  expect(accepted).toBeGreaterThan(ROUNDS / 5)
  expect(refused).toBeGreaterThan(ROUNDS / 5)
})

it.each(['at once', 'while it reads'])(
  'the front sends a whole response to a client that ends its side %s',
  async (when) => {
    const body = 'x'.repeat(5_000_000)
    const server = await startClientListener({ host: '127.0.0.1', port: 0 }, { report }, (request) =>
      request.answer({ status: 200, headers: {}, body }),
    )
    const length = await new Promise<number>((resolve) => {
      let found = 0
      const socket = connect(Number(new URL(server.url).port), '127.0.0.1', () => {
        socket.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')
        if (when === 'at once') socket.end()
      })
      socket.on('data', (bytes) => {
        if (found === 0 && when !== 'at once') socket.end()
        found += bytes.length
      })
      socket.on('close', () => resolve(found))
    })
    expect(length).toBeGreaterThan(body.length)
    await server.stop(0)
  },
)

async function echo(request: ClientRequest): Promise<void> {
  const body = await bodyOf(request)
  if (body !== undefined) await request.answer({ status: 200, headers: {}, body })
}

/** Sends text, and returns what it receives until the connection closes. */
const received = (server: HttpServer, text: string): Promise<string> =>
  new Promise((resolve) => {
    let got = ''
    const socket = connect(Number(new URL(server.url).port), '127.0.0.1', () => socket.write(text))
    socket.on('data', (bytes) => (got += bytes.toString()))
    // A server that closes with unread bytes resets the connection.
    socket.on('error', () => undefined)
    socket.on('close', () => resolve(got))
  })

it('the front closes connections that send a request too slowly, or send nothing', async () => {
  const listen = { host: '127.0.0.1', port: 0 }
  const slow = await startClientListener(listen, { report, headersTimeout: 300, requestTimeout: 300 }, echo)
  const quiet = await startClientListener(listen, { report, keepAliveTimeout: 300 }, echo)
  const [head, body] = await Promise.all([
    received(slow, 'GET / HTTP/1.1\r\nHost: loc'),
    received(slow, 'POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\na'),
  ])
  // If something stops this process for 300 ms before the request is sent, the connection closes without a response.
  let idle = ''
  while (idle === '') idle = await received(quiet, 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')
  for (const got of [head, body]) expect(got).toMatch(/^HTTP\/1\.1 408 .*"code":"timeout"/s)
  expect(idle).toMatch(/^HTTP\/1\.1 200 /)
  await slow.stop(0)
  await quiet.stop(0)
})
