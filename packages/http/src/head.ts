/** Checks request heads again: Node.js's parser accepts some heads that two readers could interpret differently. */
import type { IncomingMessage } from 'node:http'
import { authorityOf, isHost } from '@service-fs/wire/host-name'
import { notHttp, SINGLE_FIELDS } from '@service-fs/wire/http-syntax'
import { Problem } from '@service-fs/wire/problem'

type Head = Pick<IncomingMessage, 'httpVersion' | 'rawHeaders' | 'headers' | 'method' | 'url'>

/** The maximum length of a request line, in bytes. */
export const MAX_REQUEST_LINE: number = 8 * 1024
const REST_OF_LINE = '  HTTP/1.1\r\n'.length

const SINGLE_BY_LENGTH: ReadonlyMap<number, string> = new Map(
  SINGLE_FIELDS.map((name) => [name.length, name]),
)

/** Returns the problem that refuses a head, 400 or 414: RFC 9112 §2.3 (version), §3 (request line), §3.2 (Host), §6 (length). */
export function headProblem({ httpVersion, rawHeaders, headers, method, url }: Head): Problem | undefined {
  if ((method?.length ?? 0) + (url?.length ?? 0) + REST_OF_LINE > MAX_REQUEST_LINE)
    return new Problem('target-too-long', `the request line: expected at most ${MAX_REQUEST_LINE} bytes`)
  const isCurrent = httpVersion === '1.1'
  if (!isCurrent && httpVersion !== '1.0') return notHttp('expected a request line: METHOD target HTTP/1.1')
  const again = repeated(rawHeaders)
  if (again !== undefined) return notHttp(`${again}: expected once, found twice`)
  const { host } = headers
  if (host === undefined && isCurrent) return notHttp('Host: expected once, found none')
  if (host !== undefined && !isHost(host))
    return notHttp('Host: expected a host name, optionally with a port')
  return lengthProblem(headers, isCurrent)
}

/** Returns the authority of a target in absolute form, or else `Host`, or an empty text without either (HTTP/1.0). */
export function hostOf({ headers, url }: Pick<Head, 'headers' | 'url'>): string {
  return (url?.startsWith('/') === false ? authorityOf(url) : undefined) ?? headers.host ?? ''
}

/** Reports whether the client waits for `100 Continue` before it sends the body. Other expectations are ignored (RFC 9110 §10.1.1). */
export function expectsContinue({ httpVersion, headers }: Pick<Head, 'httpVersion' | 'headers'>): boolean {
  return httpVersion === '1.1' && headers.expect?.toLowerCase() === '100-continue'
}

function repeated(raw: readonly string[]): string | undefined {
  let seen = 0
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i] as string
    const single = SINGLE_BY_LENGTH.get(name.length)
    if (single === undefined || name.toLowerCase() !== single) continue
    const mark = 1 << single.length
    if ((seen & mark) !== 0) return single
    seen |= mark
  }
  return undefined
}

/** Checks that exactly one field defines where the body ends. */
function lengthProblem(headers: IncomingMessage['headers'], isCurrent: boolean): Problem | undefined {
  const length = headers['content-length']
  const coding = headers['transfer-encoding']
  if (coding !== undefined) {
    if (length !== undefined) return notHttp('expected Content-Length or Transfer-Encoding, found both')
    if (!isCurrent) return notHttp('Transfer-Encoding: expected none in HTTP/1.0')
    if (coding.toLowerCase() !== 'chunked') return notHttp('Transfer-Encoding: expected chunked and no other')
  }
  if (length === undefined || /^\d{1,15}$/.test(length)) return undefined
  return notHttp('Content-Length: expected a decimal number of bytes')
}
