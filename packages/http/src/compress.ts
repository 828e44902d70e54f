/** Content coding: gzip for whoever asks for it. */
import type { IncomingMessage } from 'node:http'
import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import Negotiator from 'negotiator'

const gzipAsync = promisify(gzip)
/** Below this a body is not worth it. */
const MIN_BYTES = 1024
const CODINGS = ['gzip', 'identity']

/** The body as the client wants it; `headers` get what tells of that. */
export async function compress(
  request: IncomingMessage,
  headers: Record<string, string>,
  body: string | Uint8Array,
): Promise<string | Uint8Array> {
  headers['vary'] = 'accept-encoding'
  const accepted = request.headers['accept-encoding']
  if (accepted === undefined || body.length < MIN_BYTES) return body
  if (new Negotiator(request).encoding(CODINGS) !== 'gzip') return body
  headers['content-encoding'] = 'gzip'
  return gzipAsync(body, { level: 4 })
}
