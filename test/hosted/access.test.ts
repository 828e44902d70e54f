// Access control over HTTP: every route with every kind of credentials; the audit records the subject; no log contains a token.
import { readdir, readFile, rename, writeFile } from 'node:fs/promises'
import { request } from 'node:http'
import { join } from 'node:path'
import { ROUTES } from '@service-fs/wire/routes'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { serviceFsCommand, startDaemon, type Daemon } from '../support/daemon.ts'
import { run } from '../support/process.ts'
import { decisionOn, type Place } from './access-walk.ts'
import { readWith, walkAll, World } from './access-world.ts'

let world: World
beforeAll(async () => void (world = await World.make()))
afterAll(() => world.dispose())

it('every route has an entry in DECISIONS', () => {
  for (const route of ROUTES) expect(decisionOn(route), route.pattern).toEqual(route.permission)
})

describe('serve', () => {
  let daemon: Daemon
  let place: Place
  beforeAll(async () => {
    daemon = await startDaemon({ moduleId: 'acme', args: ['--access', world.file] })
    place = { url: daemon.url, moduleId: 'acme', isHost: false }
  })
  afterAll(() => daemon.dispose())

  it('every route with every kind of credentials', async () => {
    expect(await walkAll(world, place)).toBeGreaterThan(1000)
  })

  it('an unknown route is 401 too without credentials', async () => {
    for (const path of ['', 'nowhere', 't/acme', 't/other/v1/entries', 'v1/entries/', 'healthz/x'])
      expect((await fetch(daemon.url + path)).status, path).toBe(401)
    expect(
      (await daemon.fetch('nowhere', { headers: { authorization: world.authorization('read') } })).status,
    ).toBe(404)
  })

  it('another tenant is 403, with credentials for both', async () => {
    const headers = {
      'x-foundry-module-id': 'other',
      authorization: world.authorization('all, for all tenants'),
    }
    expect((await daemon.fetch('v1/entries', { headers })).status).toBe(403)
  })

  it('the daemon does not ask for a body that the subject may not send', async () => {
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

  it('the append command needs only the role append', async () => {
    const report = join(world.dir, 'report.txt')
    await writeFile(report, 'hello')
    const connection = ['--url', daemon.prefix, '--token-file', await world.tokenFile('append')]
    const appended = await serviceFsCommand(['append', report, ...connection])
    expect(appended.code, appended.stderr).toBe(0)
    const listed = await serviceFsCommand(['ls', ...connection])
    expect(listed.code).toBe(3)
    expect(listed.stderr).toMatch(/role of token:append: expected .+, found append/)
  })

  it('two tokens at once: 400', async () => {
    const given = ['read', 'append'].flatMap((name) => ['-H', `Authorization: ${world.authorization(name)}`])
    const status = ['-s', '-o', '/dev/null', '-w', '%{http_code}']
    const sent = await run('curl', [...status, ...given, `${daemon.prefix}v1/entries`])
    expect(sent.stdout).toBe('400')
  })

  it('a revoked token stops working and an added one starts working without a restart', async () => {
    const made = await world.token('add', '--name', 'soon', '--tenant', 'acme', '--roles', 'read')
    const ask = (): Promise<number> => readWith(daemon, made.token)
    await expect.poll(ask).toBe(200)
    await world.token('revoke', made.id)
    await expect.poll(ask).toBe(401)
  })

  it('both tokens work during a rotation', async () => {
    const old = await world.token('add', '--name', 'rotated', '--tenant', 'acme', '--roles', 'read')
    const next = await world.token('rotate', old.id, '--overlap', '1h')
    await expect.poll(() => readWith(daemon, next.token)).toBe(200)
    expect(await readWith(daemon, old.token)).toBe(200)
    const last = await world.token('rotate', next.id, '--overlap', '2s')
    await expect.poll(() => readWith(daemon, last.token)).toBe(200)
    await expect.poll(() => readWith(daemon, next.token)).toBe(401)
    expect(await readWith(daemon, last.token)).toBe(200)
  })

  it('SIGHUP reloads everything, and the daemon keeps running', async () => {
    const tokens = join(world.dir, 'tokens.json')
    const text = await readFile(tokens, 'utf8')
    const refusals = (): number => daemon.stderr().split('tokens.json: expected JSON').length - 1
    await replace(tokens, '{')
    await expect.poll(refusals).toBe(1)
    // The daemon reads the unchanged file again only because of the signal.
    process.kill(daemon.pid, 'SIGHUP')
    await expect.poll(refusals).toBe(2)
    expect((await daemon.fetch('healthz')).status).toBe(200)
    expect(await readWith(daemon, world.authorization('read').replace('Bearer ', ''))).toBe(200)
    await replace(tokens, text)
  })

  it('neither the ledger nor the log contains a token or a part of one', async () => {
    await daemon.kill()
    world.expectNoSecrets(daemon.stdout() + daemon.stderr())
    expect(daemon.stderr()).not.toMatch(/authorization|bearer/i)
    for (const name of await readdir(daemon.dir, { recursive: true, withFileTypes: true }))
      if (name.isFile() && !name.name.endsWith('.ldb'))
        world.expectNoSecrets(await readFile(join(name.parentPath, name.name), 'latin1'))
  })
})

/** Replaces a file in one step. */
async function replace(path: string, text: string): Promise<void> {
  await writeFile(`${path}.new`, text, { mode: 0o600 })
  await rename(`${path}.new`, path)
}
