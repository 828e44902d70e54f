/** The head of an HTTP/1.1 response, RFC 9112 §4. */
import type { WireResponse } from '@service-fs/wire/request'

const REASONS: Readonly<Record<number, string>> = {
  200: 'OK',
  304: 'Not Modified',
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  408: 'Request Timeout',
  409: 'Conflict',
  413: 'Content Too Large',
  414: 'URI Too Long',
  421: 'Misdirected Request',
  429: 'Too Many Requests',
  431: 'Request Header Fields Too Large',
  500: 'Internal Server Error',
  503: 'Service Unavailable',
  507: 'Insufficient Storage',
}

/** The fields of a head that the wire does not set. */
export interface Framing {
  /** The body's length in bytes, or `chunked`, or `close` if it ends with the connection. */
  length: number | 'chunked' | 'close'
  /** `Date`. */
  date: string
  /** `Connection`; undefined for the default of the request's version. */
  connection: 'close' | 'keep-alive' | undefined
}

/** Returns the head, with the empty line that ends it. */
export function answerHead({ status, headers }: WireResponse, framing: Framing): string {
  let text = `HTTP/1.1 ${status} ${REASONS[status] ?? ''}\r\n`
  for (const name of Object.keys(headers)) {
    const value = headers[name] as string
    if (value.includes('\n') || value.includes('\r')) throw new Error(`${name}: a header with a line break`)
    text += `${name}: ${value}\r\n`
  }
  if (framing.length === 'chunked') text += 'transfer-encoding: chunked\r\n'
  // A 304 has no content, and its Content-Length would be that of the 200 (RFC 9110 §8.6).
  else if (framing.length !== 'close' && status !== 304) text += `content-length: ${framing.length}\r\n`
  text += `date: ${framing.date}\r\n`
  if (framing.connection !== undefined) text += `connection: ${framing.connection}\r\n`
  return `${text}\r\n`
}

let lastSecond = 0
let lastDate = ''

/** Formats a time in milliseconds as IMF-fixdate, RFC 9110 §5.6.7. */
export function httpDate(ms: number): string {
  const second = Math.floor(ms / 1000)
  if (second !== lastSecond) {
    lastSecond = second
    lastDate = new Date(second * 1000).toUTCString()
  }
  return lastDate
}
