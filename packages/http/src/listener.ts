/** An HTTP/1.1 server over TCP, TLS or a unix socket, with limits, timeouts and a clean stop. A handler answers the requests. */
import type { Listen } from './address.ts'
import { chmod } from 'node:fs/promises'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { createServer as createTlsServer, type Server as TlsServer } from 'node:https'
import type { AddressInfo, Server as NetServer, Socket } from 'node:net'
import type { TlsOptions } from 'node:tls'
import { clearStaleSocket } from './stale-socket.ts'
import { problemResponse } from '@service-fs/wire/problem'
import { isDisconnect, isStalled, sendAnswer } from './answer.ts'
import { Connections } from './connections.ts'
import { HostedError } from './errors.ts'
import { headProblem } from './head.ts'
import { takeTurns } from './turns.ts'

/** PEM texts. With `clientCa` the server requests client certificates; the handler decides about clients without one (`socket.authorized`). */
export interface TlsMaterial {
  certificate: string
  key: string
  clientCa?: string | undefined
}

export interface ListenerOptions {
  /** Maximum bytes of all header fields of a request. */
  maxHeaderBytes?: number
  /** Milliseconds for a request's head, and for the whole request. A TLS handshake also gets `headersTimeout`, but at most 5 s. */
  headersTimeout?: number
  requestTimeout?: number
  /** Milliseconds that a connection may be idle between requests, and without progress within one. */
  keepAliveTimeout?: number
  idleTimeout?: number
  /** The limit of this listener, when it does not share `connections`. */
  maxConnections?: number
  /** The connections of all listeners of the process. */
  connections?: Connections
  /** Mode of a unix socket; default 0600. */
  mode?: number
  /** TLS over TCP. When absent, and over a unix socket: plain HTTP. */
  tls?: TlsMaterial | undefined
  /** Called with errors from outside of the wire. */
  report?(error: unknown): void
}

/** The options that have defaults. */
export type ListenerDefaults = Required<
  Pick<
    ListenerOptions,
    'headersTimeout' | 'idleTimeout' | 'keepAliveTimeout' | 'maxHeaderBytes' | 'mode' | 'requestTimeout'
  >
>

export const LISTENER_DEFAULTS: ListenerDefaults = {
  maxHeaderBytes: 16 * 1024,
  headersTimeout: 10_000,
  requestTimeout: 120_000,
  keepAliveTimeout: 60_000,
  idleTimeout: 60_000,
  mode: 0o600,
}

const HANDSHAKE_MS = 5000

/** Answers a request. A rejection closes the connection. */
export type Handle = (raw: IncomingMessage, out: ServerResponse) => Promise<void>

export interface HttpServer {
  /** `http://127.0.0.1:8080/`, `https://…` or `unix:/path`. */
  readonly url: string
  /** Uses this certificate for new connections. Has no effect on a server that was started without TLS. */
  updateTls(tls: TlsMaterial): void
  /** Stops accepting, and resolves when all accepted requests are answered; closes the remaining connections after `ms` milliseconds. */
  stop(ms: number): Promise<void>
}

/** Starts to listen. @throws HostedError `listen` */
export async function startListener(
  listen: Listen,
  options: ListenerOptions,
  handle: Handle,
): Promise<HttpServer> {
  const settings = { ...LISTENER_DEFAULTS, ...options, ...('path' in listen ? { tls: undefined } : {}) }
  const server = createListener(settings)
  const { maxConnections: max } = settings
  const connections =
    settings.connections ?? new Connections(max === undefined ? {} : { max, perAddress: max })
  const sockets = connections.watch(server)
  const underWay = serveWith(server, handle, settings, connections)
  await listenOn(server, listen, settings.mode)
  // A connection could not be accepted. Without a handler, the process would end.
  server.on('error', (error) => options.report?.(error))
  return {
    url: urlOf(server, listen, settings.tls !== undefined),
    updateTls(tls) {
      if (isTls(server)) server.setSecureContext(contextOf(tls))
    },
    stop: (ms) => closeServer(server, sockets, ms, () => finishResponses(underWay)),
  }
}

type Settings = ListenerOptions & ListenerDefaults

function createListener(settings: Settings): Server | TlsServer {
  const http = {
    // `headProblem` checks this.
    requireHostHeader: false,
    maxHeaderSize: settings.maxHeaderBytes,
    headersTimeout: settings.headersTimeout,
    requestTimeout: settings.requestTimeout,
    keepAliveTimeout: settings.keepAliveTimeout,
    connectionsCheckingInterval: Math.min(5000, settings.headersTimeout),
  }
  const { tls } = settings
  const server =
    tls === undefined
      ? createServer(http)
      : createTlsServer({
          ...http,
          ...tlsOptions(tls, settings),
        })
  // By default Node.js leaves header fields after the thousandth out of `headers`, but not out of `rawHeaders`; maxHeaderBytes limits them.
  server.maxHeadersCount = 0
  server.setTimeout(settings.idleTimeout)
  return server
}

