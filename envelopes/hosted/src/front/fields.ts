/** Selects the header fields that the front forwards, and writes the heads of forwarded requests. */
import type { IncomingMessage } from 'node:http'
import type { Identity } from '@service-fs/http/http'
import { httpDate } from './http-date.ts'
import { identityHeaders, OWN_FIELDS } from './identity-headers.ts'

/** Hop-by-hop fields (RFC 9110 §7.6.1), and `Expect`, which the front answers itself. */
const HOP_BY_HOP: ReadonlySet<string> = new Set([
  'connection',
  'expect',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
])

/** The front checks the credentials. A tenant must not see them. */
const CREDENTIALS = 'authorization'

/** `requestHead` writes this field, so that nothing in a request can remove it or change it. */
const LENGTH = 'content-length'

type Fields = Pick<IncomingMessage, 'rawHeaders' | 'headers'>

/**
 * Returns the fields of a request that a tenant's process receives. Names and values alternate. Drops hop-by-hop fields, credentials,
 * fields with the front's own prefix, and Content-Length.
 */
export function passedFields({ rawHeaders, headers }: Fields): string[] {
  const named = namedBy(headers.connection)
  return filtered(rawHeaders, (name) => {
    // HTTP/1.1 requires Host, so `Connection` cannot make it hop-by-hop.
    if (name === 'host') return true
    if (HOP_BY_HOP.has(name) || named.has(name) || name === CREDENTIALS || name === LENGTH) return false
    return !name.startsWith(OWN_FIELDS)
  })
}

/** How the body of a forwarded request is delimited: by its length in bytes, by chunks, or `none`: the request has no body. */
export type Framing = number | 'chunked' | 'none'

const METHOD = /^[A-Z]+$/
const PATH = /^\/[!-~\x80-\xff]*$/
const NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/

/**
 * Returns the head of a request to a tenant's process, as latin1. Exactly one of its fields delimits the body, by the length or the chunks
 * that the front parsed. Returns undefined if a part has characters that could end the head early.
 */
export function requestHead(
  raw: Pick<IncomingMessage, 'method' | 'rawHeaders' | 'headers'>,
  path: string,
  identity: Identity,
  moduleId: string,
  framing: Framing,
): string | undefined {
  const { method = '', headers } = raw
  if (!METHOD.test(method) || !PATH.test(path)) return undefined
  const own = linesOf(identityHeaders(identity, moduleId))
  const passed = passedLines(raw)
  if (own === undefined || passed === undefined) return undefined
  let head = `${method} ${path} HTTP/1.1\r\n${own}${passed}`
  // A request of HTTP/1.0 may have none.
  if (headers.host === undefined) head += 'host: localhost\r\n'
  if (framing === 'chunked') head += 'transfer-encoding: chunked\r\n'
  else if (framing !== 'none') head += `${LENGTH}: ${framing}\r\n`
  return `${head}\r\n`
}

/**
 * The lines of the fields in `rawHeaders` that a tenant receives. A client's requests share the array `rawHeaders`
 * while its fields stay the same.
 */
const passedBefore = new WeakMap<readonly string[], string>()

function passedLines(raw: Fields): string | undefined {
  let lines = passedBefore.get(raw.rawHeaders)
  if (lines === undefined) {
    lines = linesOf(passedFields(raw))
    if (lines !== undefined) passedBefore.set(raw.rawHeaders, lines)
  }
  return lines
}

/** Returns the lines of these fields; undefined if one has characters that could end the head early. */
function linesOf(fields: readonly string[]): string | undefined {
  let lines = ''
  for (let i = 0; i < fields.length; i += 2) {
    const [name, value] = [fields[i] as string, fields[i + 1] as string]
    if (!NAME.test(name) || !VALUE.test(value)) return undefined
    lines += `${name}: ${value}\r\n`
  }
  return lines
}

/** Returns how the body of a request is delimited. The listener has checked that exactly one field delimits the body, and that it is valid. */
export function framingOf({ method, headers }: Pick<IncomingMessage, 'method' | 'headers'>): Framing {
  // The wire ignores the bodies of other requests.
  if (method !== 'POST') return 'none'
  if (headers['transfer-encoding'] !== undefined) return 'chunked'
  const length = headers['content-length']
  return length === undefined ? 'none' : Number(length)
}

/**
 * A field of a tenant's response. A connection's responses share the object while the tenant repeats the field's line.
 */
export interface AnswerField {
  readonly name: string
  /** In lower case. */
  readonly lower: string
  readonly value: string
  /** The line that the client receives, unless a field `Connection` names the field; undefined for a field that the front drops. */
  readonly line: string | undefined
  /** The fields that this field names, if this field is `Connection`. */
  readonly named: ReadonlySet<string>
}

export function answerField(name: string, value: string): AnswerField {
  const lower = name.toLowerCase()
  const isDropped = lower === LENGTH || HOP_BY_HOP.has(lower) || lower.startsWith(OWN_FIELDS)
  return {
    name,
    lower,
    value,
    line: isDropped ? undefined : `${lower}: ${value}\r\n`,
    named: lower === 'connection' ? namedBy(value) : NONE,
  }
}

/** Returns the field lines that the client receives: with `Date`, but without the length of the body. */
export function answerLines(fields: readonly AnswerField[]): string {
  let named = NONE
  for (const field of fields)
    if (field.named.size > 0) named = named.size === 0 ? field.named : new Set([...named, ...field.named])
  let lines = ''
  let hasDate = false
  for (const { lower, line } of fields) {
    if (line === undefined || named.has(lower)) continue
    hasDate ||= lower === 'date'
    lines += line
  }
  return hasDate ? lines : `${lines}date: ${httpDate()}\r\n`
}

/** Returns the lower-case names of the fields that `Connection` lists. */
function namedBy(connection: string | undefined): ReadonlySet<string> {
  if (connection === undefined) return NONE
  return new Set(connection.split(',').map((name) => name.trim().toLowerCase()))
}

const NONE: ReadonlySet<string> = new Set()

function filtered(raw: readonly string[], passes: (name: string) => boolean): string[] {
  const fields: string[] = []
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const name = raw[i] as string
    if (passes(name.toLowerCase())) fields.push(name, raw[i + 1] as string)
  }
  return fields
}
