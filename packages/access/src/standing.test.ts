import { createServer, request, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { Problem } from '@service-fs/wire/problem'
import { createAccess, type Access } from './access.ts'
import { OPEN } from './listen-rule.ts'
import { newToken, type StoredToken } from './tokens.ts'

let access: Access
let server: Server
const [alice, bob] = [newToken(), newToken()]
const stored = ({ id, sha256 }: typeof alice, more: Partial<StoredToken> = {}): StoredToken => ({
  id,
  name: id,
  sha256,
  tenant: 'acme',
  roles: ['read'],
  created: '2026-01-01T00:00:00Z',
  ...more,
})

beforeEach(async () => {
  access = createAccess({ ...OPEN, tokens: [stored(alice), stored(bob)] })
  server = createServer((raw, out) => {
    void access.check(raw, 'acme').then((found) => {
      out.writeHead(found instanceof Problem ? 403 : 200)
      if (found instanceof Problem) out.end()
      else out.write('data: 1\n\n')
    })
  })
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve))
})
afterEach(() => {
  server.closeAllConnections()
  server.close()
})

function follow(token: string): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const { port } = server.address() as AddressInfo
    const headers = { authorization: `Bearer ${token}` }
    const sent = request(
      { port, host: '127.0.0.1', path: '/t/acme/v1/follow', headers, agent: false },
      resolve,
    )
    sent.once('error', reject)
    sent.end()
  })
}

function ended(response: IncomingMessage): Promise<void> {
  return new Promise((resolve) => {
    response.resume()
    response.once('close', () => resolve())
  })
}

it.each([
  ['revoked', stored(alice, { revoked: '2026-01-02T00:00:00Z' })],
  ['expired', stored(alice, { expires: '2026-01-02T00:00:00Z' })],
  ['for another tenant', stored(alice, { tenant: 'other' })],
  ['for another role', stored(alice, { roles: ['append'] })],
])('a review disconnects only the follower whose token is %s', async (_, changed) => {
  const [first, second] = [await follow(alice.text), await follow(bob.text)]
  expect([first.statusCode, second.statusCode]).toEqual([200, 200])
  const cut = ended(first)
  access.update({ ...OPEN, tokens: [stored(bob), changed] })
  await cut
  expect(second.destroyed).toBe(false)
  second.destroy()
})
