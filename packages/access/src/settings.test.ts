import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { AccessConfig, TlsConfig } from './config.ts'
import { checkStrictly } from './schemas.ts'
import { loadAccess, readAccessFile } from './settings.ts'

const grants = [{ claim: 'scope', value: 'read', tenant: '*', roles: ['read'] }]
const issuer = { issuer: 'https://id.example', audience: 'ledger', grants }
const certificate = {
  fingerprint256: 'AB'.repeat(32),
  name: 'robot',
  tenant: 'acme',
  roles: ['append', 'examine'],
}

function check(value: unknown): unknown {
  return checkStrictly(AccessConfig, value, 'host.json')
}

it('the parser accepts valid settings', () => {
  for (const value of [
    {},
    {
      tokens: 'tokens.json',
      behindTls: true,
      rate: { requestsPerSecond: 100, burst: 500, failuresPerMinute: 5 },
    },
    {
      oidc: [
        issuer,
        {
          ...issuer,
          issuer: 'http://127.0.0.1:8081/realms/x',
          jwksUri: 'https://id.example/keys',
          subjectClaim: 'client_id',
        },
      ],
    },
    { certificates: [certificate, { ...certificate, fingerprint256: 'ab:'.repeat(31) + 'ab' }] },
    { certificates: [{ subject: 'CN=robot', name: 'robot', tenant: '*', roles: ['read'] }] },
  ])
    expect(check(value)).toEqual(value)
})

it.each([
  [null, 'top level: expected Object, found null'],
  [{ token: 'x' }, 'token: no such field'],
  [{ tokens: '' }, 'tokens: expected the path'],
  [{ tokens: 7 }, 'tokens: expected string, found 7'],
  [{ behindTls: 'yes' }, 'behindTls: expected boolean'],
  [{ rate: { requestsPerSecond: 0 } }, 'rate.requestsPerSecond: expected at least 1, found 0'],
  [{ rate: { burst: 1.5 } }, 'rate.burst: expected an integer'],
  [{ rate: { perSecond: 1 } }, 'rate.perSecond: no such field'],
  [{ oidc: [{ ...issuer, issuer: 'http://id.example' }] }, 'oidc.0.issuer: expected https://'],
  [{ oidc: [{ ...issuer, issuer: 'https://id.example/?a=b' }] }, 'oidc.0.issuer: expected https://'],
  [{ oidc: [{ ...issuer, issuer: 'https://u:p@id.example' }] }, 'oidc.0.issuer: expected https://'],
  [{ oidc: [{ ...issuer, jwksUri: 'ftp://id.example/' }] }, 'oidc.0.jwksUri: expected https://'],
  [{ oidc: [{ ...issuer, audience: '' }] }, 'oidc.0.audience: expected a text'],
  [{ oidc: [{ ...issuer, grants: [] }] }, 'oidc.0.grants: expected at least one grant'],
  [{ oidc: [issuer, issuer] }, 'oidc: expected each issuer once'],
  [
    { oidc: [{ ...issuer, grants: [{ ...grants[0], tenant: 'Acme' }] }] },
    'oidc.0.grants.0.tenant: expected a tenant, or *',
  ],
  [{ oidc: [{ ...issuer, grants: [{ ...grants[0], roles: ['root'] }] }] }, 'oidc.0.grants.0.roles.0'],
  [
    { oidc: [{ ...issuer, grants: [{ ...grants[0], roles: [] }] }] },
    'oidc.0.grants.0.roles: expected at least one role',
  ],
  [
    { certificates: [{ ...certificate, subject: 'CN=a' }] },
    'certificates.0: expected one of subject and fingerprint256',
  ],
  [{ certificates: [{ name: 'a', tenant: 'a', roles: ['read'] }] }, 'certificates.0: expected one of'],
  [
    { certificates: [{ ...certificate, fingerprint256: 'ab' }] },
    'certificates.0.fingerprint256: expected 32 bytes',
  ],
  [{ certificates: [{ ...certificate, name: 'a b' }] }, 'certificates.0.name: expected 1 to 64'],
])('the parser of access files refuses %j', (value, named) => {
  expect(() => check(value)).toThrow(`host.json: ${named}`)
})

it('tls must have the certificate and the key, and no unknown field', () => {
  expect(() => checkStrictly(TlsConfig, { certificate: 'c' }, 'host.json')).toThrow('host.json: key')
  expect(() => checkStrictly(TlsConfig, { certificate: 'c', key: 'k', ca: 'x' }, 'host.json')).toThrow(
    'ca: no such field',
  )
})

describe('files', () => {
  let dir: string
  beforeEach(async () => void (dir = await mkdtemp(join(tmpdir(), 'settings-'))))
  afterEach(() => rm(dir, { recursive: true, force: true }))

  it('paths are relative to the file that names them', async () => {
    await writeFile(
      join(dir, 'access.json'),
      JSON.stringify({ access: { tokens: 'tokens.json', oidc: [issuer] } }),
      { mode: 0o600 },
    )
    await writeFile(join(dir, 'tokens.json'), '{"tokens":[]}', { mode: 0o600 })
    const found = await readAccessFile(join(dir, 'access.json'))
    expect(found.from).toEqual([join(dir, 'access.json')])
    const settings = await loadAccess(found.access, found.tls, found.base)
    expect(settings).toEqual({
      tokens: [],
      oidc: [issuer],
      certificates: [],
      rate: {},
      behindTls: false,
      connections: {},
    })
    // Another process receives the settings as JSON.
    expect(JSON.parse(JSON.stringify(settings))).toEqual(settings)
  })

  it('files are refused when other users can write to them', async () => {
    const file = join(dir, 'access.json')
    await writeFile(file, '{"access":{}}')
    await chmod(file, 0o664)
    await expect(readAccessFile(file)).rejects.toThrow(`${file}: mode 0664`)
    await chmod(file, 0o644)
    await expect(readAccessFile(file)).resolves.toMatchObject({ access: {} })
  })

  it('client certificates require an authority', async () => {
    await expect(loadAccess({ certificates: [certificate as never] }, undefined)).rejects.toThrow(
      'expected tls.clientCa',
    )
  })
})
