/** The heads of clients' requests: HTTP/1.1 (RFC 9112), read as strictly as the tenants read them. */
import type { IncomingMessage } from 'node:http'
import { expectsContinue, headProblem } from '@service-fs/http/head'
import {
  checkTrailerName,
  FIELD_NAME,
  keepsAlive,
  notHttp,
  REQUEST_LINE,
  TARGET,
} from '@service-fs/wire/http-syntax'

/** A head, with the names that Node.js gives its parts. Connections share it when a client repeats it. */
export interface ClientHead extends Pick<
  IncomingMessage,
  'headers' | 'headersDistinct' | 'httpVersion' | 'rawHeaders'
> {
  readonly method: string
  readonly url: string
  /** The field lines as they arrived. */
  readonly fieldText: string
  /** The length of the body in bytes, 0 without one, or `chunked`. */
  readonly length: number | 'chunked'
  readonly keepsAlive: boolean
  readonly expectsContinue: boolean
}

const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/

const CRLF = '\r\n'

/**
 * Parses a request line and its field lines, one character for each byte, without the empty line at the end. Reuses
 * the fields of `before`, an earlier head, if they are the same.
 * @throws Problem 400, 414
 */
export function parseClientHead(text: string, before?: ClientHead): ClientHead {
  const end = text.indexOf(CRLF)
  const line = end < 0 ? text : text.slice(0, end)
  const fieldText = end < 0 ? '' : text.slice(end + CRLF.length)
  const [, method, url, httpVersion] = REQUEST_LINE.exec(line) ?? []
  if (method === undefined || url === undefined || httpVersion === undefined)
    throw notHttp('expected a request line: METHOD target HTTP/1.1')
  if (method !== 'CONNECT' && !TARGET.test(url)) throw notHttp('expected a path, a URL or * as the target')
  const { headers, headersDistinct, rawHeaders } =
    before !== undefined && before.fieldText === fieldText
      ? before
      : fieldsOf(end < 0 ? [] : fieldText.split(CRLF))
  const read = { method, url, httpVersion, headers, headersDistinct, rawHeaders }
  const problem = headProblem(read)
  if (problem !== undefined) throw problem
  const isChunked = headers['transfer-encoding'] !== undefined
  return {
    method,
    url,
    httpVersion,
    headers,
    headersDistinct,
    rawHeaders,
    fieldText,
    length: isChunked ? 'chunked' : Number(headers['content-length'] ?? 0),
    keepsAlive: keepsAlive(headers['connection'], httpVersion === '1.1') && method !== 'CONNECT',
    expectsContinue: expectsContinue(read),
  }
}

function fieldsOf(lines: readonly string[]): Pick<ClientHead, 'headers' | 'headersDistinct' | 'rawHeaders'> {
  const rawHeaders: string[] = []
  // Without a prototype, so that a field named `constructor` is only a field.
  const headers = Object.create(null) as Record<string, string>
  const headersDistinct = Object.create(null) as Record<string, string[]>
  for (const line of lines) {
    const [given, name, value] = fieldOf(line)
    rawHeaders.push(given, value)
    const earlier = headers[name]
    headers[name] = earlier === undefined ? value : `${earlier}, ${value}`
    if (name === 'authorization') (headersDistinct[name] ??= []).push(value)
  }
  return { headers, headersDistinct, rawHeaders }
}

/** Returns the name as given, the name in lower case, and the value. Rejects folded lines (RFC 9112 §5.2). @throws Problem */
function fieldOf(line: string): readonly [given: string, name: string, value: string] {
  const colon = line.indexOf(':')
  const given = line.slice(0, Math.max(colon, 0))
  if (!FIELD_NAME.test(given) || !VALUE.test(line))
    throw notHttp(
      'expected field lines: name, colon without space before it, value without control characters',
    )
  return [given, given.toLowerCase(), line.slice(colon + 1).replace(/^[\t ]+|[\t ]+$/g, '')]
}

/** Checks a line of the trailers, which are dropped. @throws Problem */
export function checkTrailer(line: string): void {
  const [, name] = fieldOf(line)
  checkTrailerName(name)
}
