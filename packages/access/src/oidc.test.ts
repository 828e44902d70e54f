import { createHmac } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { JWTPayload } from 'jose'
import { Problem, problemResponse } from '@service-fs/wire/problem'
import { createAccess, type Access } from './access.ts'
import type { ClaimGrant, OidcConfig } from './config.ts'
import { OPEN } from './listen-rule.ts'
import type { Identity } from '@service-fs/http/http'
import { requestWith, signingKey, TestIssuer } from './testing.ts'

let issuer: TestIssuer
let now: number
let reported: unknown[]
beforeEach(async () => {
  issuer = new TestIssuer()
  issuer.keys = [await signingKey('one')]
  await issuer.start()
  now = Date.now()
  reported = []
})
afterEach(() => issuer.stop())

const READ: ClaimGrant = { claim: 'scope', value: 'read', tenant: 'acme', roles: ['read'] }

function accessOf(more: Partial<OidcConfig> = {}): Access {
  const oidc = [{ issuer: issuer.url, audience: 'ledger', grants: [READ], ...more }]
  return createAccess({ ...OPEN, oidc }, { now: () => now, report: (error) => reported.push(error) })
}

function ask(access: Access, token: string): Promise<Identity | Problem> {
  return access.check(requestWith({ authorization: `Bearer ${token}` }), 'acme')
}

/** Returns the status, and the error of the token. */
async function refused(asked: Promise<Identity | Problem>): Promise<[number, string]> {
  const problem = await asked
  if (!(problem instanceof Problem)) throw new Error(`expected a refusal, found ${JSON.stringify(problem)}`)
  const { status, headers } = problemResponse(problem)
  if (status === 401)
    expect(headers['www-authenticate']).toBe('Bearer realm="service-fs", error="invalid_token"')
  return [status, problem.message]
}

const base64 = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')

describe('a token', () => {
  it('a token yields its subject, and the roles of its claims', async () => {
    const identity = await ask(accessOf(), await issuer.token())
    expect(identity).toEqual({ subject: `oidc:${issuer.url}#alice`, roles: ['read'] })
    expect(issuer.asked).toEqual(['/.well-known/openid-configuration', '/keys'])
  })

  it('a token is verified again only after a while, with cached keys', async () => {
    const access = accessOf()
    const token = await issuer.token()
    for (let i = 0; i < 3; i++) expect(await ask(access, token)).toMatchObject({ roles: ['read'] })
    now += 120_000
    expect(await ask(access, token)).toMatchObject({ roles: ['read'] })
    expect(issuer.asked).toHaveLength(2)
  })

  it('no discovery is needed when jwksUri is configured', async () => {
    const access = accessOf({ jwksUri: `${issuer.url}/keys` })
    expect(await ask(access, await issuer.token())).toMatchObject({ roles: ['read'] })
    expect(issuer.asked).toEqual(['/keys'])
  })

  it.each(['RS256', 'PS512', 'ES384', 'EdDSA'])('a token is accepted when signed with %s', async (alg) => {
    issuer.keys = [await signingKey('k', alg)]
    expect(await ask(accessOf(), await issuer.token())).toMatchObject({ roles: ['read'] })
  })

  it('a token is accepted with several audiences if this service is among them', async () => {
    expect(await ask(accessOf(), await issuer.token({ aud: ['other', 'ledger'] }))).toMatchObject({
      roles: ['read'],
    })
  })

  it('a token expires at its end plus the tolerance', async () => {
    const access = accessOf()
    const end = Math.floor(now / 1000) + 100
    const token = await issuer.token({ exp: end })
    now = end * 1000 + 25_000
    expect(await ask(access, token)).toMatchObject({ roles: ['read'] })
    now = end * 1000 + 31_000
    expect(await refused(ask(access, token))).toEqual([401, 'the token has expired'])
  })

  it('a token is not cached beyond its end', async () => {
    const access = accessOf()
    const end = Math.floor(now / 1000) + 10
    const token = await issuer.token({ exp: end })
    expect(await ask(access, token)).toMatchObject({ roles: ['read'] })
    now = end * 1000 + 31_000
    expect((await refused(ask(access, token)))[0]).toBe(401)
  })
})

