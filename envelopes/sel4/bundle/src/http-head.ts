/** The head of an HTTP/1.1 request, RFC 9112. Heads that two parsers could read differently are rejected. */
import { authorityOf, isHost } from '@service-fs/wire/host-name'
import {
  checkTrailerName,
  FIELD_NAME,
  keepsAlive,
  notHttp,
  REQUEST_LINE,
  SINGLE_FIELDS,
  TARGET,
} from '@service-fs/wire/http-syntax'

export interface Head {
  method: string
  /** The target on the request line, unchanged. */
  target: string
  /** Values by lower-case name. The values of a repeated field are joined by `, `. */
  headers: ReadonlyMap<string, string>
  /** `Host`, or the authority of a target in absolute form; empty if there is neither (HTTP/1.0). */
  host: string
  /** The length of the body, 0 without Content-Length, or `chunked`. */
  length: number | 'chunked'
  /** Whether the version is HTTP/1.1; if not, it is 1.0. */
  isCurrent: boolean
  /** Whether the client wants to keep the connection. */
  keepAlive: boolean
  /** Whether the client waits for `100 Continue` before it sends the body. */
  expectsContinue: boolean
}

// oxlint-disable-next-line no-control-regex
const NOT_IN_VALUE = /[\x00-\x08\x0a-\x1f\x7f]/
const SINGLE: ReadonlySet<string> = new Set(SINGLE_FIELDS)

/**
 * Parses a head: a request line and field lines, one character for each byte, without the empty line at the end.
 * @throws Problem 400 `bad-request`
 */
export function parseHead(text: string): Head {
  const lines = text.split('\r\n')
  const match = REQUEST_LINE.exec(lines[0] ?? '')
  if (match === null) throw notHttp('expected a request line: METHOD target HTTP/1.1')
  const [, method = '', target = '', version] = match
  if (method !== 'CONNECT' && !TARGET.test(target)) throw notHttp('expected a path, a URL or * as the target')
  const headers = new Map<string, string>()
  for (let i = 1; i < lines.length; i++) addField(headers, lines[i] as string)
  const isCurrent = version === '1.1'
  return {
    method,
    target,
    headers,
    host: hostOf(headers, target, isCurrent),
    length: lengthOf(headers, isCurrent),
    isCurrent,
    keepAlive: keepsAlive(headers.get('connection'), isCurrent),
    expectsContinue: isCurrent && headers.get('expect')?.toLowerCase() === '100-continue',
  }
}

/** Checks a field line and adds it. Rejects folded lines (RFC 9112 §5.2). */
export function addField(headers: Map<string, string>, line: string): void {
  const { name, value } = fieldOf(line)
  const before = headers.get(name)
  if (before === undefined) headers.set(name, value)
  else if (SINGLE.has(name)) throw notHttp(`${name}: expected once, found twice`)
  else headers.set(name, `${before}, ${value}`)
}

/** Checks a line of the trailers, which are dropped. @throws Problem */
export function checkTrailer(line: string): void {
  const { name } = fieldOf(line)
  checkTrailerName(name)
}

interface Field {
  readonly name: string
  readonly value: string
}

/** Parsed short lines, because clients repeat their header fields. */
const known = new Map<string, Field>()
const MAX_KNOWN = 256
const MAX_KNOWN_LENGTH = 128

/** Parses field-name ":" OWS field-value OWS (RFC 9112 §5). @throws Problem */
function fieldOf(line: string): Field {
  const found = known.get(line)
  if (found !== undefined) return found
  const colon = line.indexOf(':')
  const given = line.slice(0, Math.max(colon, 0))
  if (!FIELD_NAME.test(given))
    throw notHttp('expected a field line: name, colon without space before it, value')
  if (NOT_IN_VALUE.test(line)) throw notHttp(`${given}: expected no control characters`)
  const field = { name: given.toLowerCase(), value: trimmed(line, colon + 1) }
  if (line.length <= MAX_KNOWN_LENGTH) {
    if (known.size === MAX_KNOWN) known.clear()
    known.set(line, field)
  }
  return field
}

/** Returns the rest of a line without spaces and tabs around it. Other white space belongs to the value. */
function trimmed(line: string, from: number): string {
  let end = line.length
  let start = from
  while (start < end && isBlank(line.charCodeAt(start))) start++
  while (end > start && isBlank(line.charCodeAt(end - 1))) end--
  return line.slice(start, end)
}

function isBlank(unit: number): boolean {
  return unit === 0x20 || unit === 0x09
}

/** RFC 9112 §3.2: HTTP/1.1 has exactly one Host. §3.2.2: the authority of an absolute form takes precedence. */
function hostOf(headers: ReadonlyMap<string, string>, target: string, isCurrent: boolean): string {
  const host = headers.get('host')
  if (host === undefined && isCurrent) throw notHttp('Host: expected once, found none')
  if (host !== undefined && !isHost(host)) throw notHttp('Host: expected a host name, optionally with a port')
  return authorityOf(target) ?? host ?? ''
}

/** RFC 9112 §6. Rejects requests with more than one way to find the end of the body. */
function lengthOf(headers: ReadonlyMap<string, string>, isCurrent: boolean): number | 'chunked' {
  const length = headers.get('content-length')
  const coding = headers.get('transfer-encoding')
  if (coding !== undefined) {
    if (length !== undefined) throw notHttp('expected Content-Length or Transfer-Encoding, found both')
    if (!isCurrent) throw notHttp('Transfer-Encoding: expected none in HTTP/1.0')
    if (coding.toLowerCase() !== 'chunked') throw notHttp('Transfer-Encoding: expected chunked and no other')
    return 'chunked'
  }
  if (length === undefined) return 0
  if (!/^\d{1,15}$/.test(length)) throw notHttp('Content-Length: expected a decimal number of bytes')
  return Number(length)
}
