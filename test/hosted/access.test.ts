// Who may do what, over HTTP: every route with every kind of credentials; who it was is on record; no token is in any log.
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { newToken } from '@service-fs/hosted/access/tokens'
import { signingKey, TestIssuer } from '@service-fs/hosted/access/testing'
import { ROLES, type Role } from '@service-fs/wire/roles'
import { ROUTES } from '@service-fs/wire/routes'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { serviceFsCommand, startDaemon, type Daemon } from '../support/daemon.ts'
import { startHost, type Host } from '../support/host.ts'
import { run, sleep } from '../support/process.ts'
import { decisionOn, walk, type Credential, type Place } from './access-walk.ts'

let dir: string
let issuer: TestIssuer
/** Of access, without the file of tokens. */
let settings: object
const secrets: string[] = []
const credentials: Credential[] = []

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'access-'))
  issuer = new TestIssuer()
  issuer.keys = [await signingKey('one', 'RS256')]
  await issuer.start()
  const oidc = [
    {
      issuer: issuer.url,
      audience: 'ledger',
      grants: [
        ...ROLES.map((role) => ({ claim: 'scope', value: `acme.${role}`, tenant: 'acme', roles: [role] })),
        { claim: 'scope', value: 'other.all', tenant: 'other', roles: ROLES },
      ],
    },
  ]
  settings = { oidc, rate: { failuresPerMinute: 1_000_000 } }
  await writeFile(
    join(dir, 'access.json'),
    JSON.stringify({ access: { ...settings, tokens: 'tokens.json' } }),
    { mode: 0o600 },
  )
  await makeCredentials()
})
afterAll(async () => {
  await issuer.stop()
  await rm(dir, { recursive: true, force: true })
})

async function token(...args: string[]): Promise<{ id: string; token: string }> {
  const made = await serviceFsCommand(['token', ...args, '--config', join(dir, 'access.json'), '--json'])
  expect(made.code, made.stderr).toBe(0)
  return JSON.parse(made.stdout) as { id: string; token: string }
}

async function bearer(
  name: string,
  tenant: string,
  roles: readonly Role[],
  ...more: string[]
): Promise<string> {
  const made = await token('add', '--name', name, '--tenant', tenant, '--roles', roles.join(','), ...more)
  return made.token
}

async function makeCredentials(): Promise<void> {
  const add = (name: string, secret: string | undefined, worth: Credential['worth']): void => {
    if (secret !== undefined) secrets.push(secret)
    credentials.push({ name, worth, ...(secret === undefined ? {} : { authorization: `Bearer ${secret}` }) })
  }
  add('none', undefined, 'nothing')
  credentials.push({ name: 'another scheme', authorization: 'Basic YTpi', worth: 'nothing' })
  add('one that nobody gave out', newToken().text, 'nothing')
  add('nonsense', 'x.y.z', 'nothing')
  const examine = await bearer('examine', 'acme', ['examine'])
  add('a wrong last digit', examine.slice(0, -1) + (examine.endsWith('A') ? 'B' : 'A'), 'nothing')
  add('expired', await bearer('expired', 'acme', ROLES, '--expires', '1s'), 'nothing')
  const revoked = await token('add', '--name', 'revoked', '--tenant', 'acme', '--roles', ROLES.join(','))
  await token('revoke', revoked.id)
  add('revoked', revoked.token, 'nothing')
  add('examine', examine, { roles: ['examine'] })
  for (const role of ROLES.filter((name) => name !== 'examine'))
    add(role, await bearer(role, 'acme', [role]), { roles: [role] })
  add('all, for all tenants', await bearer('all', '*', ROLES), { roles: ROLES, everywhere: true })
  add("another tenant's, all", await bearer('elsewhere', 'other', ROLES), 'elsewhere')
  for (const role of ROLES)
    add(`OIDC ${role}`, await issuer.token({ scope: `acme.${role}` }), { roles: [role] })
  add('OIDC without a role', await issuer.token({ scope: 'openid' }), 'elsewhere')
  add("OIDC another tenant's, all", await issuer.token({ scope: 'other.all' }), 'elsewhere')
  const all = ROLES.map((role) => `acme.${role}`).join(' ')
  add('OIDC expired', await issuer.token({ scope: all, exp: 1_700_000_000 }), 'nothing')
  add('OIDC another audience', await issuer.token({ scope: all, aud: 'elsewhere' }), 'nothing')
  add('OIDC another key', await issuer.token({ scope: all }, await signingKey('one', 'RS256')), 'nothing')
  await sleep(1100)
}

