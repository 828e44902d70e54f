/**
 * Compares this parser with llhttp, the parser of Node.js, on seeded random connections. Both get the same bytes, split at random
 * places. This parser may be stricter, in the ways that STRICTER names. It accepts input that llhttp rejects, but only
 * in the ways that LOOSER names. It never frames a body differently, because then two servers in a row could see
 * different requests in the same bytes (request smuggling).
 *
 * FUZZ_CASES sets the number of connections, FUZZ_SEED the first one.
 */
import { createServer, METHODS as KNOWN_METHODS, type IncomingMessage, type ServerResponse } from 'node:http'
import { Duplex } from 'node:stream'
import { afterAll, expect, it } from 'vitest'
import { pureBytes, settled, TestHttp } from './testing.ts'

const CASES = Number(process.env['FUZZ_CASES'] ?? 2000)
const SEED = Number(process.env['FUZZ_SEED'] ?? 1)

interface Request {
  method: string
  target: string
  /** Lines `name: value` in lower case, sorted. */
  fields: string[]
  /** Undefined if the parser does not read the body, or did not get all of it. */
  body: string | undefined
}

interface Parsed {
  requests: Request[]
  /** The reason why the parser rejects the bytes after the last request. */
  refusal?: string
  /** Whether the parser ignores the bytes after the last request. */
  isOver: boolean
}

type Random = (below: number) => number

/** Returns a generator of numbers (mulberry32). */
function randomFrom(seed: number): Random {
  let state = seed >>> 0
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), state | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) % below
  }
}

const pick = <T>(random: Random, list: readonly T[]): T => list[random(list.length)] as T
/** Returns one of `others` once in `one` calls, and otherwise `usual`. */
const rarely = <T>(random: Random, usual: T, others: readonly T[], one = 12): T =>
  random(one) === 0 ? pick(random, others) : usual

const METHODS = ['GET', 'PUT', 'DELETE', 'HEAD', 'OPTIONS', 'post', 'FOO', 'PO ST', '']
const TARGETS = ['/', '*', 'http://localhost/x', '/a b', '/\x7f', '/\xe9', '', '/?a=b#c', '//x']
const VERSIONS = ['HTTP/1.0', 'HTTP/1.2', 'HTTP/2.0', 'http/1.1', 'HTTP/1.1 ', 'HTTP/11', '']
const ENDS = ['\n', '\r', '\r\r\n', '\n\r\n', ' \r\n', '\r\n ', '\r\n\t']
const NAMES = [
  'X-A',
  'x-a',
  'X-A ',
  'X A',
  'X\tA',
  '',
  'X-\xe9',
  'Transfer-Encoding',
  'Content-Length',
  'Host',
  '\x00',
]
const VALUES = [
  'b',
  ' b ',
  '\tb\t',
  '',
  '"q, r"',
  'b\rc',
  'b\nc',
  'b\x00c',
  '\xff',
  'b\x7f',
  '\x0bchunked',
  'a, b',
]
const CONNECTIONS = ['close', 'keep-alive', 'Close', 'upgrade', 'close, keep-alive', 'x']
const LENGTHS = ['+3', '-1', '0x3', '3, 3', '3 3', '03', '3.0', '', ' 3 ', '1e1', '99999999999999999999']
const CODINGS = [
  'Chunked',
  'chunked ',
  'gzip',
  'gzip, chunked',
  'chunked, chunked',
  'identity',
  'xchunked',
  '"chunked"',
  '',
]
const SIZES = [
  '0x3',
  '+3',
  '3 ',
  ' 3',
  '',
  'g',
  '3;a=b',
  '3 ;a',
  '3;a="b c"',
  '3;a\rb',
  '3;\xe9',
  '00000003',
  '100000000000000003',
]

/** Returns the bytes of a few requests in a row, most of them valid, one character each. */
function connection(random: Random): string {
  let text = ''
  for (let left = 1 + random(3); left > 0; left--) text += requestText(random)
  for (let left = rarely(random, 0, [1, 2, 3], 4); left > 0; left--) text = mutated(text, random)
  return text
}

