import { expect, it } from 'vitest'
import { FrontTenants } from './front-tenants.ts'
import type { FromFront } from './messages.ts'

function begin(...tenants: string[]): { front: FrontTenants; said: FromFront[] } {
  const said: FromFront[] = []
  return { front: new FrontTenants(tenants, (message) => said.push(message)), said }
}

it('the front sends the supervisor one request for all waiters, and caches the socket until the process ends', async () => {
  const { front, said } = begin('acme')
  const both = Promise.all([front.reach('acme'), front.reach('acme')])
  expect(said).toEqual([{ kind: 'reach', id: 0, moduleId: 'acme' }])
  front.take({ kind: 'reached', id: 0, socket: '/s' })
  expect(await both).toEqual(['/s', '/s'])
  expect(await front.reach('acme')).toBe('/s')
  expect(said).toHaveLength(1)
  front.take({ kind: 'gone', moduleId: 'acme' })
  const again = front.reach('acme')
  expect(said).toHaveLength(2)
  front.take({ kind: 'reached', id: 1, socket: '/s' })
  expect(await again).toBe('/s')
})

it('the front rejects when the supervisor refuses, and asks again next time', async () => {
  const { front, said } = begin('acme')
  const first = front.reach('acme')
  front.take({
    kind: 'refused',
    id: 0,
    code: 'tenant-unavailable',
    message: 'acme: its process keeps ending',
  })
  await expect(first).rejects.toMatchObject({
    code: 'tenant-unavailable',
    message: 'acme: its process keeps ending',
  })
  front.reach('acme').catch(() => undefined)
  expect(said).toHaveLength(2)
})

it('the front updates its list of tenants', async () => {
  const { front, said } = begin('acme')
  await expect(front.reach('bolt')).rejects.toMatchObject({ code: 'no-tenant' })
  expect(said).toEqual([])
  front.take({ kind: 'tenants', tenants: ['bolt'] })
  expect([front.has('acme'), front.has('bolt')]).toEqual([false, true])
})

it('the front reports a tenant as idle after a time without requests, but not during a request', async () => {
  const { front, said } = begin('acme')
  const reached = front.reach('acme')
  front.take({ kind: 'reached', id: 0, socket: '/s' })
  await reached
  const now = Date.now()
  front.began('acme')
  front.sweep(now + 5000, 1000)
  expect(said).toHaveLength(1)
  front.ended('acme')
  front.sweep(Date.now() + 500, 1000)
  expect(said).toHaveLength(1)
  front.sweep(Date.now() + 1500, 1000)
  expect(said[1]).toEqual({ kind: 'idle', moduleId: 'acme' })
  expect([...front.running().keys()]).toEqual([])
  front.reach('acme').catch(() => undefined)
  expect(said).toHaveLength(3)
})
