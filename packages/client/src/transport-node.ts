/** The transport of Node.js: a pool of undici's connections. */
import { gunzipSync } from 'node:zlib'
import type { Dispatcher, Pool } from 'undici'
import { codeOf, messageOf } from '@service-fs/format/errors'
import { ClientError } from './errors.ts'
import { readAll, type Failure, type Incoming, type Transport, type TransportOptions } from './transport.ts'

const BROKEN: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'EPIPE',
  'ETIMEDOUT',
  'EAI_AGAIN',
  'UND_ERR_SOCKET',
  'UND_ERR_CONNECT_TIMEOUT',
  'UND_ERR_HEADERS_TIMEOUT',
  'UND_ERR_BODY_TIMEOUT',
  'HPE_INVALID_EOF_STATE',
])
/** The message of undici when a chunked body lacks its last chunk. The error sometimes has no code. */
const UNFINISHED = 'Invalid EOF state'

/** The codes of Node.js and OpenSSL for a certificate that does not verify. */
const TLS = /^(?:ERR_TLS_|ERR_SSL_|CERT_|UNABLE_TO_|(?:DEPTH_ZERO_)?SELF_SIGNED_|HOSTNAME_MISMATCH|INVALID_)/

/** The codes of errors about a certificate whose authority is not trusted; `--cacert` can name the authority. */
const UNKNOWN_AUTHORITY: ReadonlySet<string> = new Set([
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
])

/** Opens a transport to an origin. Loads undici and connects at the first request, because most commands on files send no request. */
export function openTransport(origin: string, options: TransportOptions): Transport {
  let pool: Promise<Pool> | undefined
  const open = async (): Promise<Pool> => {
    const undici = await import('undici')
    return new undici.Pool(origin, {
      connections: options.connections ?? 8,
      keepAliveTimeout: 4_000,
      connect: { ...options.tls },
    })
  }
  return {
    async send(path, { silence, body, ...request }) {
      const bodyTimeout = silence === undefined ? {} : { bodyTimeout: silence }
      const opened = await (pool ??= open())
      return incoming(await opened.request({ path, ...request, body: body ?? null, ...bodyTimeout }))
    },
    failureOf,
    async close() {
      await (await pool)?.destroy()
    },
  }
}

function incoming({ statusCode, headers, body }: Dispatcher.ResponseData): Incoming {
  const header = (name: string): string | undefined => {
    const value = headers[name]
    return Array.isArray(value) ? value[0] : value
  }
  return {
    status: statusCode,
    header,
    async whole(limit) {
      const bytes = await readAll(body, limit)
      return header('content-encoding') === 'gzip' ? gunzip(bytes, limit) : bytes
    },
    chunks: body,
  }
}

function failureOf(error: unknown): Failure | undefined {
  if (error instanceof ClientError) return undefined
  const code = codeOf(error) ?? ''
  const mayPass = BROKEN.has(code) || messageOf(error).includes(UNFINISHED)
  if (!mayPass && !TLS.test(code)) return undefined
  const hint = UNKNOWN_AUTHORITY.has(code) ? ' (--cacert names the authority to trust)' : ''
  return { text: `${messageOf(error) || code}${hint}`, mayPass }
}

function gunzip(bytes: Uint8Array, limit: number): Uint8Array {
  try {
    return gunzipSync(bytes, { maxOutputLength: limit })
  } catch (error) {
    throw new ClientError(
      'malformed',
      `response: expected gzip of at most ${limit} bytes: ${messageOf(error)}`,
    )
  }
}
