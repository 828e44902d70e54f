// The suites' requests over HTTP.

import { Agent, request as httpRequest } from 'node:http'
import { gunzipSync } from 'node:zlib'
import type { WireAnswer, WireSubject } from '@service-fs/wire/conformance-tools'

/** Persistent connections to a port of 127.0.0.1. */
export class Asker {
  readonly #port: number
  readonly #agent: Agent

  /** `connections`: the largest number at a time; unlimited by default. */
  constructor(port: number, connections: number = Infinity) {
    this.#port = port
    this.#agent = new Agent({ keepAlive: true, maxSockets: connections })
  }

  /** Rejects when the connection ends before the answer does. */
  ask: WireSubject['request'] = (method, path, headers, body) => {
    const length = method === 'POST' ? { 'content-length': `${body.length}` } : {}
    const where = { host: '127.0.0.1', port: this.#port, path, method, agent: this.#agent }
    return new Promise((resolve, reject) => {
      const sent = httpRequest({ ...where, headers: { ...headers, ...length } }, (answer) => {
        const parts: Buffer[] = []
        answer.on('data', (part: Buffer) => parts.push(part))
        answer.on('error', reject)
        answer.on('end', () =>
          resolve(answerOf(answer.statusCode ?? 0, answer.headers, Buffer.concat(parts))),
        )
      })
      sent.on('error', reject)
      sent.end(method === 'POST' ? body : undefined)
    })
  }

  close(): void {
    this.#agent.destroy()
  }
}

function answerOf(
  status: number,
  fields: Readonly<Record<string, string | string[] | undefined>>,
  body: Buffer,
): WireAnswer {
  const headers: Record<string, string> = {}
  for (const [name, value] of Object.entries(fields)) headers[name] = String(value)
  const isPacked = headers['content-encoding'] === 'gzip' && body.length > 0
  return { status, headers, body: isPacked ? gunzipSync(body) : body }
}