function requestText(random: Random): string {
  const end = (): string => rarely(random, '\r\n', ENDS, 60)
  const method = rarely(random, 'POST', METHODS, 4)
  const line = `${method} ${rarely(random, '/path?q=1', TARGETS)} ${rarely(random, 'HTTP/1.1', VERSIONS)}`
  let fields = `Host:${rarely(random, ' localhost', ['localhost', ' a b', ' ', ' localhost:80', ' [::1]'])}${end()}`
  if (random(30) === 0) fields = ''
  for (let left = random(4); left > 0; left--)
    fields += `${rarely(random, `X-${random(3)}`, NAMES, 20)}${rarely(random, ': ', [':', ' :', ' : ', ''], 30)}${pick(random, VALUES.slice(0, random(10) === 0 ? 12 : 5))}${end()}`
  if (random(8) === 0) fields += `Connection: ${pick(random, CONNECTIONS)}${end()}`
  if (random(20) === 0) fields += `Expect: ${pick(random, ['100-continue', 'miracles'])}${end()}`
  const body = 'abcdefghijklmnop'.slice(0, random(16))
  const framing = random(8)
  const head = `${rarely(random, '', ['\r\n', '\n', '\r\n\r\n', ' '], 30)}${line}${end()}${fields}`
  if (framing === 0) return `${head}${end()}`
  const length = `Content-Length: ${rarely(random, String(body.length), LENGTHS)}${end()}`
  const coding = `Transfer-Encoding: ${rarely(random, 'chunked', CODINGS)}${end()}`
  if (framing < 4) return `${head}${length}${end()}${body}`
  if (framing === 4 && random(4) === 0) return `${head}${length}${coding}${end()}${chunked(body, random)}`
  return `${head}${coding}${end()}${chunked(body, random)}`
}

function chunked(body: string, random: Random): string {
  const end = (): string => rarely(random, '\r\n', ENDS, 60)
  let text = ''
  for (let at = 0; at < body.length;) {
    const piece = body.slice(at, at + 1 + random(8))
    at += piece.length
    const hex = rarely(
      random,
      piece.length.toString(16),
      [`0${piece.length.toString(16)}`, piece.length.toString(16).toUpperCase()],
      4,
    )
    text += `${rarely(random, hex, SIZES, 20)}${end()}${piece}${end()}`
  }
  const trailer = rarely(random, '', [`X-T: t${end()}`, `X T: t${end()}`, `Content-Length: 3${end()}`], 8)
  return `${text}0${rarely(random, '', [';x', ';x=y'], 20)}${end()}${trailer}${end()}`
}

const BYTES = [
  '\r',
  '\n',
  '\r\n',
  ' ',
  '\t',
  ':',
  ';',
  ',',
  '0',
  '3',
  'a',
  '\0',
  '\x7f',
  '\xff',
  '/',
  'HTTP/1.1',
  '"',
]

function mutated(text: string, random: Random): string {
  const at = random(text.length + 1)
  const kind = random(4)
  if (kind === 0) return text.slice(0, at) + text.slice(at + 1 + random(3))
  if (kind === 1) return text.slice(0, at)
  if (kind === 2) return text.slice(0, at) + pick(random, BYTES) + text.slice(at + 1)
  return text.slice(0, at) + pick(random, BYTES) + text.slice(at)
}

function pieces(text: string, random: Random): string[] {
  const list: string[] = []
  const most = pick(random, [1, 7, 64, 100_000])
  for (let at = 0; at < text.length;) {
    const size = 1 + random(most)
    list.push(text.slice(at, at + size))
    at += size
  }
  return list
}

const line = (name: string, value: string): string => `${name.toLowerCase()}: ${value}`

/** A transport without a network. */
class Wire extends Duplex {
  override _read(): void {}
  override _write(_chunk: unknown, _encoding: string, done: () => void): void {
    done()
  }
}

