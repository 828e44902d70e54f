/**
 * Raw HTTP requests that every server must treat in the same way. Each is sent on its own connection, one byte for each
 * character.
 */

/** Header lines that name this server and the tenant `test`. */
export const HOST: string = 'Host: localhost\r\nX-Foundry-Module-ID: test\r\n'

const POST = `POST /v1/append HTTP/1.1\r\n${HOST}X-Payload-ID: refused\r\n`
const CHUNKED = `${POST}Transfer-Encoding: chunked\r\n\r\n`
const sized = (length: number | string, more = ''): string =>
  `${POST}Content-Length: ${length}\r\n${more}\r\n`

/** Requests that get 400 `bad-request` and `Connection: close`, and do not reach the wire. */
export const MALFORMED: readonly (readonly [name: string, text: string])[] = [
  ['no request line', 'HELLO\r\n\r\n'],
  ['another version', `GET / HTTP/2.0\r\n${HOST}\r\n`],
  ['a version with more digits', `GET / HTTP/1.10\r\n${HOST}\r\n`],
  ['lower case', `GET / http/1.1\r\n${HOST}\r\n`],
  ['a tab', `GET\t/ HTTP/1.1\r\n${HOST}\r\n`],
  ['a space in the target', `GET /a b HTTP/1.1\r\n${HOST}\r\n`],
  ['a control character in the target', `GET /a\x01 HTTP/1.1\r\n${HOST}\r\n`],
  ['bytes beyond ASCII in the target', `GET /\xc3\xa9 HTTP/1.1\r\n${HOST}\r\n`],
  ['a target without a slash', `GET a/b HTTP/1.1\r\n${HOST}\r\n`],
  ['a target that begins with a comma', `POST ,/v1/append HTTP/1.1\r\n${HOST}\r\n`],
  ['a NUL', `GET /\0 HTTP/1.1\r\n${HOST}\r\n`],
  ['TLS', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n'],
  ['a bare LF', `GET / HTTP/1.1\n${HOST}\r\n`],
  ['a bare LF after a field', 'GET / HTTP/1.1\r\nHost: localhost\n\r\n'],
  ['a bare LF as the end', `GET / HTTP/1.1\r\n${HOST}\n`],
  ['a bare CR in a field', 'GET / HTTP/1.1\r\nHost: localhost\rX-A: b\r\n\r\n'],
  ['a bare CR in the request line', `GET /\r HTTP/1.1\r\n${HOST}\r\n`],
  ['a folded line', `GET / HTTP/1.1\r\n${HOST}X-A: b\r\n c\r\n\r\n`],
  ['a folded first field', `GET / HTTP/1.1\r\n ${HOST}\r\n`],
  ['a space before the colon', `GET / HTTP/1.1\r\n${HOST}X-A : b\r\n\r\n`],
  ['a tab before the colon', `${POST}Content-Length\t: 3\r\n\r\nabc`],
  ['no colon', `GET / HTTP/1.1\r\n${HOST}X-A\r\n\r\n`],
  ['no name', `GET / HTTP/1.1\r\n${HOST}: b\r\n\r\n`],
  ['a name that is not a token', `GET / HTTP/1.1\r\n${HOST}X(A): b\r\n\r\n`],
  ['a NUL in a value', `GET / HTTP/1.1\r\n${HOST}X-A: \0\r\n\r\n`],
  ['a vertical tab in a value', `${POST}Transfer-Encoding: \x0bchunked\r\n\r\n`],
  ['no Host', 'GET / HTTP/1.1\r\n\r\n'],
  ['two Hosts', `GET / HTTP/1.1\r\n${HOST}${HOST}\r\n`],
  ['a Host with a path', 'GET / HTTP/1.1\r\nHost: localhost/\r\n\r\n'],
  ['a Host with a user', 'GET / HTTP/1.1\r\nHost: evil@localhost\r\n\r\n'],
  ['two Hosts in one', 'GET / HTTP/1.1\r\nHost: localhost localhost\r\n\r\n'],
  ['length and chunks (CL.TE)', `${sized(6, 'Transfer-Encoding: chunked\r\n')}0\r\n\r\nG`],
  ['chunks and length (TE.CL)', `${POST}Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n5c\r\n`],
  ['two lengths', sized(3, 'Content-Length: 4\r\n')],
  ['the same length twice', sized(3, 'Content-Length: 3\r\n')],
  ['a list of lengths', sized('3, 3')],
  ['a signed length', sized('+3')],
  ['a negative length', sized('-1')],
  ['a hexadecimal length', sized('0x3')],
  ['a length with an underscore', sized('1_0')],
  ['a length with a fraction', sized('3.0')],
  ['an empty length', sized('')],
  ['a length too large for an integer', sized('9'.repeat(30))],
  ['an unknown transfer coding', `${POST}Transfer-Encoding: gzip\r\n\r\n`],
  ['a transfer coding before chunked', `${POST}Transfer-Encoding: gzip, chunked\r\n\r\n`],
  ['chunked twice', `${POST}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n`],
  ['chunked, and another', `${POST}Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n`],
  ['identity', `${POST}Transfer-Encoding: identity\r\n\r\n`],
  ['a coding in quotes', `${POST}Transfer-Encoding: "chunked"\r\n\r\n`],
  ['xchunked', `${POST}Transfer-Encoding: xchunked\r\n\r\n`],
  ['chunks in HTTP/1.0', `POST / HTTP/1.0\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n`],
  ['two content types', sized(3, 'Content-Type: a/b\r\nContent-Type: c/d\r\n')],
  ['a chunk without a size', `${CHUNKED}\r\n`],
  ['a chunk size with 0x', `${CHUNKED}0x3\r\nabc\r\n0\r\n\r\n`],
  ['a signed chunk size', `${CHUNKED}+3\r\nabc\r\n0\r\n\r\n`],
  ['a chunk size that overflows', `${CHUNKED}100000000000000003\r\nabc\r\n0\r\n\r\n`],
  ['a space after a chunk size', `${CHUNKED}3 \r\nabc\r\n0\r\n\r\n`],
  ['a chunk line with a bare LF', `${CHUNKED}3\nabc\r\n0\r\n\r\n`],
  ['a chunk extension without a name', `${CHUNKED}3;\r\nabc\r\n0\r\n\r\n`],
  ['a bare CR in a chunk extension', `${CHUNKED}3;a\rb\r\nabc\r\n0\r\n\r\n`],
  ['a chunk longer than its size', `${CHUNKED}3\r\nabcd\r\n0\r\n\r\n`],
  ['a chunk that ends in LF', `${CHUNKED}3\r\nabc\n0\r\n\r\n`],
  ['a chunk that ends in CR and another byte', `${CHUNKED}3\r\nabc\rX0\r\n\r\n`],
  ['a trailer that is not a field', `${CHUNKED}0\r\nX A: b\r\n\r\n`],
  ['a length in the trailers', `${CHUNKED}0\r\nContent-Length: 3\r\n\r\n`],
  ['a trailer with a bare LF', `${CHUNKED}0\r\nX-A: b\n\r\n`],
]

const HEALTH = `GET /healthz HTTP/1.1\r\n${HOST}`

/** Unusual requests that get 200. */
export const ACCEPTED: readonly (readonly [name: string, text: string])[] = [
  ['an empty line before the request (RFC 9112 section 2.2)', `\r\n${HEALTH}\r\n`],
  ['eight empty lines before the request', `${'\r\n'.repeat(8)}${HEALTH}\r\n`],
  ['an unknown expectation (RFC 9110 section 10.1.1)', `${HEALTH}Expect: miracles\r\n\r\n`],
]

/** Requests that get another error, with its status. */
export const REFUSED: readonly (readonly [name: string, status: number, text: string])[] = [
  ['a request line over its limit', 414, `GET /${'a'.repeat(9000)} HTTP/1.1\r\n${HOST}\r\n`],
  ['a head over its limit', 431, `GET / HTTP/1.1\r\n${HOST}${'X-A: bbbbbbbb\r\n'.repeat(2000)}\r\n`],
  ['one long field', 431, `GET / HTTP/1.1\r\n${HOST}X-A: ${'b'.repeat(20_000)}\r\n\r\n`],
  ['trailers over their limit', 431, `${CHUNKED}0\r\n${'X-A: bbbbbbbb\r\n'.repeat(2000)}\r\n`],
  ['another host', 421, 'GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n'],
  ['another host in the target', 421, `GET http://evil.example/ HTTP/1.1\r\n${HOST}\r\n`],
  ['no host in HTTP/1.0', 421, 'GET / HTTP/1.0\r\n\r\n'],
]