describe('an invalid token', () => {
  const cases: [string, JWTPayload, string][] = [
    ['another audience', { aud: 'other' }, 'aud'],
    ['no audience', { aud: undefined as unknown as string }, 'aud'],
    ['another issuer', { iss: 'https://elsewhere.example' }, 'issuer of the token is not configured'],
    ['no issuer', { iss: undefined as unknown as string }, 'issuer of the token is not configured'],
    ['expired', { exp: Math.floor(Date.now() / 1000) - 60 }, 'expired'],
    ['no expiry', { exp: undefined as unknown as number }, 'exp'],
    ['not yet valid', { nbf: Math.floor(Date.now() / 1000) + 60 }, 'nbf'],
    ['no subject', { sub: undefined as unknown as string }, 'sub names no subject'],
    ['a subject with a line feed', { sub: 'alice\nbob' }, 'sub names no subject'],
    ['a subject that is too long', { sub: 'a'.repeat(257) }, 'sub names no subject'],
    ['bound to a key', { cnf: { jkt: 'x' } }, 'cnf'],
  ]
  it.each(cases)('a token is refused: %s', async (_, claims, named) => {
    const [status, detail] = await refused(ask(accessOf(), await issuer.token(claims)))
    expect(status).toBe(401)
    expect(detail).toContain(named)
  })

  it('a token is refused when signed with a foreign key under the issuer’s key id', async () => {
    const other = await signingKey('one')
    expect(await refused(ask(accessOf(), await issuer.token({}, other)))).toEqual([
      401,
      'the signature of the token does not verify',
    ])
  })

  it('a token is refused with alg none', async () => {
    const [, claims = ''] = (await issuer.token()).split('.')
    for (const alg of ['none', 'None', 'NONE', ''])
      expect((await refused(ask(accessOf(), `${base64({ alg })}.${claims}.`)))[0]).toBe(401)
  })

  it('a token is refused when signed by HS256 with the public key as the secret', async () => {
    issuer.keys = [await signingKey('one', 'RS256')]
    const [, claims = ''] = (await issuer.token()).split('.')
    const signed = `${base64({ alg: 'HS256', kid: 'one' })}.${claims}`
    for (const secret of [JSON.stringify(issuer.keys[0]?.jwk), issuer.keys[0]?.jwk.n ?? '']) {
      const mac = createHmac('sha256', secret).update(signed).digest('base64url')
      expect(await refused(ask(accessOf(), `${signed}.${mac}`))).toEqual([
        401,
        "the token's algorithm is not accepted",
      ])
    }
  })

  it('a token is refused when it was changed', async () => {
    const [head, , signature] = (await issuer.token()).split('.')
    const claims = { iss: issuer.url, aud: 'ledger', sub: 'root', exp: 9_999_999_999, scope: 'read' }
    expect((await refused(ask(accessOf(), `${head}.${base64(claims)}.${signature}`)))[0]).toBe(401)
  })

  it.each(['x', 'a.b.c', '..', `${base64({})}.${base64([])}.x`, base64({ alg: 'ES256' })])(
    'a token is refused when it is malformed: %s',
    async (token) => {
      expect((await refused(ask(accessOf(), token)))[0]).toBe(401)
      expect(issuer.asked).toEqual([])
    },
  )

  it('a token is not quoted in the error', async () => {
    const token = await issuer.token({ aud: 'secret-audience' })
    const [, detail] = await refused(ask(accessOf(), token))
    for (const part of [...token.split('.'), 'secret-audience', 'alice']) expect(detail).not.toContain(part)
    expect(reported).toEqual([])
  })
})

const granted = async (claims: JWTPayload, ...grants: ClaimGrant[]): Promise<unknown> => {
  const identity = await ask(accessOf({ grants }), await issuer.token(claims))
  return identity instanceof Problem ? identity.code : identity.roles
}
const grant = (claim: string, value: string, more: Partial<ClaimGrant> = {}): ClaimGrant => ({
  claim,
  value,
  tenant: 'acme',
  roles: ['read'],
  ...more,
})

describe('grants', () => {
  it('grants match a claim with the value, or a list that contains the value', async () => {
    expect(await granted({ group: 'auditors' }, grant('group', 'auditors', { roles: ['examine'] }))).toEqual([
      'examine',
    ])
    expect(await granted({ groups: ['a', 'auditors'] }, grant('groups', 'auditors'))).toEqual(['read'])
    expect(await granted({ groups: 'a auditors' }, grant('groups', 'auditors'))).toBe('forbidden')
    expect(await granted({ scope: 'x read y' }, grant('scope', 'read'))).toEqual(['read'])
    expect(await granted({ scope: 'unread' }, grant('scope', 'read'))).toBe('forbidden')
    expect(await granted({ groups: [['auditors']] }, grant('groups', 'auditors'))).toBe('forbidden')
  })

  it('grants match a nested claim by its path, unless a claim has that name', async () => {
    const roles = grant('realm_access.roles', 'reader')
    expect(await granted({ realm_access: { roles: ['reader'] } }, roles)).toEqual(['read'])
    const both = { realm_access: { roles: ['reader'] }, 'realm_access.roles': 'nobody' }
    expect(await granted(both, roles)).toBe('forbidden')
    expect(
      await granted({ 'https://example.org/roles': ['a'] }, grant('https://example.org/roles', 'a')),
    ).toEqual(['read'])
    expect(await granted({}, grant('constructor.name', 'Object'), grant('__proto__', 'x'))).toBe('forbidden')
  })

  it('grants add up for each tenant', async () => {
    const all = [
      grant('scope', 'read'),
      grant('scope', 'write', { roles: ['append', 'read'] }),
      grant('scope', 'operate', { tenant: '*', roles: ['operate'] }),
      grant('scope', 'read', { tenant: 'other', roles: ['examine'] }),
    ]
    expect(await granted({ scope: 'read write operate' }, ...all)).toEqual(['read', 'append', 'operate'])
    expect(await granted({ scope: 'operate' }, ...all)).toEqual(['operate'])
    expect(await granted({ scope: 'nothing' }, ...all)).toBe('forbidden')
  })

  it('the subject can be read from another claim', async () => {
    const identity = await ask(
      accessOf({ subjectClaim: 'client_id' }),
      await issuer.token({ client_id: 'robot' }),
    )
    expect(identity).toMatchObject({ subject: `oidc:${issuer.url}#robot` })
  })
})

