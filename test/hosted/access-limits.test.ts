// Rates per subject, failures per address, and the addresses that the daemon refuses to listen on.
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { newToken } from '@service-fs/access/tokens'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { serviceFsCommand, startDaemon, type Daemon } from '../support/daemon.ts'
import { sleep } from '../support/process.ts'
import { World } from './access-world.ts'

let world: World
beforeAll(async () => void (world = await World.make()))
afterAll(() => world.dispose())

describe('rates', () => {
  let daemon: Daemon
  beforeAll(async () => {
    const file = join(world.dir, 'rates.json')
    const rate = { requestsPerSecond: 5, burst: 5, failuresPerMinute: 3 }
    await writeFile(file, JSON.stringify({ access: { tokens: 'tokens.json', rate } }), { mode: 0o600 })
    daemon = await startDaemon({ moduleId: 'acme', args: ['--access', file] })
  })
  afterAll(() => daemon.dispose())

  const ask = (authorization: string): Promise<Response> =>
    fetch(`${daemon.prefix}v1/checkpoint`, { headers: { authorization } })

  it('a subject over its rate gets Retry-After, and is admitted after that time; others are not delayed', async () => {
    const answers = await Promise.all(Array.from({ length: 60 }, () => ask(world.authorization('read'))))
    const limited = answers.find(({ status }) => status === 429)
    expect(await limited?.json()).toMatchObject({ code: 'rate-limited', retry_after: 1 })
    expect(limited?.headers.get('retry-after')).toBe('1')
    expect((await ask(world.authorization('examine'))).status).toBe(200)
    await sleep(1000 * Number(limited?.headers.get('retry-after')))
    expect((await ask(world.authorization('read'))).status).toBe(200)
  })

  it('a command waits and retries when it is over its rate', async () => {
    const url = ['--url', daemon.prefix, '--token-file', await world.tokenFile('examine')]
    await Promise.all(Array.from({ length: 30 }, () => ask(world.authorization('examine'))))
    const listed = await serviceFsCommand(['ls', ...url])
    expect(listed.code, listed.stderr).toBe(0)
  })

  it('a token that fails too often gets 429, and a valid one is accepted from the same address', async () => {
    const statuses: number[] = []
    for (let i = 0; i < 6; i++) statuses.push((await ask(`Bearer ${newToken().text}`)).status)
    expect(statuses).toEqual([401, 401, 401, 429, 429, 429])
    expect((await ask(world.authorization('all, for all tenants'))).status).toBe(200)
    expect((await fetch(`${daemon.url}healthz`)).status).toBe(200)
  })
})

describe('serve without credentials or TLS', () => {
  it.each([
    ['0.0.0.0:0', undefined, 'no credentials'],
    ['0.0.0.0:0', {}, 'no credentials'],
    ['0.0.0.0:0', { tokens: 'tokens.json' }, 'in the clear'],
  ])('refuses to listen on %s with %j', async (listen, access, why) => {
    const { code, stderr } = await attempt(world.dir, listen, access)
    expect(code, stderr).toBe(2)
    expect(stderr).toContain(why)
  })

  it.each([
    [{ listen: ['127.0.0.1:0', '0.0.0.0:0'] }, 'no credentials'],
    [{ listen: ['[::]:0'], access: { tokens: 'tokens.json' } }, 'in the clear'],
    [{ metrics: '0.0.0.0:0', access: { tokens: 'tokens.json', behindTls: true } }, 'no credentials'],
  ])('a host also refuses to listen with %j', async (config, why) => {
    const file = join(world.dir, 'host.json')
    await writeFile(file, JSON.stringify({ root: 'ledgers', run: 'run', ...config }), { mode: 0o600 })
    const { code, stderr } = await serviceFsCommand(['host', '--config', file])
    expect(code, stderr).toBe(2)
    expect(stderr).toContain(why)
  })

  it('does not start with a malformed access file, or one that names missing files', async () => {
    for (const [access, why] of [
      [{ token: 'x' }, 'access.token: no such field'],
      [{ tokens: 'nowhere.json' }, 'nowhere.json: no such file; `service-fs token add` makes it'],
      [
        { oidc: [{ issuer: 'http://example.org', audience: 'x', grants: [] }] },
        'access.oidc.0.issuer: expected https://',
      ],
      [{ certificates: [{ subject: 'CN=a', name: 'a', tenant: 'acme', roles: ['read'] }] }, 'tls.clientCa'],
    ] as const) {
      const { code, stderr } = await attempt(world.dir, '127.0.0.1:0', access)
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
  const where = ['--module-id', 'acme', '--root', join(at, 'attempt'), '--listen', listen]
  return serviceFsCommand(['serve', ...where, ...more])
}