function secretOf(name: string): string {
  const found = credentials.find((credential) => credential.name === name)?.authorization
  if (found === undefined) throw new Error(`no credential ${name}`)
  return found
}

async function walkAll(place: Place): Promise<{ asked: number; subjects: Set<string> }> {
  const append = await fetch(new URL(`t/${place.moduleId}/v1/append`, place.url), {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: secretOf('append') },
    body: '{"payload_id":"walked","payload":1}',
  })
  expect(append.status, await append.text()).toBe(200)
  const first = await fetch(new URL(`t/${place.moduleId}/v1/contract`, place.url), {
    headers: { authorization: secretOf('read') },
  })
  expect(first.headers.get('x-audit-index')).toBe('0')
  const wrong: string[] = []
  let asked = 0
  for await (const { what, route, expected, answer } of walk(place, credentials)) {
    asked += 1
    const { status, headers } = answer
    // Its audit sub-ledger has no record with that identifier: who may see that, is told so.
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
  return { asked, subjects: await subjectsOf(place) }
}

async function subjectsOf({ url, moduleId }: Place): Promise<Set<string>> {
  const subjects = new Set<string>()
  const get = async (path: string): Promise<any> => {
    const answer = await fetch(new URL(`t/${moduleId}/${path}`, url), {
      headers: { authorization: secretOf('examine') },
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
  // Nothing was appended by who may not.
  expect((await get('v1/entries')).entries).toHaveLength(1)
  return subjects
}

function expectSubjects(subjects: Set<string>): void {
  const oidc = `oidc:${issuer.url}#alice`
  expect([...subjects].toSorted()).toEqual(
    [oidc, 'token:all', 'token:append', 'token:examine', 'token:read'].toSorted(),
  )
}

function expectNoSecrets(text: string): void {
  for (const secret of secrets)
    for (const part of secret.split(/[._]/).filter((one) => one.length > 20)) expect(text).not.toContain(part)
}

async function readWith({ url }: { url: string }, text: string): Promise<number> {
  const answer = await fetch(`${url}t/acme/v1/entries`, { headers: { authorization: `Bearer ${text}` } })
  return answer.status
}

it('every route has a decision', () => {
  for (const route of ROUTES) expect(decisionOn(route), route.pattern).toEqual(route.permission)
})

describe('serve', () => {
  let daemon: Daemon
  let place: Place
  beforeAll(async () => {
    daemon = await startDaemon({ moduleId: 'acme', args: ['--access', join(dir, 'access.json')] })
    place = { url: daemon.url, moduleId: 'acme', isHost: false }
  })
  afterAll(() => daemon.dispose())

  it('every route with all credentials', async () => {
    const { asked, subjects } = await walkAll(place)
    expect(asked).toBeGreaterThan(1000)
    expectSubjects(subjects)
  })

  it('what is no route is 401 too, for who has no credentials', async () => {
    for (const path of ['', 'nowhere', 't/acme', 't/other/v1/entries', 'v1/entries/', 'healthz/x'])
      expect((await fetch(daemon.url + path)).status, path).toBe(401)
    expect((await daemon.fetch('nowhere', { headers: { authorization: secretOf('read') } })).status).toBe(404)
  })

  it('another tenant is 403, with credentials for both', async () => {
    const headers = { 'x-foundry-module-id': 'other', authorization: secretOf('all, for all tenants') }
    expect((await daemon.fetch('v1/entries', { headers })).status).toBe(403)
  })

  it('a body is not asked for from who may not send one', async () => {
    const answered = await new Promise<{ status: number; continued: boolean }>((resolve, reject) => {
      let continued = false
      const sent = request(new URL('t/acme/v1/append', daemon.url), {
        method: 'POST',
        headers: { expect: '100-continue', 'content-length': 10_000_000, 'x-payload-id': 'big' },
      })
      sent.once('continue', () => (continued = true))
      sent.once('response', (response) => {
        resolve({ status: response.statusCode ?? 0, continued })
        sent.destroy()
      })
      sent.once('error', reject)
      sent.flushHeaders()
    })
    expect(answered).toEqual({ status: 401, continued: false })
  })

  it('the role append is enough for the command', async () => {
    await writeFile(join(dir, 'append.token'), secretOf('append').replace('Bearer ', ''), { mode: 0o600 })
    await writeFile(join(dir, 'report.txt'), 'hello')
    const connection = ['--url', daemon.prefix, '--token-file', join(dir, 'append.token')]
    const appended = await serviceFsCommand(['append', join(dir, 'report.txt'), ...connection])
    expect(appended.code, appended.stderr).toBe(0)
    const listed = await serviceFsCommand(['ls', ...connection])
    expect(listed.code).toBe(3)
    expect(listed.stderr).toContain('token:append has append')
  })

  it('two tokens at once: 400', async () => {
    const given = ['read', 'append'].flatMap((name) => ['-H', `Authorization: ${secretOf(name)}`])
    const status = ['-s', '-o', '/dev/null', '-w', '%{http_code}']
    const sent = await run('curl', [...status, ...given, `${daemon.prefix}v1/entries`])
    expect(sent.stdout).toBe('400')
  })

  it('a token that is revoked holds no more, one that is added holds, without a restart', async () => {
    const made = await token('add', '--name', 'soon', '--tenant', 'acme', '--roles', 'read')
    const ask = (): Promise<number> => readWith(daemon, made.token)
    await expect.poll(ask, { timeout: 5000 }).toBe(200)
    await token('revoke', made.id)
    await expect.poll(ask, { timeout: 5000 }).toBe(401)
  })

  it('both tokens hold while one is rotated', async () => {
    const old = await token('add', '--name', 'rotated', '--tenant', 'acme', '--roles', 'read')
    const next = await token('rotate', old.id, '--overlap', '6s')
    await expect.poll(() => readWith(daemon, next.token), { timeout: 5000 }).toBe(200)
    expect(await readWith(daemon, old.token)).toBe(200)
    await expect.poll(() => readWith(daemon, old.token), { timeout: 15_000 }).toBe(401)
    expect(await readWith(daemon, next.token)).toBe(200)
  })

  it('SIGHUP reads everything again, and the daemon stays', async () => {
    process.kill(daemon.pid, 'SIGHUP')
    await sleep(200)
    expect((await daemon.fetch('healthz')).status).toBe(200)
  })

  it('the ledger has no token either, and nothing of one was logged', async () => {
    await daemon.kill()
    expectNoSecrets(daemon.stdout() + daemon.stderr())
    expect(daemon.stderr()).not.toMatch(/authorization|bearer/i)
    for (const name of await readdir(daemon.dir, { recursive: true, withFileTypes: true }))
      if (name.isFile() && !name.name.endsWith('.ldb'))
        expectNoSecrets(await readFile(join(name.parentPath, name.name), 'latin1'))
  })
})

describe('host', () => {
  let host: Host
  let place: Place
  beforeAll(async () => {
    host = await startHost({
      tenants: ['acme', 'other', 'asleep'],
      config: { access: { ...settings, tokens: join(dir, 'tokens.json') } },
    })
    place = { url: host.url, moduleId: 'acme', isHost: true }
  })
  afterAll(() => host.dispose())

  it('every route with all credentials', async () => {
    const { asked, subjects } = await walkAll(place)
    expect(asked).toBeGreaterThan(1000)
    expectSubjects(subjects)
  })

  it('which tenants there are is not said to who may not use them, and none is started for them', async () => {
    const ask = async (moduleId: string, path: string, name?: string): Promise<number> => {
      const headers = name === undefined ? {} : { authorization: secretOf(name) }
      return (await host.fetch(moduleId, path, { headers })).status
    }
    for (const moduleId of ['asleep', 'nowhere']) {
      for (const path of ['v1/entries', 'healthz', 'readyz', 'metrics', 'nowhere']) {
        expect(await ask(moduleId, path), `${moduleId} ${path}`).toBe(401)
        expect(await ask(moduleId, path, 'read'), `${moduleId} ${path}`).toBe(403)
        expect(await ask(moduleId, path, "another tenant's, all"), `${moduleId} ${path}`).toBe(403)
      }
    }
    expect(await host.pidOf('asleep')).toBeUndefined()
    expect(await ask('nowhere', 'v1/entries', 'all, for all tenants')).toBe(404)
    expect(await ask('asleep', 'v1/entries', 'all, for all tenants')).toBe(200)
    expect(await host.pidOf('asleep')).toBeDefined()
  })

  it('who asks is who the front says, whatever the client says', async () => {
    const headers = {
      authorization: secretOf('read'),
      'x-service-fs-subject': 'root',
      'x-service-fs-roles': 'append,examine,operate',
    }
    const answer = await host.fetch('acme', 'v1/contract', { headers })
    const index = Number(answer.headers.get('x-audit-index'))
    expect((await host.fetch('acme', 'audit/v1/entries', { headers })).status).toBe(403)
    const entry = await host.fetch('acme', `audit/v1/entries/${index + 1}`, {
      headers: { authorization: secretOf('examine') },
    })
    expect(await entry.json()).toMatchObject({ payload: { subject: 'token:read', route: '/v1/contract' } })
  })

  it('a follower is cut off when its token is revoked', async () => {
    const made = await token('add', '--name', 'follower', '--tenant', 'acme', '--roles', 'read')
    await expect.poll(() => readWith(host, made.token), { timeout: 5000 }).toBe(200)
    const headers = { authorization: `Bearer ${made.token}` }
    const stream = await host.fetch('acme', 'v1/follow', { headers })
    expect(stream.status).toBe(200)
    let isOver = false
    const drained = stream.body?.pipeTo(new WritableStream()).catch(() => undefined)
    void drained?.then(() => (isOver = true))
    await sleep(1500)
    expect(isOver).toBe(false)
    await token('revoke', made.id)
    await expect.poll(() => isOver, { timeout: 5000 }).toBe(true)
    expect(await readWith(host, made.token)).toBe(401)
  })

  it('no token was logged, and no process was started with one', async () => {
    for (const pid of [host.pid, host.frontPid, (await host.pidOf('acme')) ?? 0])
      for (const file of ['cmdline', 'environ'])
        expectNoSecrets(await readFile(`/proc/${pid}/${file}`, 'latin1'))
    await host.kill()
    expectNoSecrets(host.stderr())
    expect(host.stderr()).not.toMatch(/authorization|bearer/i)
  })
})

describe('rates', () => {
  let daemon: Daemon
  beforeAll(async () => {
    const file = join(dir, 'rates.json')
    const rate = { requestsPerSecond: 5, burst: 5, failuresPerMinute: 3 }
    await writeFile(file, JSON.stringify({ access: { tokens: 'tokens.json', rate } }), { mode: 0o600 })
    daemon = await startDaemon({ moduleId: 'acme', args: ['--access', file] })
  })
  afterAll(() => daemon.dispose())

  const ask = (authorization: string): Promise<Response> =>
    fetch(`${daemon.prefix}v1/checkpoint`, { headers: { authorization } })

  it('who asks too much is told when to come back, and comes in then; others are not held up', async () => {
    const answers = await Promise.all(Array.from({ length: 60 }, () => ask(secretOf('read'))))
    const limited = answers.find(({ status }) => status === 429)
    expect(await limited?.json()).toMatchObject({ code: 'rate-limited', retry_after: 1 })
    expect(limited?.headers.get('retry-after')).toBe('1')
    expect((await ask(secretOf('examine'))).status).toBe(200)
    await sleep(1100)
    expect((await ask(secretOf('read'))).status).toBe(200)
  })

  it('a command takes its time', async () => {
    const url = ['--url', daemon.prefix, '--token-file', join(dir, 'examine.token')]
    await writeFile(join(dir, 'examine.token'), secretOf('examine').replace('Bearer ', ''), { mode: 0o600 })
    await Promise.all(Array.from({ length: 30 }, () => ask(secretOf('examine'))))
    const listed = await serviceFsCommand(['ls', ...url])
    expect(listed.code, listed.stderr).toBe(0)
  })

  it('who fails too often is 429, and who does not is let in from the same address', async () => {
    const statuses: number[] = []
    for (let i = 0; i < 6; i++) statuses.push((await ask(`Bearer ${newToken().text}`)).status)
    expect(statuses).toEqual([401, 401, 401, 429, 429, 429])
    expect((await ask(secretOf('all, for all tenants'))).status).toBe(200)
    expect((await fetch(`${daemon.url}healthz`)).status).toBe(200)
  })
})

describe('serve, where it would be open', () => {
  it.each([
    ['0.0.0.0:0', undefined, 'no credentials'],
    ['0.0.0.0:0', {}, 'no credentials'],
    ['0.0.0.0:0', { tokens: 'tokens.json' }, 'in the clear'],
  ])('does not listen on %s with %j', async (listen, access, why) => {
    const { code, stderr } = await attempt(dir, listen, access)
    expect(code, stderr).toBe(2)
    expect(stderr).toContain(why)
  })

  it.each([
    [{ listen: ['127.0.0.1:0', '0.0.0.0:0'] }, 'no credentials'],
    [{ listen: ['[::]:0'], access: { tokens: 'tokens.json' } }, 'in the clear'],
    [{ metrics: '0.0.0.0:0', access: { tokens: 'tokens.json', behindTls: true } }, 'no credentials'],
  ])('nor does a host with %j', async (config, why) => {
    const file = join(dir, 'host.json')
    await writeFile(file, JSON.stringify({ root: 'ledgers', run: 'run', ...config }), { mode: 0o600 })
    const { code, stderr } = await serviceFsCommand(['host', '--config', file])
    expect(code, stderr).toBe(2)
    expect(stderr).toContain(why)
  })

  it('does not start with access that is malformed, or whose files are not there', async () => {
    for (const [access, why] of [
      [{ token: 'x' }, 'access.token: no such field'],
      [{ tokens: 'nowhere.json' }, 'nowhere.json'],
      [
        { oidc: [{ issuer: 'http://example.org', audience: 'x', grants: [] }] },
        'access.oidc.0.issuer: expected https://',
      ],
      [{ certificates: [{ subject: 'CN=a', name: 'a', tenant: 'acme', roles: ['read'] }] }, 'tls.clientCa'],
    ] as const) {
      const { code, stderr } = await attempt(dir, '127.0.0.1:0', access)
      expect(code, stderr).toBe(3)
      expect(stderr).toContain(why)
    }
  })
})

async function attempt(
  at: string,
  listen: string,
  access: object | undefined,
): ReturnType<typeof serviceFsCommand> {
  const file = join(at, 'attempt.json')
  await writeFile(file, JSON.stringify({ access }), { mode: 0o600 })
  const more = access === undefined ? [] : ['--access', file]
  return serviceFsCommand([
    'serve',
    '--module-id',
    'acme',
    '--root',
    join(at, 'attempt'),
    '--listen',
    listen,
    ...more,
  ])
}
