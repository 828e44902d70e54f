/**
 * Header fields that change what the bytes of a body mean: its content coding (RFC 9110 §8.4), the charset of a text (§8.3.2), and
 * whether it is a part of something (§14.4). A record is kept for good, so a body that is not understood is refused, never stored as
 * something else.
 */
import { cut } from './fields.ts'
import { Problem } from './problem.ts'
import type { Coding, WireRequest } from './request.ts'

type Head = Pick<WireRequest, 'header'>

/**
 * The coding of a request's body; undefined: none. `known` are those that the server undoes.
 * @throws Problem 415 `unsupported-media-type` for any other coding, and for several
 */
export function contentCoding(request: Head, known: readonly Coding[]): Coding | undefined {
  const value = request.header('content-encoding')
  if (value === undefined) return undefined
  // RFC 9110 §5.6.1: empty elements of a list count for nothing. §8.4.1.3: x-gzip is gzip.
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

/** Encodings of MIME (RFC 2045 §6.1) that leave bytes as they are. HTTP has no such field, and some clients send it. */
const PLAIN_ENCODINGS: ReadonlySet<string> = new Set(['7bit', '8bit', 'binary'])

/**
 * Checks that the body is all of what is to be recorded, and in no encoding of MIME.
 * @throws Problem 400 `bad-request` for a part of something (RFC 9110 §14.4); 415 `unsupported-media-type` for an encoding of MIME
 */
export function checkWhole(request: Head): void {
  const range = request.header('content-range')
  if (range !== undefined) {
    const expected = 'none, since a body is recorded whole'
    const detail = `Content-Range: expected ${expected}, found ${cut(range)}`
    throw new Problem('bad-request', detail, { field: 'Content-Range', expected, supplied: cut(range) })
  }
  const encoding = request.header('content-transfer-encoding')
  if (encoding !== undefined && !PLAIN_ENCODINGS.has(encoding.trim().toLowerCase()))
    throw unsupported('Content-Transfer-Encoding', 'no encoding of MIME', encoding)
}

const PARAMETER = /;[ \t]*([\w!#$%&'*+.^`|~-]+)=(?:([\w!#$%&'*+.^`|~-]+)|"([^"]*)")[ \t]*/gy

/**
 * Checks the charset of a JSON body, which is UTF-8 (RFC 8259 §8.1).
 * @throws Problem 415 `unsupported-media-type` for another charset; 400 `bad-request` for parameters that cannot be read
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