it('valid tokens are admitted from an address with failures', async () => {
  const access = accessOf()
  const wrong = await issuer.token({ aud: 'other' })
  for (let i = 0; i < 60; i++) expect((await refused(ask(access, wrong)))[0]).toBe(401)
  expect((await refused(ask(access, wrong)))[0]).toBe(429)
  expect(await ask(access, await issuer.token())).toMatchObject({ roles: ['read'] })
})

describe('keys', () => {
  it('keys are fetched when a token names a new key', async () => {
    const access = accessOf()
    expect(await ask(access, await issuer.token())).toMatchObject({ roles: ['read'] })
    const [old] = issuer.keys
    issuer.keys = [await signingKey('two')]
    // After a fetch, jose fetches no keys for a while, so the new key is unknown. The test moves the clock past this pause.
    expect((await refused(ask(access, await issuer.token())))[0]).toBe(401)
    const later = Date.now() + 11_000
    const clock = vi.spyOn(Date, 'now').mockImplementation(() => later)
    try {
      expect(await ask(access, await issuer.token())).toMatchObject({ roles: ['read'] })
      expect((await refused(ask(access, await issuer.token({ jti: 'x' }, old))))[0]).toBe(401)
    } finally {
      clock.mockRestore()
    }
    expect(issuer.asked.filter((path) => path === '/keys')).toHaveLength(2)
  })

  it('keys are not fetched for every invented key id', async () => {
    const access = accessOf()
    await ask(access, await issuer.token())
    for (let i = 0; i < 20; i++) {
      const made = await issuer.token({}, { ...(await signingKey(`made-up-${i}`)) })
      expect((await refused(ask(access, made)))[0]).toBe(401)
    }
    expect(issuer.asked.filter((path) => path === '/keys')).toHaveLength(1)
  })
})

describe('an unreachable issuer', () => {
  it('an unreachable issuer yields 503, is reported once, and is tried again after a pause', async () => {
    const token = await issuer.token()
    const port = Number(new URL(issuer.url).port)
    const access = accessOf()
    await issuer.stop()
    for (let i = 0; i < 5; i++) {
      const problem = await ask(access, token)
      expect(problem).toMatchObject({ code: 'issuer-unavailable' })
      expect(problemResponse(problem as Problem)).toMatchObject({
        status: 503,
        headers: { 'retry-after': '3' },
      })
    }
    expect(reported).toHaveLength(1)
    expect(String(reported[0])).toContain(issuer.url)
    expect(String(reported[0])).not.toContain(token)
    const again = new TestIssuer()
    again.keys = issuer.keys
    await again.start(port)
    try {
      expect(await ask(access, token)).toMatchObject({ code: 'issuer-unavailable' })
      now += 4_000
      expect(await ask(access, token)).toMatchObject({ roles: ['read'] })
    } finally {
      await again.stop()
    }
    await issuer.start()
  })

  it('an issuer that answers with an error or names another issuer yields 503, too', async () => {
    issuer.status = 500
    expect(await ask(accessOf(), await issuer.token())).toMatchObject({ code: 'issuer-unavailable' })
    issuer.status = 200
    for (const lie of [
      { issuer: 'https://evil.example' },
      { jwks_uri: 'http://192.0.2.7/keys' },
      { jwks_uri: 7 },
    ]) {
      issuer.lie = lie
      expect(await ask(accessOf(), await issuer.token())).toMatchObject({ code: 'issuer-unavailable' })
    }
    expect(issuer.asked).not.toContain('/keys')
  })
})