const found = new WeakMap<object, Parsed>()
const llhttp = createServer({ requireHostHeader: false, keepAliveTimeout: 0 })
const take = (raw: IncomingMessage, out: ServerResponse | undefined): void => {
  const fields = new Map<string, string>()
  for (let i = 0; i < raw.rawHeaders.length; i += 2) {
    const [name, value] = [raw.rawHeaders[i]?.toLowerCase() ?? '', raw.rawHeaders[i + 1] ?? '']
    const before = fields.get(name)
    fields.set(name, before === undefined ? value : `${before}, ${value}`)
  }
  const request: Request = {
    method: raw.method ?? '',
    target: raw.url ?? '',
    fields: [...fields].map(([name, value]) => line(name, value)).toSorted(),
    body: undefined,
  }
  found.get(raw.socket)?.requests.push(request)
  let body = ''
  raw.on('data', (chunk: Buffer) => (body += chunk.toString('latin1')))
  raw.on('end', () => {
    request.body = body
    out?.end()
  })
  raw.on('error', () => undefined)
}
for (const event of ['request', 'checkContinue', 'checkExpectation']) llhttp.on(event, take)
llhttp.on('connect', (raw: IncomingMessage) => take(raw, undefined))
llhttp.on('clientError', (error: Error & { code?: string }, socket: Duplex) => {
  const parsed = found.get(socket)
  if (parsed !== undefined) parsed.refusal = error.code ?? error.message
})
afterAll(() => void llhttp.close())

const iterations = async (count: number): Promise<void> => {
  for (let i = 0; i < count; i++) await new Promise((go) => void setImmediate(go))
}

/** Parses with llhttp. */
async function reference(list: readonly string[]): Promise<Parsed> {
  const wire = new Wire()
  wire.on('error', () => undefined)
  const parsed: Parsed = { requests: [], isOver: false }
  found.set(wire, parsed)
  llhttp.emit('connection', wire)
  for (const piece of list) wire.push(Buffer.from(piece, 'latin1'))
  await iterations(4)
  wire.destroy()
  return parsed
}

/** Parses with the parser of this package. */
async function subject(list: readonly string[]): Promise<Parsed> {
  const http = new TestHttp({}, 1_000_000)
  const requests: Request[] = []
  http.answer = async (got) => {
    const names = new Set<string>()
    for (const piece of FIELD_NAMES) if (got.header(piece) !== undefined) names.add(piece)
    let body = ''
    for (const byte of got.body) body += String.fromCharCode(byte)
    requests.push({
      method: got.method,
      target: got.target,
      fields: [...names].map((name) => line(name, got.header(name) ?? '')).toSorted(),
      body: got.method === 'POST' ? body : undefined,
    })
    return { status: 200, headers: {}, body: '' }
  }
  const peer = http.connect()
  for (const piece of list) {
    if (peer.isClosed) break
    peer.sendBytes(pureBytes(piece))
    await settled()
  }
  const detail = /"detail":"((?:[^"\\]|\\.)*)"/.exec(peer.received)?.[1]
  expect(http.reports).toEqual([])
  const isOver = peer.isClosed || peer.received.includes('\r\nconnection: close\r\n')
  return { requests, isOver, ...(detail === undefined ? {} : { refusal: detail }) }
}

/** The fields to compare. */
const FIELD_NAMES = [
  'host',
  'connection',
  'expect',
  'content-length',
  'transfer-encoding',
  'x-0',
  'x-1',
  'x-2',
  'x-a',
]

/** Inputs that this parser accepts and llhttp rejects: a name, the error of llhttp, and text that the bytes contain. */
const LOOSER: readonly (readonly [name: string, code: string, text: RegExp])[] = [
  [
    'white space before a chunk extension (RFC 9112 section 7.1.1)',
    'HPE_INVALID_CHUNK_SIZE',
    /[\da-f][ \t]+;/i,
  ],
  [
    'a tab after Content-Length (RFC 9110 section 5.6.3)',
    'HPE_INVALID_CONTENT_LENGTH',
    /Content-Length: *\d+ *\t/,
  ],
  // The wire answers an unknown method with 405, and this parser does not read the body.
  ['a method that Node.js does not know', 'HPE_INVALID_METHOD', /^/],
]

