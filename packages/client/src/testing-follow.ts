/** A server of `/v1/follow` for tests. */
import assert from 'node:assert/strict'
import type { ServerResponse } from 'node:http'
import { startServer, type TestServer } from './testing.ts'

export const time = '2026-11-22T22:34:32.916Z'
export const event = (cursor: number, payload: unknown = cursor, id: number = cursor): string => {
  const data = JSON.stringify({ cursor, payload_id: `r${cursor}`, type: 'application/json', time, payload })
  return `event: audit\ndata: {"index":0}\n\nid: ${id}\nevent: record\ndata: ${data}\n\n`
}

/** Answers one request. */
export type Turn = (response: ServerResponse, since: number, limit: number) => void

/**
 * Starts a server that answers the requests of `/v1/follow` by `turns`, one after the other. The last turn answers all further requests.
 */
export function serveTurns(turns: readonly Turn[], entries: readonly number[] = []): Promise<TestServer> {
  let turn = 0
  return startServer((request, response) => {
    const url = new URL(request.url ?? '', 'http://localhost')
    if (url.pathname === '/v1/checkpoint') {
      response.setHeader('content-type', 'application/json')
      response.end('{"size":2}')
      return
    }
    if (url.pathname !== '/v1/follow') {
      const is = entries.includes(Number(url.pathname.split('/').at(-1)))
      problem(is ? 200 : 404, is ? '' : 'not-a-record')(response, 0, 0)
      return
    }
    const since = Number(url.searchParams.get('since'))
    assert.equal(request.headers.accept, 'text/event-stream')
    assert.equal(request.headers['last-event-id'], String(since))
    const next = turns[Math.min(turn++, turns.length - 1)] as Turn
    next(response, since, Number(url.searchParams.get('limit') ?? Infinity))
  })
}

export const problem =
  (status: number, code: string): Turn =>
  (response) => {
    response.writeHead(status, { 'content-type': 'application/problem+json', 'retry-after': '0' })
    response.end(JSON.stringify({ code, detail: `it is ${code}`, status }))
  }

export const stream =
  (text: (since: number) => string, end: 'end' | 'cut' | 'unfinished' | 'stay' = 'stay'): Turn =>
  (response, since) => {
    const last = end === 'unfinished' ? { connection: 'close' } : {}
    response.writeHead(200, { 'content-type': 'text/event-stream', ...last })
    response.write('retry: 100\n\n' + text(since), () => {
      if (end === 'end') response.end()
      if (end === 'cut') response.destroy()
      if (end === 'unfinished') response.socket?.end()
    })
  }