/** Returns the options of a server over TLS: only the handler rejects client certificates. */
export function tlsOptions(
  tls: TlsMaterial,
  { headersTimeout }: Pick<Settings, 'headersTimeout'>,
): TlsOptions {
  return {
    ...contextOf(tls),
    handshakeTimeout: Math.min(HANDSHAKE_MS, headersTimeout),
    requestCert: tls.clientCa !== undefined,
    rejectUnauthorized: false,
    ALPNProtocols: ['http/1.1'],
  }
}

export function contextOf({ certificate, key, clientCa }: TlsMaterial): {
  cert: string
  key: string
  ca?: string
  minVersion: 'TLSv1.2'
} {
  return {
    cert: certificate,
    key,
    minVersion: 'TLSv1.2',
    ...(clientCa === undefined ? {} : { ca: clientCa }),
  }
}

function isTls(server: Server | TlsServer): server is TlsServer {
  return 'setSecureContext' in server
}

/** Passes requests to the handler. Returns the set of unfinished responses. */
function serveWith(
  server: Server,
  handle: Handle,
  options: ListenerOptions,
  connections: Connections,
): Set<ServerResponse> {
  const underWay = new Set<ServerResponse>()
  const failed = (out: ServerResponse, error: unknown): void => {
    out.destroy()
    if (!isDisconnect(error)) options.report?.(error)
  }
  takeTurns(server, {
    busy: (socket) => connections.began(socket),
    rested: (socket) => connections.rested(socket),
    report: (error) => options.report?.(error),
    begin(raw, out) {
      underWay.add(out)
      out.once('close', () => {
        underWay.delete(out)
        if (!server.listening) server.closeIdleConnections()
      })
      if (!server.listening) out.shouldKeepAlive = false
      try {
        handleStrictly(raw, out, handle).catch((error: unknown) => failed(out, error))
      } catch (error) {
        failed(out, error)
      }
    },
  })
  return underWay
}

function handleStrictly(raw: IncomingMessage, out: ServerResponse, handle: Handle): Promise<void> {
  const problem = headProblem(raw)
  if (problem === undefined) return handle(raw, out)
  out.shouldKeepAlive = false
  return sendAnswer(raw, out, problemResponse(problem))
}

/** Starts to listen; `mode` is that of a unix socket. @throws HostedError `listen` */
export async function listenOn(server: NetServer, listen: Listen, mode: number): Promise<void> {
  try {
    if ('path' in listen && listen.fd === undefined) await clearStaleSocket(listen.path)
    await listening(server, listen)
    if ('path' in listen && listen.fd === undefined) await chmod(listen.path, mode)
  } catch (error) {
    if (error instanceof HostedError) throw error
    const where = 'path' in listen ? listen.path : `${listen.host}:${listen.port}`
    const why = error instanceof Error ? error.message : 'failed'
    throw new HostedError('listen', `can't listen on ${where}: ${why}`, { cause: error })
  }
}

function listening(server: NetServer, listen: Listen): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(listen.fd === undefined ? listen : { fd: listen.fd }, () => {
      server.off('error', reject)
      resolve()
    })
  })
}

export function urlOf(server: NetServer, listen: Listen, isSecure: boolean): string {
  if ('path' in listen) return `unix:${listen.path}`
  const { port } = server.address() as AddressInfo
  const host = listen.host.includes(':') ? `[${listen.host}]` : listen.host
  return `${isSecure ? 'https' : 'http'}://${host}:${port}/`
}

/**
 * Stops accepting. Resolves when all connections are closed; closes the remaining ones after `ms` milliseconds. `finish` ends the
 * connections that need not wait, and lets the others end after their responses.
 */
export async function closeServer(
  server: NetServer,
  sockets: ReadonlySet<Socket>,
  ms: number,
  finish: () => void,
): Promise<void> {
  const closed = new Promise<void>((resolve) => void server.close(() => resolve()))
  finish()
  // Do not wait for connections that have sent nothing.
  for (const socket of sockets) if (socket.bytesRead === 0) socket.destroy()
  const timer = setTimeout(() => {
    for (const socket of sockets) socket.destroy()
  }, ms)
  await closed
  clearTimeout(timer)
}

function finishResponses(underWay: ReadonlySet<ServerResponse>): void {
  for (const out of underWay) {
    if (isStalled(out)) out.destroy()
    else if (!out.headersSent) out.shouldKeepAlive = false
  }
}
