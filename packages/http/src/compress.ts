/** Compresses response bodies with gzip for clients that accept it. */
import type { IncomingMessage } from 'node:http'
import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import Negotiator from 'negotiator'

const gzipAsync = promisify(gzip)
/** Smaller bodies are sent uncompressed. */
const MIN_BYTES = 1024
const CODINGS = ['gzip', 'identity']

/** Returns the body in a coding that the client accepts, and adds the header fields that describe it. */
export async function compress(
  request: Pick<IncomingMessage, 'headers'>,
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
