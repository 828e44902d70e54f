// For tests of access: an issuer, a file of tokens, and credentials of every kind.
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { newToken } from '@service-fs/access/tokens'
import { signingKey, TestIssuer } from '@service-fs/access/testing'
import { ROLES, type Role } from '@service-fs/wire/roles'
import { expect } from 'vitest'
import { serviceFsCommand } from '../support/daemon.ts'
import { sleep } from '../support/process.ts'
import { walk, type Credential, type Place } from './access-walk.ts'

/** Tenants are `acme` and `other`. */
export class World {
  readonly issuer: TestIssuer = new TestIssuer()
  readonly dir: string
  /** The file for `serve --access`. */
  readonly file: string
  readonly credentials: Credential[] = []
  readonly #secrets: string[] = []

  static async make(): Promise<World> {
    const world = new World(await mkdtemp(join(tmpdir(), 'access-')))
    world.issuer.keys = [await signingKey('one', 'RS256')]
    await world.issuer.start()
    await writeFile(world.file, JSON.stringify({ access: world.access() }), { mode: 0o600 })
    await world.#makeCredentials()
    return world
  }

  private constructor(dir: string) {
    this.dir = dir
    this.file = join(dir, 'access.json')
  }

  async dispose(): Promise<void> {
    await this.issuer.stop()
    await rm(this.dir, { recursive: true, force: true })
  }

  /** As written in a configuration file. */
  access(): object {
    const grants = [
      ...ROLES.map((role) => ({ claim: 'scope', value: `acme.${role}`, tenant: 'acme', roles: [role] })),
      { claim: 'scope', value: 'other.all', tenant: 'other', roles: ROLES },
    ]
    const oidc = [{ issuer: this.issuer.url, audience: 'ledger', grants }]
    return { tokens: join(this.dir, 'tokens.json'), oidc, rate: { failuresPerMinute: 1_000_000 } }
  }

  /** Runs `service-fs token`. */
  async token(...args: string[]): Promise<{ id: string; token: string }> {
    const made = await serviceFsCommand(['token', ...args, '--config', this.file, '--json'])
    expect(made.code, made.stderr).toBe(0)
    return JSON.parse(made.stdout) as { id: string; token: string }
  }

  /** The `Authorization` header for a credential of that name. */
  authorization(name: string): string {
    const found = this.credentials.find((credential) => credential.name === name)?.authorization
    if (found === undefined) throw new Error(`no credential ${name}`)
    return found
  }

  /** Writes the token of that name to a file, in the form that commands read. */
  async tokenFile(name: string): Promise<string> {
    const file = join(this.dir, `${name}.token`)
    await writeFile(file, this.authorization(name).replace('Bearer ', ''), { mode: 0o600 })
    return file
  }

  expectNoSecrets(text: string): void {
    for (const secret of this.#secrets)
      for (const part of secret.split(/[._]/).filter((one) => one.length > 20))
        expect(text).not.toContain(part)
  }

  async #bearer(name: string, tenant: string, roles: readonly Role[], ...more: string[]): Promise<string> {
    const made = await this.token(
      'add',
      '--name',
      name,
      '--tenant',
      tenant,
      '--roles',
      roles.join(','),
      ...more,
    )
    return made.token
  }

