/**
 * Header fields that change the meaning of a body: its content coding (RFC 9110 §8.4), the charset of a text (§8.3.2), and the
 * range of a partial body (§14.4). A ledger keeps a record forever, so the server rejects a body that it cannot decode.
 */
import { cut } from './fields.ts'
import { Problem } from './problem.ts'
import type { Coding, WireRequest } from './request.ts'

type Head = Pick<WireRequest, 'header'>

/**
 * Returns the content coding of a request's body; undefined when it has none. The server can decode the codings in `known`.
 * @throws Problem 415 `unsupported-media-type` for another coding, or for several
 */
export function contentCoding(request: Head, known: readonly Coding[]): Coding | undefined {
  const value = request.header('content-encoding')
  if (value === undefined) return undefined
  // RFC 9110 §5.6.1: ignore empty list elements. §8.4.1.3: x-gzip is gzip.
  const codings = value
    .toLowerCase()
    .split(',')
    .map((coding) => coding.trim())
    .filter((coding) => coding !== '' && coding !== 'identity')
  if (codings.length === 0) return undefined
  const [only = ''] = codings
  const found = known.find((coding) => coding === only || `x-${coding}` === only)
  if (found !== undefined && codings.length === 1) return found
  const expected = known.length === 0 ? 'no coding' : `${known.join(', ')} or no coding`
  const encoding = { accept_encoding: known.length === 0 ? 'identity' : known.join(', ') }
  throw unsupported('Content-Encoding', expected, value, encoding)
}

/** MIME encodings (RFC 2045 §6.1) that do not change the bytes. HTTP has no such field, but some clients send it. */
const PLAIN_ENCODINGS: ReadonlySet<string> = new Set(['7bit', '8bit', 'binary'])

/**
 * Checks that the body is complete and has no MIME encoding.
 * @throws Problem 400 `bad-request` for a partial body (RFC 9110 §14.4); 415 `unsupported-media-type` for a MIME encoding
 */
export function checkWhole(request: Head): void {
  const range = request.header('content-range')
  if (range !== undefined) {
    const expected = 'no Content-Range'
    const detail = `Content-Range: expected ${expected}, found ${cut(range)}`
    throw new Problem('bad-request', detail, { field: 'Content-Range', expected, supplied: cut(range) })
  }
  const encoding = request.header('content-transfer-encoding')
  if (encoding !== undefined && !PLAIN_ENCODINGS.has(encoding.trim().toLowerCase()))
    throw unsupported('Content-Transfer-Encoding', 'no MIME encoding', encoding)
}

const PARAMETER = /;[ \t]*([\w!#$%&'*+.^`|~-]+)=(?:([\w!#$%&'*+.^`|~-]+)|"([^"]*)")[ \t]*/gy

/**
 * Checks that the charset of a JSON body, if named, is UTF-8 (RFC 8259 §8.1).
 * @throws Problem 415 `unsupported-media-type` for another charset; 400 `bad-request` for malformed parameters
 */
export function checkCharset(contentType: string): void {
  const start = contentType.indexOf(';')
  if (start < 0) return
  PARAMETER.lastIndex = start
  for (let at = start; at < contentType.length; at = PARAMETER.lastIndex) {
    const match = PARAMETER.exec(contentType)
    if (match === null) {
      const detail = `Content-Type: expected parameters as name=value, found ${cut(contentType.slice(at))}`
      throw new Problem('bad-request', detail, { field: 'Content-Type' })
    }
    const [, name = '', token, quoted = ''] = match
    const value = token ?? quoted
    if (name.toLowerCase() === 'charset' && !/^utf-?8$/i.test(value))
      throw unsupported('Content-Type', 'charset=utf-8', contentType)
  }
}

function unsupported(
  field: string,
  expected: string,
  supplied: string,
  members: Readonly<Record<string, string>> = {},
): Problem {
  const detail = `${field}: expected ${expected}, found ${cut(supplied)}`
  return new Problem('unsupported-media-type', detail, {
    field,
    expected,
    supplied: cut(supplied),
    ...members,
  })
}
