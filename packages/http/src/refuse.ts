/** Problem documents for bytes that are not a request. They are written to the socket directly. */
import type { Socket } from 'node:net'
import { STATUS_CODES } from 'node:http'
import { Problem, problemResponse, type ProblemCode } from '@service-fs/wire/problem'

/** Errors of Node.js's HTTP parser and server, by `code`. */
const REFUSALS: Readonly<Record<string, readonly [ProblemCode, string]>> = {
  HPE_HEADER_OVERFLOW: ['headers-too-large', 'the header fields of a request are limited'],
  HPE_CHUNK_EXTENSIONS_OVERFLOW: ['too-large', 'the chunk extensions of a request are limited'],
  ERR_HTTP_REQUEST_TIMEOUT: ['timeout', 'the request did not arrive in time'],
}

/** Reports whether an error concerns the bytes that a client sent, and not the connection. */
export function isOfHttp({ code = '' }: { code?: string }): boolean {
  return code.startsWith('HPE_') || code === 'ERR_HTTP_REQUEST_TIMEOUT'
}

/** Returns the problem for an error of the parser or the server. */
export function problemOfHttp(error: Error & { code?: string }): Problem {
  const [code, detail] = REFUSALS[error.code ?? ''] ?? ['bad-request', 'not an HTTP/1.1 request']
  return new Problem(code, detail)
}

/** Writes the problem and closes the connection, since the start of a next request is unknown. */
export function refuse(socket: Socket, problem: Problem): void {
  if (!socket.writable) {
    socket.destroy()
    return
  }
  socket.end(refusal(problem), () => socket.destroy())
}

/** Returns the response that refuses bytes and closes the connection, as it is sent. */
export function refusal(problem: Problem): string {
  const { status, headers, body } = problemResponse(problem)
  const fields = { ...headers, 'content-length': String(Buffer.byteLength(body)), connection: 'close' }
  const head = Object.entries(fields).map(([name, value]) => `${name}: ${value}\r\n`)
  return `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? 'Error'}\r\n${head.join('')}\r\n${body}`
}