  async #makeCredentials(): Promise<void> {
    const { issuer, credentials } = this
    const add = (name: string, secret: string | undefined, worth: Credential['worth']): void => {
      if (secret !== undefined) this.#secrets.push(secret)
      credentials.push({
        name,
        worth,
        ...(secret === undefined ? {} : { authorization: `Bearer ${secret}` }),
      })
    }
    add('none', undefined, 'nothing')
    credentials.push({ name: 'another scheme', authorization: 'Basic YTpi', worth: 'nothing' })
    add('one that was never issued', newToken().text, 'nothing')
    add('nonsense', 'x.y.z', 'nothing')
    const examine = await this.#bearer('examine', 'acme', ['examine'])
    add('a wrong last digit', examine.slice(0, -1) + (examine.endsWith('A') ? 'B' : 'A'), 'nothing')
    add('expired', await this.#bearer('expired', 'acme', ROLES, '--expires', '1s'), 'nothing')
    const expired = performance.now() + 1100
    const revoked = await this.token(
      'add',
      '--name',
      'revoked',
      '--tenant',
      'acme',
      '--roles',
      ROLES.join(','),
    )
    await this.token('revoke', revoked.id)
    add('revoked', revoked.token, 'nothing')
    add('examine', examine, { roles: ['examine'] })
    for (const role of ROLES.filter((name) => name !== 'examine'))
      add(role, await this.#bearer(role, 'acme', [role]), { roles: [role] })
    add('all, for all tenants', await this.#bearer('all', '*', ROLES), { roles: ROLES, everywhere: true })
    add("another tenant's, all", await this.#bearer('elsewhere', 'other', ROLES), 'elsewhere')
    for (const role of ROLES)
      add(`OIDC ${role}`, await issuer.token({ scope: `acme.${role}` }), { roles: [role] })
    add('OIDC without a role', await issuer.token({ scope: 'openid' }), 'elsewhere')
    add("OIDC another tenant's, all", await issuer.token({ scope: 'other.all' }), 'elsewhere')
    const all = ROLES.map((role) => `acme.${role}`).join(' ')
    add('OIDC expired', await issuer.token({ scope: all, exp: 1_700_000_000 }), 'nothing')
    add('OIDC another audience', await issuer.token({ scope: all, aud: 'elsewhere' }), 'nothing')
    add('OIDC another key', await issuer.token({ scope: all }, await signingKey('one', 'RS256')), 'nothing')
    await sleep(Math.max(0, expired - performance.now()))
  }
}

/** Sends every request with every credential, checks each answer, and returns the number of requests. */
export async function walkAll(world: World, place: Place): Promise<number> {
  const append = await fetch(new URL(`t/${place.moduleId}/v1/append`, place.url), {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: world.authorization('append') },
    body: '{"payload_id":"walked","payload":1}',
  })
  expect(append.status, await append.text()).toBe(200)
  const first = await fetch(new URL(`t/${place.moduleId}/v1/contract`, place.url), {
    headers: { authorization: world.authorization('read') },
  })
  expect(first.headers.get('x-audit-index')).toBe('0')
  const wrong: string[] = []
  let asked = 0
  for await (const { what, route, expected, answer } of walk(place, world.credentials)) {
    asked += 1
    const { status, headers } = answer
    // The audit sub-ledger has no record with that identifier, so an auditor gets 404.
    const isThere = route.pattern !== '/audit/v1/records/{payload_id}' || expected !== 200
    if (status !== (isThere ? expected : 404)) wrong.push(`${what}: expected ${expected}, found ${status}`)
    const challenge = headers.get('www-authenticate')
    if ((status === 401 || status === 403) !== (challenge?.startsWith('Bearer realm="service-fs"') === true))
      wrong.push(`${what}: ${status} with WWW-Authenticate: ${challenge}`)
    if (status >= 400 && headers.get('x-audit-index') !== null)
      wrong.push(`${what}: ${status}, and on record`)
    if (
      status === 200 &&
      route.recorded &&
      headers.get('x-audit-index') === null &&
      !route.pattern.endsWith('follow')
    )
      wrong.push(`${what}: 200, and not on record`)
  }
  expect(wrong).toEqual([])
  const oidc = `oidc:${world.issuer.url}#alice`
  const subjects = await subjectsOf(world, place)
  expect(subjects).toEqual([oidc, 'token:all', 'token:append', 'token:examine', 'token:read'].toSorted())
  return asked
}

/** The subjects recorded in the audit sub-ledger. */
async function subjectsOf(world: World, { url, moduleId }: Place): Promise<string[]> {
  const subjects = new Set<string>()
  const get = async (path: string): Promise<any> => {
    const answer = await fetch(new URL(`t/${moduleId}/${path}`, url), {
      headers: { authorization: world.authorization('examine') },
    })
    expect(answer.status).toBe(200)
    return answer.json()
  }
  let since = 0
  for (;;) {
    const page = await get(`audit/v1/entries?since=${since}&limit=1000`)
    for (const { payload } of page.entries) subjects.add(payload.subject)
    if (page.entries.length < 1000) break
    since = page.next_cursor
  }
  // No subject without the permission appended anything.
  expect((await get('v1/entries')).entries).toHaveLength(1)
  return [...subjects].toSorted()
}

/** The status of a read with a token. */
export async function readWith({ url }: { url: string }, text: string): Promise<number> {
  const answer = await fetch(`${url}t/acme/v1/entries`, { headers: { authorization: `Bearer ${text}` } })
  return answer.status
}
