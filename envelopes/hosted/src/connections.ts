/** The connections of a server that nobody needs: given up when there are many, and when the server stops. */
import type { Server } from 'node:http'
import type { Socket } from 'node:net'

/** From this share of its connections on, a server closes those that wait between two requests. */
const MANY = 0.75

/** Sees to it that idle connections do not keep others out. Gives those that are there, TLS handshakes under way included. */
export function watchConnections(server: Server, max: number): ReadonlySet<Socket> {
  const sockets = new Set<Socket>()
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
    if (sockets.size > max * MANY) server.closeIdleConnections()
  })
  return sockets
}
