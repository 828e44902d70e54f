// HTTP/1.1 as text, for servers that take bytes instead of a socket.

import type { WireAnswer } from '@service-fs/wire/conformance-tools'

/** A request that is alone on its connection. */
export function requestBytes(
  method: string,
  target: string,
  headers: Readonly<Record<string, string>>,
  body: Uint8Array,
): Uint8Array {
  const fields = { host: 'localhost', connection: 'close', ...headers }
  const lines = Object.entries(fields).map(([name, value]) => `${name}: ${value}\r\n`)
  if (method === 'POST' || body.length > 0) lines.push(`content-length: ${body.length}\r\n`)
  return Buffer.concat([Buffer.from(`${method} ${target} HTTP/1.1\r\n${lines.join('')}\r\n`, 'latin1'), body])
}

/** Parses the bytes of a closed connection as an answer. */
export function parseAnswer(bytes: Buffer, method: string): WireAnswer {
  const end = bytes.indexOf('\r\n\r\n')
  const [first = '', ...lines] = bytes.subarray(0, Math.max(0, end)).toString('latin1').split('\r\n')
  const status = /^HTTP\/1\.1 (\d{3}) /.exec(first)?.[1]
  if (status === undefined)
    throw new Error(`no HTTP answer: ${JSON.stringify(bytes.toString('latin1', 0, 100))}`)
  const headers: Record<string, string> = {}
  for (const line of lines) {
    const colon = line.indexOf(':')
    headers[line.slice(0, colon).toLowerCase()] = line.slice(colon + 1).trim()
  }
  // RFC 9112 section 6.3: whatever the fields say, these have no body.
  const isEmpty = method === 'HEAD' || status === '304'
  const isChunked = headers['transfer-encoding'] === 'chunked' && !isEmpty
  const body = isChunked ? chunksOf(bytes.subarray(end + 4)) : bytes.subarray(end + 4)
  if (isChunked) return { status: Number(status), headers, body }
  const length = isEmpty ? 0 : Number(headers['content-length'])
  if (body.length !== length) throw new Error(`expected a body of ${length} bytes, found ${body.length}`)
  return { status: Number(status), headers, body }
}

/** The content of a complete chunked body (RFC 9112, section 7.1). */
function chunksOf(bytes: Buffer): Buffer {
  const parts: Buffer[] = []
  for (let at = 0; ;) {
    const line = bytes.indexOf('\r\n', at)
    const length = Number.parseInt(bytes.toString('latin1', at, line), 16)
    if (line < 0 || Number.isNaN(length)) throw new Error(`expected a chunk at byte ${at} of ${bytes.length}`)
    if (length === 0) return Buffer.concat(parts)
    parts.push(bytes.subarray(line + 2, line + 2 + length))
    at = line + 2 + length + 2
  }
}
