/** Tests requests with many header fields: the tenant receives the identity and the same fields as the front. */
import { mkdtemp, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { startListener, type HttpServer } from '@service-fs/http/listener'
import { startTestFront } from './testing.ts'
import { identityOf } from './identity-headers.ts'

let dir: string
let tenant: HttpServer
let front: HttpServer

const report = (error: unknown): void => {
  throw error
}

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'front-'))
  const path = join(dir, 'socket')
  tenant = await startListener({ path }, { report }, async (raw, out) => {
    out.end(JSON.stringify({ identity: identityOf(raw), fields: Object.keys(raw.headers).length }))
  })
  front = await startTestFront(path, {
    access: {
      open: false,
      check: async ({ headers }) => ({ subject: headers.authorization ?? 'nobody', roles: ['read'] }),
    },
    tenants: { has: () => true },
  })
})
afterAll(async () => {
  await front.stop(1000)
  await tenant.stop(1000)
  await rm(dir, { recursive: true })
})

/** Sends a request with these header lines, and returns the response. */
function ask(lines: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = ''
    const socket = connect(Number(new URL(front.url).port), '127.0.0.1', () =>
      socket.write(
        `GET /t/acme/v1/contract HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n${lines}\r\n`,
      ),
    )
    socket.on('data', (chunk) => (text += chunk.toString()))
    socket.on('end', () => resolve(text))
    socket.on('error', reject)
  })
}

const WHO = 'Authorization: robot\r\n'
const IDENTITY = '"identity":{"subject":"robot","roles":["read"]}'

it('the front passes the roles of a request with a thousand fields', async () => {
  const counts = [...Array.from({ length: 20 }, (_, i) => 985 + i), 1500, 3000]
  for (const count of counts) {
    const answer = await ask('a:\r\n'.repeat(count) + WHO)
    expect({ count, answer }).toEqual({ count, answer: expect.stringContaining(IDENTITY) })
  }
})

it('the front drops fields without losing others', async () => {
  const hidden = await ask(`${'te:\r\n'.repeat(1200)}X-Foundry-Module-ID: beta\r\n${WHO}`)
  expect(hidden).toContain('module-id-ambiguous')
  const before = await ask(`${WHO}x-a: 1\r\nx-b: 2\r\n`)
  const behind = await ask(`${'te:\r\n'.repeat(1200)}${WHO}x-a: 1\r\nx-b: 2\r\n`)
  expect(before.split('\r\n\r\n')[1]).toBe(behind.split('\r\n\r\n')[1])
})
