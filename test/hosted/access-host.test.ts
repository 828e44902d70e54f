// Access control through a host: every route with every kind of credentials, and no information about tenants that a subject may not use.
import { readFile } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startHost, type Host } from '../support/host.ts'
import { sleep } from '../support/process.ts'
import type { Place } from './access-walk.ts'
import { readWith, walkAll, World } from './access-world.ts'

let world: World
beforeAll(async () => void (world = await World.make()))
afterAll(() => world.dispose())

describe('host', () => {
  let host: Host
  let place: Place
  beforeAll(async () => {
    host = await startHost({
      tenants: ['acme', 'other', 'asleep'],
      config: { access: world.access() },
    })
    place = { url: host.url, moduleId: 'acme', isHost: true }
  })
  afterAll(() => host.dispose())

  it('every route with every kind of credentials', async () => {
    expect(await walkAll(world, place)).toBeGreaterThan(1000)
  })

  it('the host hides tenants from subjects that may not use them, and starts none for them', async () => {
    const ask = async (moduleId: string, path: string, name?: string): Promise<number> => {
      const headers = name === undefined ? {} : { authorization: world.authorization(name) }
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

  it('the tenant takes the subject from the front, never from the client', async () => {
    const headers = {
      authorization: world.authorization('read'),
      'x-service-fs-subject': 'root',
      'x-service-fs-roles': 'append,examine,operate',
    }
    const answer = await host.fetch('acme', 'v1/contract', { headers })
    const index = Number(answer.headers.get('x-audit-index'))
    expect((await host.fetch('acme', 'audit/v1/entries', { headers })).status).toBe(403)
    const entry = await host.fetch('acme', `audit/v1/entries/${index + 1}`, {
      headers: { authorization: world.authorization('examine') },
    })
    expect(await entry.json()).toMatchObject({ payload: { subject: 'token:read', route: '/v1/contract' } })
  })

  it('the host disconnects a follower when its token is revoked', async () => {
    const made = await world.token('add', '--name', 'follower', '--tenant', 'acme', '--roles', 'read')
    await expect.poll(() => readWith(host, made.token)).toBe(200)
    const headers = { authorization: `Bearer ${made.token}` }
    const stream = await host.fetch('acme', 'v1/follow', { headers })
    expect(stream.status).toBe(200)
    let isOver = false
    const drained = stream.body?.pipeTo(new WritableStream()).catch(() => undefined)
    void drained?.then(() => (isOver = true))
    await sleep(1500)
    expect(isOver).toBe(false)
    await world.token('revoke', made.id)
    await expect.poll(() => isOver).toBe(true)
    expect(await readWith(host, made.token)).toBe(401)
  })

  it('no log contains a token, nor do the arguments of a process', async () => {
    for (const pid of [host.pid, host.frontPid, (await host.pidOf('acme')) ?? 0])
      for (const file of ['cmdline', 'environ'])
        world.expectNoSecrets(await readFile(`/proc/${pid}/${file}`, 'latin1'))
    await host.kill()
    world.expectNoSecrets(host.stderr())
    expect(host.stderr()).not.toMatch(/authorization|bearer/i)
  })
})
