// A tenant of a host, which cannot enter the directory above that of its keys, builds a second tree with a key of its own.
import { afterEach, expect, it } from 'vitest'
import { startHost, type Host } from '../support/host.ts'

let host: Host | undefined
afterEach(() => host?.dispose())

it('the host builds a second tree for a tenant on request', async () => {
  host = await startHost({ tenants: ['acme'] })
  const headers = { 'content-type': 'application/json' }
  const sent = { method: 'POST', headers, body: '{"payload_id":"a","payload":1}' }
  expect((await host.fetch('acme', 'v1/append', sent)).status).toBe(200)
  const asked = await host.fetch('acme', 'v1/rehash', {
    method: 'POST',
    headers,
    body: '{"hash":"sha3-256"}',
  })
  expect(asked.status).toBe(200)
  await expect
    .poll(async () => (await host!.fetch('acme', 'v1/trees')).json(), { interval: 200 })
    .toMatchObject({ trees: [{ hash: 'sha3-256', state: 'kept' }] })
})
