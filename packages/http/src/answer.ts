/** Writes the wire's response to a Node.js response. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { codeOf } from '@service-fs/format/errors'
import type { WireResponse } from '@service-fs/wire/request'
import { compress } from './compress.ts'

/** Problems of a request meant for another server: the connection closes after the response. */
const MISDIRECTED = 421

/**
 * Resolves when the response is handed to Node.js; for a stream, when the stream ends. Rejects when the client disconnects during a
 * stream.
 */
export async function sendAnswer(
  raw: IncomingMessage,
  out: ServerResponse,
  response: WireResponse,
): Promise<void> {
  const { status, headers, body } = response
  const isHead = raw.method === 'HEAD'
  if (!raw.complete || status === MISDIRECTED) out.shouldKeepAlive = false
  if (!isWhole(body)) {
    // A stream may last for hours, so no request waits behind it: the connection ends with it.
    if (!isHead) out.shouldKeepAlive = false
    out.writeHead(status, headers)
    if (isHead) {
      out.end()
      return
    }
    ;(out as Streaming)[STREAM] = true
    await pipeline(Readable.from(body), out)
    return
  }
  const packed = response.compressible === true ? await compress(raw, headers, body) : body
  // A 304 has no content, and its Content-Length would be that of the 200 (RFC 9110 §8.6).
  if (status !== 304)
    headers['content-length'] = String(typeof packed === 'string' ? Buffer.byteLength(packed) : packed.length)
  out.writeHead(status, headers)
  if (packed.length >= LARGE_BYTES && !isHead) endInTime(out, packed.length)
  if (isHead) out.end()
  else if (raw.complete || raw.method !== 'POST') out.end(packed)
  else linger(raw, out, packed)
}

/** A client may start to read a response of this size a minute late, and then must read at least 32 KiB per second. */
const LARGE_BYTES = 256 * 1024
const LATE_MS = 60_000
const BYTES_PER_MS = 32

function endInTime(out: ServerResponse, bytes: number): void {
  const timer = setTimeout(() => out.destroy(), LATE_MS + bytes / BYTES_PER_MS)
  out.once('close', () => clearTimeout(timer))
}

/** Reports whether a body is complete before it is sent. */
export function isWhole(body: WireResponse['body']): body is string | Uint8Array {
  return typeof body === 'string' || body instanceof Uint8Array
}

/** Marks a response whose body is a stream. */
const STREAM: unique symbol = Symbol('stream')

interface Streaming extends ServerResponse {
  [STREAM]?: true
}

/** Reports whether a response is a stream whose client has stopped reading. */
export function isStalled(out: Streaming): boolean {
  return out[STREAM] === true && out.writableNeedDrain
}

/**
 * How long a connection stays open after its last response, so that a client that is still sending can read the response: after the
 * client's last bytes, and in all.
 */
export const LINGER_MS = 1000
export const LINGER_MAX_MS = 10_000

function linger(raw: IncomingMessage, out: ServerResponse, body: string | Uint8Array): void {
  out.write(body)
  const end = (): void => void out.end()
  let ending: NodeJS.Immediate | undefined
  // When something has stopped this process for a while, it first reads the bytes that arrived in time.
  const timer = setTimeout(() => (ending = setImmediate(end)), LINGER_MS)
  const last = setTimeout(end, LINGER_MAX_MS)
  raw.on('data', () => {
    clearImmediate(ending)
    timer.refresh()
  })
  raw.once('close', () => {
    clearTimeout(timer)
    clearTimeout(last)
  })
  raw.once('end', end)
  raw.once('error', () => out.destroy())
  raw.resume()
}

/** Reports whether an error means that the client disconnected. */
export function isDisconnect(error: unknown): boolean {
  return ['ECONNRESET', 'EPIPE', 'ERR_STREAM_PREMATURE_CLOSE'].some((code) => codeOf(error) === code)
}
