import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Problem, problemResponse } from '@service-fs/wire/problem'
import type { Role } from '@service-fs/wire/roles'
import { createAccess, type Access } from './access.ts'
import type { RateConfig } from './config.ts'
import { OPEN } from './listen-rule.ts'
import type { AccessSettings } from './settings.ts'
import { requestWith, type Asked } from './testing.ts'
import { newToken, type StoredToken } from './tokens.ts'

const NOW = Date.parse('2026-06-01T00:00:00Z')

interface Made {
  stored: StoredToken
  text: string
}

function made(name: string, more: Partial<StoredToken> = {}): Made {
  const { id, text, sha256 } = newToken()
  const roles: Role[] = ['read']
  return {
    stored: { id, name, sha256, tenant: 'acme', roles, created: '2026-01-01T00:00:00Z', ...more },
    text,
  }
}

function settingsOf(tokens: readonly Made[], rate: RateConfig = {}): AccessSettings {
  return { ...OPEN, tokens: tokens.map(({ stored }) => stored), rate }
}

function accessOf(tokens: readonly Made[], rate: RateConfig = {}): Access {
  return createAccess(settingsOf(tokens, rate), { now: () => NOW })
}

async function ask(
  access: Access,
  asked: Asked | string,
  moduleId: string | undefined = 'acme',
): Promise<unknown> {
  const request = typeof asked === 'string' ? { authorization: `Bearer ${asked}` } : asked
  const found = await access.check(requestWith(request), moduleId)
  if (!(found instanceof Problem)) return found
  const { status, headers } = problemResponse(found)
  return [status, headers['www-authenticate'] ?? headers['retry-after'] ?? '']
}

const NONE = [401, 'Bearer realm="service-fs"']
const INVALID = [401, 'Bearer realm="service-fs", error="invalid_token"']
const FORBIDDEN = [403, 'Bearer realm="service-fs", error="insufficient_scope"']
const nobody = { subject: 'anonymous', roles: [] }

async function detail(access: Access, text: string): Promise<string> {
  const found = await access.check(requestWith({ authorization: `Bearer ${text}` }), 'acme')
  return found instanceof Problem ? found.message : ''
}

