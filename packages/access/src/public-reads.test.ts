import { describe, expect, it } from 'vitest'
import { Problem } from '@service-fs/wire/problem'
import { createAccess, type Access, type AccessOptions } from './access.ts'
import { OPEN } from './listen-rule.ts'
import { checkPublicReads } from './public-reads.ts'
import { requestWith } from './testing.ts'
import { newToken, type StoredToken } from './tokens.ts'

const writer = newToken()
const token = (more: Partial<StoredToken> = {}): StoredToken => ({
  id: writer.id,
  name: 'writer',
  sha256: writer.sha256,
  tenant: 'acme',
  roles: ['append'],
  created: '2026-01-01T00:00:00Z',
  ...more,
})

const access = (options: AccessOptions = { publicReads: true }): Access =>
  createAccess({ ...OPEN, tokens: [token()] }, options)

const asked = async (url: string, authorization?: string): Promise<unknown> => {
  const given = authorization === undefined ? { url } : { url, authorization }
  const found = await access().check(requestWith(given), 'acme')
  return found instanceof Problem ? found.code : [found.subject, found.roles]
}

describe('a ledger with public reads', () => {
  it.each(['/v1/entries', '/v1/follow', '/v1/contract', '/t/acme/tile/0/000', '/checkpoint'])(
    'a ledger with public reads is read without credentials through %s',
    async (url) => {
      expect(await asked(url)).toEqual(['anonymous', ['read']])
    },
  )

  it.each([
    '/v1/append',
    '/audit/v1/entries',
    '/audit/checkpoint',
    '/metrics',
    '/v1/clock',
    '/mcp',
    '/nowhere',
  ])('a ledger with public reads requires credentials for %s', async (url) => {
    expect(await asked(url)).toBe('unauthenticated')
  })

  it('a ledger with public reads gives the role read to every subject with a role, and rejects invalid credentials', async () => {
    expect(await asked('/v1/entries', `Bearer ${writer.text}`)).toEqual(['token:writer', ['append', 'read']])
    expect(await asked('/v1/entries', 'Bearer fs_unknown')).toBe('unauthenticated')
    expect(await asked('/v1/entries', `Bearer ${newToken().text}`)).toBe('unauthenticated')
  })

  it('a ledger has public reads only if the operator requested them', async () => {
    const found = await access({}).check(requestWith({ url: '/v1/entries' }), 'acme')
    expect(found).toMatchObject({ code: 'unauthenticated' })
  })
})

it('public reads contradict credentials with the role read', () => {
  const now = Date.parse('2026-06-01T00:00:00Z')
  expect(() => checkPublicReads({ ...OPEN, tokens: [token()] }, now)).not.toThrow()
  const expired = token({ roles: ['read'], expires: '2026-05-01T00:00:00Z' })
  expect(() => checkPublicReads({ ...OPEN, tokens: [expired] }, now)).not.toThrow()
  for (const settings of [
    { ...OPEN, tokens: [token(), token({ roles: ['append', 'read'] })] },
    { ...OPEN, certificates: [{ subject: 'CN=a', name: 'a', tenant: '*', roles: ['read'] as const }] },
    {
      ...OPEN,
      oidc: [
        {
          issuer: 'https://id.example.org',
          audience: 'ledger',
          grants: [{ claim: 'scope', value: 'r', tenant: '*', roles: ['read'] as const }],
        },
      ],
    },
  ])
    expect(() => checkPublicReads(settings as never, now)).toThrow(
      /--public-reads: expected no credentials with the role read/,
    )
})
