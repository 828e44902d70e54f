/** Listens for the front's clients over TCP, TLS or a unix socket, with limits, timeouts and a clean stop. */
import { createServer, type Server, type Socket } from 'node:net'
import { createServer as createTlsServer, type Server as TlsServer } from 'node:tls'
import { performance } from 'node:perf_hooks'
import type { Listen } from '@service-fs/http/address'
import { Arrivals } from '@service-fs/http/arrivals'
import { Connections } from '@service-fs/http/connections'
import {
  closeServer,
  contextOf,
  LISTENER_DEFAULTS,
  listenOn,
  tlsOptions,
  urlOf,
  type HttpServer,
  type ListenerDefaults,
  type ListenerOptions,
} from '@service-fs/http/listener'
import { ClientConnection, type ClientShared } from './client-connection.ts'
import type { ClientRequest } from './client-request.ts'

const CHECK_MS = 1000

type Settings = ListenerOptions & ListenerDefaults

/** Starts to listen. `handle` answers each request; a rejection closes its connection. @throws HostedError `listen` */
export async function startClientListener(
  listen: Listen,
  options: ListenerOptions,
  handle: (request: ClientRequest) => Promise<void>,
): Promise<HttpServer> {
  const settings = { ...LISTENER_DEFAULTS, ...options, ...('path' in listen ? { tls: undefined } : {}) }
  const server = createListener(settings)
  const { maxConnections: max } = settings
  const limits = settings.connections ?? new Connections(max === undefined ? {} : { max, perAddress: max })
  const sockets = limits.watch(server)
  const shared = sharedOf(settings, server, limits, handle)
  const connections = new Set<ClientConnection>()
  const accept = (socket: Socket): void => {
    // The limit of connections may have been reached.
    if (socket.destroyed) return
    if (shared.isClosing) {
      // The connection's TLS handshake ended after `stop`.
      socket.destroy()
      return
    }
    const connection = new ClientConnection(socket, shared)
    connections.add(connection)
    socket.setTimeout(settings.idleTimeout)
    socket.once('close', () => {
      connections.delete(connection)
      connection.gone()
    })
  }
  server.on(settings.tls === undefined ? 'connection' : 'secureConnection', accept)
  // Without a handler, Node.js leaves the connection of a failed or late handshake open.
  server.on('tlsClientError', (_: Error, socket: Socket) => socket.destroy())
  await listenOn(server, listen, settings.mode)
  // A connection could not be accepted. Without a handler, the process would end.
  server.on('error', (error) => shared.report(error))
  const check = (): void => {
    const now = performance.now()
    for (const connection of connections) connection.check(now)
  }
  // After this process has stood still for a while, let it first read the bytes that arrived in time.
  const checking = setInterval(
    () => void setImmediate(check),
    Math.min(CHECK_MS, settings.headersTimeout),
  ).unref()
  return {
    url: urlOf(server, listen, settings.tls !== undefined),
    updateTls(tls) {
      if ('setSecureContext' in server) server.setSecureContext(contextOf(tls))
    },
    async stop(ms) {
      shared.isClosing = true
      await closeServer(server, sockets, ms, () => {
        for (const connection of connections) connection.stop()
      })
      clearInterval(checking)
    },
  }
}

function sharedOf(
  settings: Settings,
  server: Server,
  connections: Connections,
  handle: (request: ClientRequest) => Promise<void>,
): ClientShared {
  const report = (error: unknown): void => settings.report?.(error)
  const arrivals = new Arrivals(report)
  server.on('connection', () => arrivals.accepted())
  return {
    limits: settings,
    isClosing: false,
    began(socket, start) {
      // A connection whose request waits for new connections must not be evicted as idle.
      connections.began(socket)
      arrivals.whenIn(start)
    },
    rested: (socket) => connections.rested(socket),
    handle(request) {
      handle(request).catch((error: unknown) => {
        request.destroy()
        report(error)
      })
    },
    report,
  }
}

function createListener(settings: Settings): Server | TlsServer {
  const { tls } = settings
  const options = { allowHalfOpen: true, noDelay: true }
  if (tls === undefined) return createServer(options)
  return createTlsServer({
    ...options,
    ...tlsOptions(tls, settings),
  })
}
