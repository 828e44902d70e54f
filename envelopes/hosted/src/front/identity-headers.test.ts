import { expect, it } from 'vitest'
import { Problem } from '@service-fs/wire/problem'
import type { Identity } from '@service-fs/http/http'
import { identityFor, identityHeaders, identityOf } from './identity-headers.ts'

function sent(fields: readonly string[], read = identityOf): Identity | Problem {
  const headers: Record<string, string> = {}
  for (let i = 0; i < fields.length; i += 2) headers[fields[i] as string] = fields[i + 1] as string
  return read({ headers })
}

it.each<Identity>([
  { subject: 'anonymous', roles: undefined },
  { subject: 'nobody', roles: [] },
  { subject: 'Zoë, 100%\r\n<zoe@example.org>', roles: ['read', 'append'] },
])('an identity arrives as it was sent: %j', (identity) => {
  const fields = identityHeaders(identity, 'acme')
  expect(sent(fields)).toEqual(identity)
  expect(sent(fields, identityFor('acme'))).toEqual(identity)
  expect(sent(fields, identityFor('beta'))).toMatchObject({ code: 'module-id-mismatch' })
  expect(sent(fields.slice(0, 4), identityFor('acme'))).toMatchObject({ code: 'module-id-mismatch' })
})

it('the tenant gives no roles to a request that bypassed the front', () => {
  expect(sent([])).toEqual({ subject: 'anonymous', roles: [] })
  expect(sent(['x-service-fs-roles', 'append'])).toEqual({ subject: 'anonymous', roles: [] })
  expect(sent(['x-service-fs-subject', 'a'])).toEqual({ subject: 'anonymous', roles: [] })
})

it('the tenant refuses values that the front never sends', () => {
  expect(sent(['x-service-fs-subject', 'a', 'x-service-fs-roles', 'append,root'])).toBeInstanceOf(Problem)
  expect(sent(['x-service-fs-subject', 'a', 'x-service-fs-roles', 'append,*'])).toBeInstanceOf(Problem)
  expect(sent(['x-service-fs-subject', '%zz', 'x-service-fs-roles', ''])).toBeInstanceOf(Problem)
})