describe('tokens', () => {
  const alice = made('alice')
  const bob = made('bob', { roles: ['append', 'examine'], tenant: 'other' })
  const ops = made('ops', { roles: ['operate'], tenant: '*' })
  const late = made('late', { expires: '2026-05-31T23:59:59.999Z' })
  const ends = made('ends', { expires: '2026-06-01T00:00:00.001Z' })
  const gone = made('gone', { revoked: '2026-05-01T00:00:00Z' })
  const access = accessOf([alice, bob, ops, late, ends, gone], { failuresPerMinute: 10_000 })

  it('a token yields its name, and its roles for its tenant', async () => {
    expect(access.open).toBe(false)
    expect(await ask(access, alice.text)).toEqual({ subject: 'token:alice', roles: ['read'] })
    expect(await ask(access, bob.text, 'other')).toEqual({
      subject: 'token:bob',
      roles: ['append', 'examine'],
    })
    expect(await ask(access, ops.text)).toEqual({ subject: 'token:ops', roles: ['operate'] })
    expect(await ask(access, ops.text, 'anything')).toEqual({ subject: 'token:ops', roles: ['operate'] })
    expect(await ask(access, ends.text)).toMatchObject({ subject: 'token:ends' })
    expect(await ask(access, { authorization: `bearer   ${alice.text}` })).toMatchObject({
      subject: 'token:alice',
    })
  })

  it('a request without a token, or with other credentials, gets 401', async () => {
    expect(await ask(access, {})).toEqual(NONE)
    expect(await ask(access, { authorization: 'Basic YTpi' })).toEqual(NONE)
    expect(await ask(access, { authorization: 'Bearerx y' })).toEqual(NONE)
    expect(await ask(access, {}, 'no-such-tenant')).toEqual(NONE)
  })

  it('a wrong, expired, revoked or malformed token gets 401 invalid_token', async () => {
    const { text } = alice
    const wrong = [
      newToken().text,
      `${text.slice(0, -1)}${text.endsWith('A') ? 'B' : 'A'}`,
      `${text.slice(0, 16)}${bob.text.slice(16)}`,
      `${text}=`,
      `${text}x`,
      text.toUpperCase(),
      alice.stored.sha256,
      late.text,
      gone.text,
      '',
      'x y',
      'é',
      'a'.repeat(10_000),
    ]
    for (const token of wrong) expect(await ask(access, token), token).toEqual(INVALID)
  })

  it('every wrong last digit of a token is refused, even in bits that base64url ignores', async () => {
    for (const digit of 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_')
      if (!alice.text.endsWith(digit))
        expect(await ask(access, alice.text.slice(0, -1) + digit)).toEqual(INVALID)
  })

  it('refuses every other credential', async () => {
    const parts = fc.constantFrom(
      'Bearer ',
      'bearer',
      'fs_',
      alice.stored.id,
      alice.text,
      alice.text.slice(16),
      '.',
      ' ',
      ',',
      '=',
      '\t',
    )
    const header = fc.oneof(
      fc.string(),
      fc.string({ unit: 'binary' }),
      fc.array(parts).map((list) => list.join('')),
    )
    await fc.assert(
      fc.asyncProperty(header, async (authorization) => {
        const isRight = /^bearer +(\S+) *$/i.exec(authorization)?.[1] === alice.text
        const found = await access.check(requestWith({ authorization }), 'acme')
        expect(found instanceof Problem).toBe(!isRight)
      }),
      { numRuns: 2000 },
    )
  })

  it('a request with two tokens gets 400', async () => {
    const both = [`Bearer ${alice.text}`, `Bearer ${alice.text}`]
    expect((await ask(access, { authorization: both })) as unknown[]).toContain(400)
  })

  it('a token for another tenant gets 403', async () => {
    expect(await ask(access, alice.text, 'other')).toEqual(FORBIDDEN)
    expect(await ask(access, bob.text, 'acme')).toEqual(FORBIDDEN)
  })

  it('reports the state of a token only to a request with the right secret', async () => {
    expect(await detail(access, late.text)).toContain('expired')
    expect(await detail(access, gone.text)).toContain('revoked')
    expect(await detail(access, `${gone.text.slice(0, 16)}${newToken().text.slice(16)}`)).toContain(
      'unknown token',
    )
    for (const { text } of [late, gone]) expect(await detail(access, text)).not.toContain(text.slice(17))
  })
})

describe('a request without a tenant', () => {
  const ops = made('ops', { roles: ['operate'], tenant: '*' })
  const acme = made('acme', { roles: ['operate', 'read'] })
  const access = accessOf([ops, acme])
  const at = (url: string, token?: Made): Promise<unknown> => {
    const authorization = token === undefined ? {} : { authorization: `Bearer ${token.text}` }
    return access
      .check(requestWith({ url, ...authorization }), undefined)
      .then((found) => (found instanceof Problem ? found.code : found))
  }

  it('serves health without credentials', async () => {
    for (const url of ['/healthz', '/readyz', '/healthz?x=1', 'http://127.0.0.1/healthz'])
      expect(await at(url)).toEqual(nobody)
    expect(await at('/healthz', ops)).toEqual(nobody)
  })

  it('requires credentials for the health of a tenant, since the request may start the tenant', async () => {
    expect(await ask(access, { url: '/t/acme/healthz' }, 'acme')).toEqual(NONE)
    expect(await ask(access, { url: '/healthz' }, 'acme')).toEqual(NONE)
  })

  it('requires operate for all tenants for /metrics', async () => {
    expect(await at('/metrics')).toBe('unauthenticated')
    expect(await at('/metrics', acme)).toBe('forbidden')
    expect(await at('/metrics', ops)).toEqual({ subject: 'token:ops', roles: ['operate'] })
  })

  it('requires credentials for every other route', async () => {
    for (const url of ['/', '/v1/entries', '/nowhere', '/healthz/', '//healthz', '/%zz', '/t/%zz/x', '*'])
      expect(await at(url), url).toBe('unauthenticated')
    expect(await at('/v1/entries', acme)).toEqual({ subject: 'token:acme', roles: [] })
  })
})

describe('without credentials', () => {
  it('allows everything', async () => {
    const access = createAccess(OPEN)
    expect(access.open).toBe(true)
    const anybody = { subject: 'anonymous', roles: undefined }
    expect(await ask(access, {})).toEqual(anybody)
    expect(await ask(access, 'whatever')).toEqual(anybody)
    expect(await ask(access, { url: '/metrics' }, undefined)).toEqual(anybody)
  })

  it('admits no client with an empty file of tokens', async () => {
    const access = accessOf([])
    expect(access.open).toBe(false)
    expect(await ask(access, {})).toEqual(NONE)
  })

  it('limits the rate of an address', async () => {
    const access = createAccess({ ...OPEN, rate: { requestsPerSecond: 1, burst: 1 } })
    const codes: unknown[] = []
    for (let i = 0; i < 3; i++) codes.push(await ask(access, {}))
    expect(codes[2]).toEqual([429, expect.stringMatching(/^\d+$/)])
    expect(await ask(access, { address: '192.0.2.2' })).toMatchObject({ subject: 'anonymous' })
  })
})

describe('rates', () => {
  const alice = made('alice')
  const bob = made('bob')

  it('limits each subject separately', async () => {
    const access = accessOf([alice, bob], { requestsPerSecond: 3, burst: 2 })
    const answers: unknown[] = []
    for (let i = 0; i < 7; i++) answers.push(await ask(access, alice.text))
    expect(answers.slice(0, 5).every((found) => !Array.isArray(found))).toBe(true)
    expect(answers.slice(5)).toEqual([
      [429, '1'],
      [429, '1'],
    ])
    expect(await ask(access, bob.text)).toMatchObject({ subject: 'token:bob' })
    // Adding a token does not reset the counts.
    access.update(settingsOf([alice, bob, made('carol')], { requestsPerSecond: 3, burst: 2 }))
    expect(await ask(access, alice.text)).toEqual([429, '1'])
  })

  it('limits failures per address, and still admits valid tokens from it', async () => {
    const access = accessOf([alice], { failuresPerMinute: 5 })
    const answers: unknown[] = []
    for (let i = 0; i < 7; i++) answers.push(await ask(access, i % 2 === 0 ? newToken().text : {}))
    expect(answers.slice(0, 5)).toEqual([INVALID, NONE, INVALID, NONE, INVALID])
    expect(answers[5]).toEqual([429, expect.stringMatching(/^(?:[1-9]|[1-5]\d|60)$/)])
    expect(await ask(access, alice.text)).toMatchObject({ subject: 'token:alice' })
    expect(await ask(access, { address: '192.0.2.9' })).toEqual(NONE)
    expect(await ask(access, { address: '::ffff:192.0.2.1' })).toMatchObject([429, expect.anything()])
  })

  it('limits failures per IPv6 network', async () => {
    const access = accessOf([], { failuresPerMinute: 1 })
    expect(await ask(access, { address: '2001:db8:1:2::1' })).toEqual(NONE)
    expect(await ask(access, { address: '2001:db8:1:2:ffff::7' })).toMatchObject([429, expect.anything()])
    expect(await ask(access, { address: '2001:db8:1:3::1' })).toEqual(NONE)
  })
})

describe('update', () => {
  it('refuses a revoked token and admits a new one', async () => {
    const [alice, bob] = [made('alice'), made('bob')]
    const access = accessOf([alice])
    expect(await ask(access, bob.text)).toEqual(INVALID)
    const revoked = { ...alice, stored: { ...alice.stored, revoked: '2026-05-31T00:00:00Z' } }
    access.update(settingsOf([revoked, bob]))
    expect(await ask(access, alice.text)).toEqual(INVALID)
    expect(await ask(access, bob.text)).toMatchObject({ subject: 'token:bob' })
  })

  it('never drops the requirement of credentials', async () => {
    const alice = made('alice')
    const access = accessOf([alice])
    expect(() => access.update(OPEN)).toThrow('expected credentials')
    expect(await ask(access, {})).toEqual(NONE)
    expect(await ask(access, alice.text)).toMatchObject({ subject: 'token:alice' })
  })
})
