// A proxy in front of a log that changes selected answers. A checker must detect the change.

import { once } from 'node:events'
import { createServer, request, type IncomingHttpHeaders, type Server } from 'node:http'
import { listen } from '../support/process.ts'

export interface Answer {
  status: number
  headers: IncomingHttpHeaders
  /** The uncompressed body. */
  body: Buffer
}

/** The answers to change: `path` is the path after the prefix, with its query. */
export interface Tampering {
  path: RegExp
  change: (answer: Answer) => void
}

export interface Proxy {
  /** The URL prefix of the proxied log. */
  readonly prefix: string
  /** How many answers were changed. */
  changed(): number
  close(): Promise<void>
}

/** Serves the log under `prefix` on a port of 127.0.0.1, for GET only, and changes the answers to matching paths. */
export async function tamperingProxy(prefix: string, tampering?: Tampering): Promise<Proxy> {
  let changed = 0
  const server = createServer((incoming, outgoing) => {
    const path = (incoming.url ?? '/').slice(1)
    const hit = tampering !== undefined && incoming.method === 'GET' && tampering.path.test(path)
    const headers = { ...incoming.headers }
    delete headers.host
    if (hit) headers['accept-encoding'] = 'identity'
    const forward = request(prefix + path, { method: incoming.method ?? 'GET', headers }, (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('end', () => {
        const body = Buffer.concat(chunks)
        const answer = { status: response.statusCode ?? 0, headers: { ...response.headers }, body }
        if (hit) {
          tampering.change(answer)
          changed++
          answer.headers['content-length'] = String(answer.body.length)
          delete answer.headers['transfer-encoding']
        }
        outgoing.writeHead(answer.status, answer.headers)
        outgoing.end(incoming.method === 'HEAD' ? undefined : answer.body)
      })
    })
    forward.on('error', () => outgoing.destroy())
    incoming.pipe(forward)
  })
  const port = await listen(server)
  return { prefix: `http://127.0.0.1:${port}/`, changed: () => changed, close: () => closeServer(server) }
}

async function closeServer(server: Server): Promise<void> {
  server.close()
  server.closeAllConnections()
  await once(server, 'close')
}

/** Flips the lowest bit of one byte; from the end when `at` is negative. */
export function flip(answer: Answer, at: number): void {
  const body = Buffer.from(answer.body)
  const index = at < 0 ? body.length + at : at
  body.writeUInt8(body.readUInt8(index) ^ 1, index)
  answer.body = body
}

/** Changes an answer's JSON. */
export function editJson(answer: Answer, edit: (value: Record<string, unknown>) => void): void {
  const value: Record<string, unknown> = JSON.parse(answer.body.toString('utf8'))
  edit(value)
  answer.body = Buffer.from(JSON.stringify(value))
}
