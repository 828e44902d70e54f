import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import { connect } from 'node:net'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, it } from 'vitest'
import { startTestFront } from './testing.ts'

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

it('the front ends a request whose client went away while its credentials were checked', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'gone-client-'))
  cleanups.push(() => rm(dir, { recursive: true }))
  const path = join(dir, 'socket')
  let asked = 0
  const tenant = createServer((_, response) => {
    asked += 1
    response.end(Buffer.alloc(1_000_000))
  })
  await once(tenant.listen(path), 'listening')
  cleanups.push(() => tenant.close())
  let [began, ended] = [0, 0]
  let checked: (() => void) | undefined
  const checking = new Promise<void>((resolve) => (checked = resolve))
  let resume: (() => void) | undefined
  let isFirst = true
  const front = await startTestFront(path, {
    access: {
      open: false,
      check: async () => {
        if (!isFirst) {
          checked?.()
          await new Promise<void>((resolve) => (resume = resolve))
        }
        isFirst = false
        return { subject: 'somebody', roles: undefined }
      },
    },
    tenants: { began: () => void (began += 1), ended: () => void (ended += 1) },
  })
  cleanups.push(() => front.stop(0))
  // Leaves a free connection to the tenant.
  const first = await fetch(`${front.url}t/test/v1/entries`)
  expect((await first.arrayBuffer()).byteLength).toBe(1_000_000)

  const { port } = new URL(front.url)
  const client = connect(Number(port), '127.0.0.1')
  client.on('error', () => undefined)
  client.write('GET /t/test/v1/entries HTTP/1.1\r\nhost: localhost\r\n\r\n')
  await checking
  client.resetAndDestroy()
  // The front handles the reset before a later connection.
  const later = connect(Number(port), '127.0.0.1')
  later.end('no request\r\n\r\n').resume()
  await once(later, 'close')
  resume?.()
  await expect.poll(() => [began, ended]).toEqual([2, 2])
  expect(asked).toBe(1)
})
