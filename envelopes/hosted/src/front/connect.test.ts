import { connect } from 'node:net'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { HttpServer } from '@service-fs/http/listener'
import { startTestFront } from './testing.ts'

let front: HttpServer

beforeAll(async () => {
  front = await startTestFront('', {
    tenants: { has: () => true, reach: () => Promise.reject(new Error('not to be asked for')) },
    report: () => undefined,
  })
})
afterAll(() => front.stop(1000))

function exchange(text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let got = ''
    const socket = connect(Number(new URL(front.url).port), '127.0.0.1', () => socket.write(text))
    socket.on('data', (chunk) => (got += chunk.toString()))
    socket.on('end', () => resolve(got))
    socket.on('error', reject)
  })
}

it.each([
  ['/t/acme/v1/contract', 405, 'allow: GET, HEAD'],
  ['/t/acme/v1/append', 405, 'allow: POST'],
  ['/t/acme/nothing', 404, '"code":"no-route"'],
  ['example.org:443', 404, '"code":"no-route"'],
])('the front answers CONNECT %s and closes the connection', async (target, status, part) => {
  const got = await exchange(
    `CONNECT ${target} HTTP/1.1\r\nHost: localhost\r\nX-Foundry-Module-ID: acme\r\n\r\nGET /healthz HTTP/1.1\r\n\r\n`,
  )
  expect(got).toMatch(new RegExp(`^HTTP/1.1 ${status} `))
  expect(got).toContain(part)
  expect(got.match(/HTTP\/1\.1/g)).toHaveLength(1)
})
