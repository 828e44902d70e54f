/** Writes what the wire answers to a raw response. */
import { hasCode } from './errors.ts'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { WireResponse } from '@service-fs/wire/request'
import { compress } from './compress.ts'

/** A client that means another server sends it nothing more over this connection. */
const MISDIRECTED = 421

/** Resolves when the answer is handed over; a stream's, when it has ended. Rejects when the client goes away in a stream. */
export async function sendAnswer(
  raw: IncomingMessage,
  out: ServerResponse,
  response: WireResponse,
): Promise<void> {
  const { status, headers, body } = response
  const isHead = raw.method === 'HEAD'
  if (!raw.complete || status === MISDIRECTED) out.shouldKeepAlive = false
  if (!isWhole(body)) {
    // What goes on for hours is not waited behind: the connection ends with it.
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
  headers['content-length'] = String(typeof packed === 'string' ? Buffer.byteLength(packed) : packed.length)
  out.writeHead(status, headers)
  if (packed.length >= LARGE_BYTES && !isHead) endInTime(out, packed.length)
  if (isHead) out.end()
  else if (raw.complete || raw.method !== 'POST') out.end(packed)
  else linger(raw, out, packed)
}

/** Answers from here on are held for a client that fetches a minute late and 32 KiB a second then, and for no slower one. */
const LARGE_BYTES = 256 * 1024
const LATE_MS = 60_000
const BYTES_PER_MS = 32

function endInTime(out: ServerResponse, bytes: number): void {
  const timer = setTimeout(() => out.destroy(), LATE_MS + bytes / BYTES_PER_MS)
  out.once('close', () => clearTimeout(timer))
}

/** Whether a body is there, and not made while it is sent. */
export function isWhole(body: WireResponse['body']): body is string | Uint8Array {
  return typeof body === 'string' || body instanceof Uint8Array
}

/** Marks a response whose body is made while it is sent. */
const STREAM = Symbol('stream')

interface Streaming extends ServerResponse {
  [STREAM]?: true
}

/** Whether a response is a stream whose client does not take what there is for it. */
export function isStalled(out: Streaming): boolean {
  return out[STREAM] === true && out.writableNeedDrain
}

/** How long a client whose body is not wanted may go on sending it, so that it finds the answer before the connection closes. */
const LINGER_MS = 1000

function linger(raw: IncomingMessage, out: ServerResponse, body: string | Uint8Array): void {
  out.write(body)
  const timer = setTimeout(() => out.end(), LINGER_MS)
  raw.once('close', () => clearTimeout(timer))
  raw.once('end', () => {
    clearTimeout(timer)
    out.end()
  })
  raw.once('error', () => out.destroy())
  raw.resume()
}

/** Whether an error says that the client went away. */
export function isDisconnect(error: unknown): boolean {
  return ['ECONNRESET', 'EPIPE', 'ERR_STREAM_PREMATURE_CLOSE'].some((code) => hasCode(error, code))
}
