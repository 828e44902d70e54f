import { createServer, request, type IncomingMessage } from 'node:http'
import { once } from 'node:events'
import { connect, type AddressInfo } from 'node:net'
import { expect, it } from 'vitest'
import { Random } from '@service-fs/storage/random'
import {
  MalformedResponse,
  ResponseReader,
  type ResponseHead,
  type ResponseParts,
} from './response-reader.ts'

class Received implements ResponseParts {
  status = 0
  fields: readonly string[] = []
  body = ''
  isOver = false
  lasts = 0

  head({ status, fields }: ResponseHead): void {
    this.status = status
    this.fields = fields.flatMap(({ name, value }) => [name, value])
  }

  data(bytes: Buffer, isLast: boolean): void {
    this.body += bytes.toString('latin1')
    if (isLast) this.lasts += 1
  }

  end(): void {
    this.isOver = true
  }
}

function read(pieces: readonly Buffer[], isHead = false, reader = new ResponseReader()): Received {
  const received = new Received()
  reader.begin(received, isHead)
  for (const piece of pieces) reader.take(piece)
  return received
}

/** Reads a whole response. The text has one character for each byte. */
const readText = (text: string, isHead = false): Received => read([Buffer.from(text, 'latin1')], isHead)

function cut(bytes: Buffer, random: Random): Buffer[] {
  const pieces: Buffer[] = []
  for (let at = 0; at < bytes.length;) {
    const length = 1 + random.below(random.chance(0.5) ? 5 : bytes.length)
    pieces.push(bytes.subarray(at, at + length))
    at += length
  }
  return pieces
}

