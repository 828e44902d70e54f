/** The syntax of HTTP/1.1 requests (RFC 9112), as every parser of ours reads it. Texts have one character for each byte. */
import { Problem } from './problem.ts'

const TOKEN_CHARACTER = "[!#$%&'*+\\-.^_`|~0-9A-Za-z]"
/** A token (RFC 9110 §5.6.2), for a pattern. */
export const TOKEN: string = `${TOKEN_CHARACTER}+`

/** A method, a target, and the version `1.0` or `1.1`. */
export const REQUEST_LINE: RegExp = new RegExp(
  `^(${TOKEN_CHARACTER}{1,64}) ([\\x21-\\x7e]+) HTTP/(1\\.[01])$`,
)
/** A path, a URL with an authority, or `*` (RFC 9112 §3.2); other forms belong to CONNECT. */
export const TARGET: RegExp = /^(?:\/|[A-Za-z]+:\/\/[^/?#]|\*$)/
/** The name of a field. */
export const FIELD_NAME: RegExp = new RegExp(`^${TOKEN}$`)

/** Fields that may occur only once, because a second value would change the request. No two have the same length. */
export const SINGLE_FIELDS = ['host', 'content-length', 'content-type', 'authorization'] as const

/** Fields that would change the framing or the meaning of the request (RFC 9110 §6.5.1). */
const NOT_IN_TRAILERS: ReadonlySet<string> = new Set([...SINGLE_FIELDS, 'transfer-encoding'])

/** Checks the name of a trailer field, in lower case. @throws Problem 400 */
export function checkTrailerName(name: string): void {
  if (NOT_IN_TRAILERS.has(name)) throw notHttp(`${name}: expected none in trailers`)
}

/** Reports whether the client wants to keep the connection (RFC 9112 §9.3). `isCurrent`: the version is 1.1. */
export function keepsAlive(connection: string | undefined, isCurrent: boolean): boolean {
  if (connection === undefined) return isCurrent
  const options = connection
    .toLowerCase()
    .split(',')
    .map((option) => option.trim())
  return !options.includes('close') && (isCurrent || options.includes('keep-alive'))
}

/** Returns the problem of bytes that are not a request. */
export function notHttp(detail: string): Problem {
  return new Problem('bad-request', `not an HTTP/1.1 request: ${detail}`)
}
