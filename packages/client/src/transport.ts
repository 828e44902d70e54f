/**
 * The transport by which a {@link Connection} sends requests. package.json selects the implementation, `#transport`: undici in Node.js, and
 * fetch in a browser.
 */
import { ClientError } from './errors.ts'

/** Certificates and keys, as PEM text. A browser uses its own certificates and keys, and refuses these. */
export interface TlsOptions {
  /** The certificate authorities to trust, instead of the system's. */
  ca?: string
  /** The client's certificate. */
  cert?: string
  /** The private key of the client's certificate. */
  key?: string
}

export interface TransportOptions {
  tls?: TlsOptions | undefined
  /** The number of connections kept open. A browser chooses this number itself. */
  connections?: number
}

/** One HTTP request to the transport's origin. */
export interface Outgoing {
  method: 'GET' | 'POST'
  headers: Record<string, string>
  body: Uint8Array | string | undefined
  /** The longest pause within the response body, in milliseconds; undefined for the transport's default of 300,000. */
  silence: number | undefined
}

/** An HTTP response whose body is still to be read, by one of its two members. */
export interface Incoming {
  status: number
  /** Returns the value of a header. The name must be in lower case. */
  header: (name: string) => string | undefined
  /** Reads the whole body and decompresses it. @throws ClientError `malformed` when it is larger than `limit` or invalid gzip */
  whole(limit: number): Promise<Uint8Array>
  /** The body's bytes as they arrive. */
  chunks: AsyncIterable<Uint8Array>
}

/** A connection that failed or broke. */
export interface Failure {
  /** A description of the failure, for the error message. */
  text: string
  /** Reports whether a retry may succeed. */
  mayPass: boolean
}

export interface Transport {
  /** Sends a request for a path with its query. Resolves when the response's head has arrived. */
  send(path: string, request: Outgoing): Promise<Incoming>
  /** Describes an error of `send` or of a body. Returns undefined when the connection did not cause the error. */
  failureOf(error: unknown): Failure | undefined
  /** Closes the connections. Requests that are under way fail. */
  close(): Promise<void>
}

/** Concatenates the parts. Returns a single part unchanged, without a copy. */
export function joined(parts: readonly Uint8Array[]): Uint8Array {
  const [first] = parts
  if (first !== undefined && parts.length === 1) return first
  const bytes = new Uint8Array(parts.reduce((length, part) => length + part.length, 0))
  let at = 0
  for (const part of parts) {
    bytes.set(part, at)
    at += part.length
  }
  return bytes
}

/** Reads a whole body. @throws ClientError `malformed` when it is larger than `limit` */
export async function readAll(body: AsyncIterable<Uint8Array>, limit: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of body) {
    size += chunk.length
    if (size > limit)
      throw new ClientError('malformed', `response: expected at most ${limit} bytes, found more`)
    chunks.push(chunk)
  }
  return joined(chunks)
}
