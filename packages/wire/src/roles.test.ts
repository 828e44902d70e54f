import { describe, expect, it } from 'vitest'
import type { Role } from './roles.ts'
import { ROUTES } from './routes.ts'
import { harness } from './testing.ts'

/** Returns a target for a pattern. */
const target = (pattern: string): string =>
  pattern
    .replace('{cursor}', '1')
    .replace('{payload_id}', 'a')
    .replace('{path...}', '0/000.p/1')
    .replace(/inclusion$/, 'inclusion?index=0')
    .replace(/consistency$/, 'consistency?from=0')

const APPEND: readonly Role[] = ['append']
const READ: readonly Role[] = ['read', 'examine']
const EXAMINE: readonly Role[] = ['examine']
const OPERATE: readonly string[] = ['/v1/retention', '/v1/trees', '/v1/rehash']

/** The expected permission of a route, written independently of the route table. */
function expected(pattern: string): readonly Role[] | 'anybody' {
  if (pattern === '/healthz' || pattern === '/readyz') return 'anybody'
  if (pattern === '/metrics' || pattern.startsWith('/v1/clock') || OPERATE.includes(pattern))
    return ['operate']
  if (pattern === '/v1/append') return APPEND
  if (pattern === '/mcp' || pattern === '/v1/contract') return ['append', 'read', 'examine']
  return pattern === '/v1/examine' || pattern.startsWith('/audit/') ? EXAMINE : READ
}

describe.each(ROUTES.map((route) => [`${route.method} ${route.pattern}`, route] as const))(
  '%s',
  (_, route) => {
    const roles: readonly (readonly Role[])[] = [[], ['append'], ['read'], ['examine'], ['operate']]

    it.each(roles.map((list) => [list.join() || 'none', list] as const))(
      'with the role %s',
      async (_name, list) => {
        const h = await harness(() => ({
          metrics: async () => ({ contentType: 'text/plain', text: '' }),
          mcp: async () => ({ status: 200, headers: {}, body: '{}' }),
        }))
        await h.append('a', 1)
        const permitted = expected(route.pattern)
        const got = await h.wire.handle({
          method: route.method,
          target: target(route.pattern),
          header: (name) =>
            ({ 'x-foundry-module-id': 'acme', 'content-type': 'application/json' })[name as 'content-type'],
          body: Buffer.from('{"payload_id":"b","payload":1}'),
          subject: 'alice',
          roles: list,
        })
        const may = permitted === 'anybody' || list.some((role) => permitted.includes(role))
        if (may) expect(got.status).not.toBe(403)
        else {
          expect(got.status).toBe(403)
          expect(got.body).toContain(`"supplied":"${list.join() || 'none'}"`)
          expect(got.body).toContain('"code":"forbidden"')
        }
        if (!may) expect([h.ledger.size, h.audit.size]).toEqual([1, 0])
      },
    )
  },
)
