import { chmod, mkdtemp, readFile, rename, rm } from 'node:fs/promises'
import { get } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { verifyDirectory } from '@service-fs/client/verify-directory'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { start, type Daemon } from './daemon.ts'
import { openTenant } from './tenant.ts'

let root: string
let daemon: Daemon | undefined
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'tenant-'))
})
afterEach(async () => {
  await daemon?.stop()
  daemon = undefined
  await rm(root, { recursive: true, force: true })
})

const config = (origin?: string) => ({
  moduleId: 'acme',
  root,
  listen: { host: '127.0.0.1', port: 0 },
  origin,
})
const log: string[] = []
const begin = async (origin?: string): Promise<Daemon> =>
  (daemon = await start(config(origin), (line) => log.push(line)))
const append = (url: string, id: string, payload: unknown): Promise<Response> =>
  fetch(`${url}t/acme/v1/append`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ payload_id: id, payload }),
  })

it('a tenant starts, stops, and starts again with the same origin and keys', async () => {
  const first = await begin()
  expect(first.tenant.origin).toBe('service-fs.local/ledger/acme')
  expect((await readFile(join(root, 'acme/keys/ed25519.vkey'), 'utf8')).trim()).toBe(first.tenant.vkey)
  for (let i = 0; i < 300; i++) expect((await append(first.url, `r${i}`, { i })).status).toBe(200)
  expect((await fetch(`${first.url}t/acme/v1/entries/7`)).headers.get('x-audit-index')).toBe('0')
  await first.stop()

  const report = await verifyDirectory(join(root, 'acme'), { vkeys: [first.tenant.vkey] })
  expect(report).toMatchObject({ ok: true, entries: 300 })

  const second = await begin()
  expect([second.tenant.origin, second.tenant.vkey]).toEqual([first.tenant.origin, first.tenant.vkey])
  expect(await (await append(second.url, 'r7', { i: 7 })).json()).toMatchObject({
    cursor: 8,
    duplicate: true,
  })
  expect((await append(second.url, 'r7', { i: 8 })).status).toBe(409)
  // The audit ledger also records that both reads returned r7.
  expect((await fetch(`${second.url}t/acme/v1/entries/7`)).headers.get('x-audit-index')).toBe('3')
  expect((await fetch(`${second.url}readyz`)).status).toBe(200)
})

it('a tenant keeps the origin of the first start', async () => {
  const first = await begin('example.org/acme')
  expect(first.tenant.vkey).toMatch(/^example\.org\/acme\+/)
  await first.stop()
  await expect(begin('example.org/other')).rejects.toMatchObject({ code: 'usage' })
  expect((await begin()).tenant.origin).toBe('example.org/acme')
})

it('a tenant refuses a second writer, with the pid of the first', async () => {
  await begin()
  await expect(openTenant({ moduleId: 'acme', root })).rejects.toMatchObject({
    code: 'locked',
    message: expect.stringContaining(String(process.pid)),
  })
})

it('a tenant rejects an exposed key, and creates no new one for a ledger whose key is missing', async () => {
  await (await begin()).stop()
  const key = join(root, '.secret/acme/ed25519.key')
  await chmod(key, 0o644)
  await expect(begin()).rejects.toMatchObject({ code: 'key' })
  await rm(key)
  await expect(begin()).rejects.toMatchObject({
    code: 'key',
    message: expect.stringContaining('restore the key'),
  })
})

it('a tenant starts no second ledger with a key that has signed another', async () => {
  const first = await begin()
  expect((await append(first.url, 'a', 1)).status).toBe(200)
  await first.stop()
  for (const gone of ['acme', 'acme/audit']) {
    await rename(join(root, gone), join(root, 'elsewhere'))
    await expect(begin()).rejects.toMatchObject({
      code: 'key',
      message: expect.stringContaining('restore the ledger'),
    })
    await rm(join(root, gone), { recursive: true, force: true })
    await rename(join(root, 'elsewhere'), join(root, gone))
  }
  const again = await begin()
  expect(await (await append(again.url, 'a', 1)).json()).toMatchObject({ cursor: 1, duplicate: true })
})

it('a tenant answers only to its own host names, so that no other page can read it', async () => {
  const { url } = await begin()
  const ask = (host: string): Promise<number | undefined> =>
    new Promise((resolve, reject) => {
      get(`${url}t/acme/v1/checkpoint`, { headers: { host } }, (answer) => {
        answer.resume()
        resolve(answer.statusCode)
      }).once('error', reject)
    })
  for (const host of ['localhost', 'localhost:8080', '127.0.0.1:1', '[::1]:8080', 'acme.localhost']) {
    expect(await ask(host), host).toBe(200)
  }
  for (const host of ['evil.example', 'localhost.evil.example', '127.0.0.1.evil.example:80', '192.0.2.1']) {
    expect(await ask(host), host).toBe(421)
  }
})

it('a tenant rebuilds a missing index', async () => {
  const first = await begin()
  await append(first.url, 'a', 1)
  await first.stop()
  await rm(join(root, 'acme/cache'), { recursive: true })
  const second = await begin()
  expect(await (await append(second.url, 'a', 1)).json()).toMatchObject({ cursor: 1, duplicate: true })
})

it('a tenant answers many concurrent appends, each when it is durable', async () => {
  const { url, tenant } = await begin()
  const answers = await Promise.all(Array.from({ length: 200 }, (_, i) => append(url, `r${i}`, i)))
  const cursors = await Promise.all(
    answers.map(async (answer) => ((await answer.json()) as { cursor: number }).cursor),
  )
  expect(cursors.sort((a, b) => a - b)).toEqual(Array.from({ length: 200 }, (_, i) => i + 1))
  expect(tenant.ledger.size).toBe(200)
})