/** Inputs that llhttp accepts and this parser rejects: a name, and a part of the problem's detail. */
const STRICTER: readonly (readonly [name: string, detail: string])[] = [
  ['a line ends in CR LF, never in LF', 'expected CR LF at the end of a line'],
  ['one Host, and a valid one', 'Host: expected'],
  ['another host', 'expected a loopback address'],
  ['the request line has one form', 'expected a request line'],
  ['a field line has a name, a colon, and no folding', 'expected a field line'],
  ['no control characters in values', 'expected no control characters'],
  ['fields that may occur once', 'expected once, found twice'],
  ['one framing', 'Content-Length or Transfer-Encoding, found both'],
  ['no chunks in HTTP/1.0', 'expected none in HTTP/1.0'],
  ['no coding besides chunked', 'expected chunked and no other'],
  ['a decimal length of at most 15 digits', 'expected a decimal number of bytes'],
  ['a chunk size of at most 8 digits', 'expected the size of a chunk'],
  ['a chunk ends in CR LF', 'after the data of a chunk'],
  ['few empty lines before a request', 'empty lines'],
  ['trailers that change nothing', 'expected none in trailers'],
  ['three forms of the target', 'as the target'],
]

const seen = new Map<string, number>()

/** Describes how the parsers differ; undefined if they agree, or differ in a permitted way. */
function difference(text: string, ours: Parsed, theirs: Parsed): string | undefined {
  const isLooser = LOOSER.some(([, code, bytes]) => code === theirs.refusal && bytes.test(text))
  for (const [i, request] of ours.requests.entries()) {
    const other = theirs.requests[i]
    if (other?.body === undefined && isLooser) {
      const isKnown = KNOWN_METHODS.includes(request.method)
      return isKnown && theirs.refusal === 'HPE_INVALID_METHOD' ? `request ${i}: a known method` : undefined
    }
    if (other === undefined) return `request ${i}: accepted by this parser only`
    const known = other.fields.filter((field) => FIELD_NAMES.includes(field.split(':', 1)[0] ?? ''))
    if (request.method !== other.method || request.target !== other.target)
      return `request ${i}: another request line`
    if (request.fields.join('\n') !== known.join('\n')) return `request ${i}: other fields`
    if (request.body !== undefined && request.body !== other.body) return `request ${i}: another body`
  }
  if (ours.refusal !== undefined) {
    const isAccepted = theirs.requests[ours.requests.length]?.body !== undefined
    if (!isAccepted && theirs.refusal !== undefined) return undefined
    const name = STRICTER.find(([, detail]) => ours.refusal?.includes(detail))?.[0]
    if (name === undefined) return `a refusal without a name: ${ours.refusal}`
    seen.set(name, (seen.get(name) ?? 0) + 1)
    return undefined
  }
  if (ours.isOver) return undefined
  const complete = theirs.requests.filter(({ body }) => body !== undefined).length
  if (complete > ours.requests.length)
    return `request ${ours.requests.length}: llhttp accepted it, this parser still waits`
  return undefined
}

it(`this parser accepts no more than llhttp, and frames bodies as llhttp does (${CASES} connections from seed ${SEED})`, async () => {
  const wrong: unknown[] = []
  const counts = { requests: 0, refused: 0 }
  for (let first = SEED; first < SEED + CASES; first += 50) {
    const seeds = Array.from({ length: Math.min(50, SEED + CASES - first) }, (_, i) => first + i)
    await Promise.all(
      seeds.map(async (seed) => {
        const random = randomFrom(seed)
        const text = connection(random)
        const list = pieces(text, random)
        const [ours, theirs] = await Promise.all([subject(list), reference(list)])
        counts.requests += ours.requests.length
        if (ours.refusal !== undefined) counts.refused += 1
        const what = difference(text, ours, theirs)
        if (what !== undefined) wrong.push({ seed, what, text, ours, theirs })
      }),
    )
  }
  if (process.env['FUZZ_SHOW'] === '1')
    console.log(wrong.length, counts, seen, JSON.stringify(wrong.slice(0, 12), null, 1))
  expect(wrong.slice(0, 3)).toEqual([])
  // The generator makes requests that are accepted and requests that are refused.
  expect(counts.requests).toBeGreaterThan(CASES / 2)
  expect(counts.refused).toBeGreaterThan(CASES / 10)
})