/** Returns the bytes that Node.js sends in response to a GET. */
async function sentByNode(
  status: number,
  headers: Record<string, string>,
  chunks: string[],
): Promise<Buffer> {
  const server = createServer((_, out) => {
    out.writeHead(status, headers)
    for (const chunk of chunks) out.write(chunk, 'latin1')
    out.end()
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const socket = connect(port, '127.0.0.1', () =>
    socket.write('GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n'),
  )
  const pieces: Buffer[] = []
  for await (const piece of socket as AsyncIterable<Buffer>) pieces.push(piece)
  server.close()
  return Buffer.concat(pieces)
}

it.each([
  ['a length', 200, { 'content-length': '9' }, ['abc', '\r\n\r\n', '\xff\0']],
  ['chunks', 200, { 'x-a': 'b' }, ['abc', '0\r\n\r\n', 'x'.repeat(5000)]],
  ['chunks without data', 200, {}, []],
  ['no content', 204, {}, []],
  ['not modified', 304, { 'content-length': '7' }, []],
] as const)('reads a response of Node.js with %s, cut anywhere', async (_, status, headers, chunks) => {
  const bytes = await sentByNode(status, { ...headers }, [...chunks])
  const whole = read([bytes])
  expect([whole.status, whole.body, whole.isOver]).toEqual([status, chunks.join(''), true])
  const random = new Random(7)
  for (let round = 0; round < 200; round++)
    expect(read(cut(bytes, random))).toMatchObject({
      status,
      fields: whole.fields,
      body: whole.body,
      isOver: true,
    })
})

it('the response reader reads consecutive responses, also interim responses and responses to HEAD', () => {
  const reader = new ResponseReader()
  const ok = Buffer.from('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n')
  expect(
    read(
      [Buffer.from('HTTP/1.1 103 Early Hints\r\nLink: </>\r\n\r\n'), ok, Buffer.from('ok')],
      false,
      reader,
    ),
  ).toMatchObject({ status: 200, body: 'ok', lasts: 1, isOver: true })
  expect(read([ok], true, reader)).toMatchObject({ status: 200, body: '', isOver: true })
  expect(read([ok], false, reader)).toMatchObject({ status: 200, body: '', isOver: false })
})

it('the response reader reports whether the process closes the connection', () => {
  const reader = new ResponseReader()
  for (const [field, closes] of [
    ['Connection: keep-alive', false],
    ['Connection: x, Close', true],
    ['X-Close: close', false],
  ] as const) {
    read([Buffer.from(`HTTP/1.1 204 No Content\r\n${field}\r\n\r\n`)], false, reader)
    expect(reader.closes).toBe(closes)
  }
})

const OK = 'HTTP/1.1 200 OK\r\n'
const CHUNKED = `${OK}Transfer-Encoding: chunked\r\n\r\n`

it.each([
  ['another version', 'HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n'],
  ['no status', 'HTTP/1.1 OK\r\nContent-Length: 0\r\n\r\n'],
  ['a status of four digits', 'HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n'],
  ['another protocol', 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n'],
  ['a body that ends with the connection', `${OK}Content-Type: a/b\r\n\r\nabc`],
  ['a length and chunks', `${OK}Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n`],
  ['two lengths', `${OK}Content-Length: 3\r\nContent-Length: 3\r\n\r\n`],
  ['a list of lengths', `${OK}Content-Length: 3, 3\r\n\r\n`],
  ['a signed length', `${OK}Content-Length: +3\r\n\r\n`],
  ['an empty length', `${OK}Content-Length:\r\n\r\n`],
  ['another coding', `${OK}Transfer-Encoding: gzip, chunked\r\n\r\n`],
  ['two codings', `${OK}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n`],
  ['a bare LF', `${OK}X-A: b\nContent-Length: 3\r\n\r\n`],
  ['a bare CR', `${OK}X-A: b\rContent-Length: 3\r\n\r\n`],
  ['a folded line', `${OK}X-A: b\r\n Content-Length: 3\r\n\r\n`],
  ['a space before the colon', `${OK}Content-Length : 3\r\n\r\n`],
  ['no colon', `${OK}Content-Length\r\n\r\n`],
  ['a NUL', `${OK}X-A: \0\r\n\r\n`],
  ['too long a head', `${OK}X-A: ${'x'.repeat(20_000)}\r\n\r\n`],
  ['a head that does not end', `${OK}X-A: ${'x'.repeat(20_000)}`],
  ['a chunk without a size', `${CHUNKED}\r\n`],
  ['a signed chunk size', `${CHUNKED}+3\r\nabc\r\n`],
  ['a chunk size with 0x', `${CHUNKED}0x3\r\nabc\r\n`],
  ['a chunk size that is too long', `${CHUNKED}000000003\r\nabc\r\n`],
  ['a chunk extension', `${CHUNKED}3;a=b\r\nabc\r\n`],
  ['a chunk line that does not end', `${CHUNKED}${'0'.repeat(30)}`],
  ['a chunk longer than its size', `${CHUNKED}3\r\nabcd\r\n`],
  ['a trailer field', `${CHUNKED}0\r\nX-A: b\r\n\r\n`],
  ['bytes after a body', `${OK}Content-Length: 1\r\n\r\nab`],
  ['bytes after the last chunk', `${CHUNKED}0\r\n\r\nx`],
])('the response reader rejects %s', (_, text) => {
  expect(() => readText(text)).toThrow(MalformedResponse)
  expect(() => read([...Buffer.from(text, 'latin1')].map((byte) => Buffer.of(byte)))).toThrow(
    MalformedResponse,
  )
})

it('the response reader rejects bytes that answer no request', () => {
  expect(() => new ResponseReader().take(Buffer.from(OK))).toThrow(MalformedResponse)
  expect(() => readText(`${OK}Content-Length: 1\r\n\r\nx`, true)).toThrow(MalformedResponse)
})

it('the response reader calls nothing after a stop', () => {
  const reader = new ResponseReader()
  const received = new Received()
  received.head = () => reader.stop()
  reader.begin(received, false)
  reader.take(Buffer.from(`${OK}Content-Length: 3\r\n\r\nabc`))
  expect(received).toMatchObject({ body: '', isOver: false })
})

it('the response reader finds the ends of responses like the HTTP client of Node.js', async () => {
  // The client of Node.js is the reference for where the parts of a chunked body end.
  const random = new Random(11)
  for (let round = 0; round < 40; round++) {
    const chunks = Array.from({ length: 1 + random.below(5) }, () => '\r\n0a;\xff'.repeat(random.below(200)))
    const bytes = await sentByNode(200, {}, chunks)
    expect(read(cut(bytes, random)).body).toBe(await bodyByNode(bytes))
  }
})

/** Returns the body of a response as the HTTP client of Node.js reads it. */
async function bodyByNode(bytes: Buffer): Promise<string> {
  const { createServer: listen } = await import('node:net')
  const server = listen((socket) => socket.once('data', () => socket.end(bytes))).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const sent = request({ port, host: '127.0.0.1', agent: false }).end()
  const [response] = (await once(sent, 'response')) as [IncomingMessage]
  let body = ''
  for await (const piece of response as AsyncIterable<Buffer>) body += piece.toString('latin1')
  server.close()
  return body
}

it('the response reader rejects bytes after a response even if the receiver sends the next request at once', () => {
  const reader = new ResponseReader()
  const [first, second] = [new Received(), new Received()]
  first.end = () => reader.begin(second, false)
  reader.begin(first, false)
  const text = 'HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n'
  expect(() => reader.take(Buffer.from(`${text}a${text}b`))).toThrow(MalformedResponse)
  expect([first.body, second.status]).toEqual(['a', 0])
})

it('the response reader reads a response on a used connection as on a new one', () => {
  const random = new Random(13)
  const one = (...some: readonly string[]): string =>
    some[random.chance(0.6) ? 0 : random.below(some.length)] ?? ''
  const reader = new ResponseReader()
  for (let round = 0; round < 2000; round++) {
    const lines = [
      one('HTTP/1.1 200 OK', 'HTTP/1.1 503 Busy'),
      one('Content-Type: a/b', 'content-type: a/b', 'Content-Type: a/c'),
      ...(random.chance(0.2) ? [one('Connection: close', 'Connection: x-a', 'X-A: 1')] : []),
      one('X-Request: 1', `X-Request: ${random.below(1000)}`),
      one('Content-Length: 0', 'Content-Length: 1', 'Content-Length: 2'),
    ]
    const text = `${lines.join('\r\n')}\r\n\r\n${'x'.repeat(Number(lines.at(-1)?.slice(-1)))}`
    const alone = new ResponseReader()
    const expected = read([Buffer.from(text)], false, alone)
    expect(read([Buffer.from(text)], false, reader)).toEqual(expected)
    expect(reader.closes).toBe(alone.closes)
  }
})
