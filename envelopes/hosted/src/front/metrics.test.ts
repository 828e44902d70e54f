import { readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, get, type Server } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { start, type Daemon } from '../tenant/daemon.ts'
import { hasOpenssl, makeCa } from '@service-fs/http/testing-certificates'
import { HostedError } from '@service-fs/http/errors'
import { startMetricsListener } from './metrics-listener.ts'
import { FrontMetrics } from './metrics.ts'

let root: string
const daemons: Daemon[] = []
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'front-metrics-'))
})
afterEach(async () => {
  for (const daemon of daemons.splice(0)) await daemon.stop()
  await rm(root, { recursive: true, force: true })
})

const constant = (): Promise<{ contentType: string; text: string }> =>
  Promise.resolve({ contentType: 'text/plain', text: 'x 1\n' })
const socketOf = (moduleId: string): string => join(root, `${moduleId}.socket`)
async function run(moduleId: string): Promise<void> {
  const listen = { path: socketOf(moduleId) }
  daemons.push(await start({ moduleId, root, listen, origin: undefined }, () => undefined))
}

it('the front shows its own metrics and those of running tenants, and which tenants run', async () => {
  await run('acme')
  await run('beta')
  const hung: Server = createServer(() => undefined).listen(socketOf('hung'))
  const running = new Map(['acme', 'beta', 'hung'].map((id) => [id, socketOf(id)]))
  const metrics = new FrontMetrics({
    tenants: () => ['acme', 'beta', 'hung', 'idle'],
    running: () => running,
    // Both daemons answer from this process, which a busy machine may stop for a while.
    timeoutMs: 3000,
  })
  metrics.answered('GET', 401, 0.003)
  for (let i = 0; i < 5; i++) metrics.answered(`AAAA${i}`, 401, 0.003)
  const { contentType, text } = await metrics.all()
  hung.closeAllConnections()
  hung.close()

  expect(contentType).toBe('text/plain; version=0.0.4; charset=utf-8')
  const has = (line: string): void => expect(text.split('\n')).toContain(line)
  for (const id of ['acme', 'beta']) {
    expect(text).toMatch(new RegExp(`^service_fs_tree_size\\{ledger="main",tenant="${id}"\\} 0$`, 'm'))
    has(`service_fs_tenant_up{tenant="${id}"} 1`)
  }
  has('service_fs_tenant_running{tenant="hung"} 1')
  has('service_fs_tenant_up{tenant="hung"} 0')
  has('service_fs_tenant_running{tenant="idle"} 0')
  has('service_fs_front_request_seconds_count{method="GET",status="401"} 1')
  has('service_fs_front_request_seconds_count{method="other",status="401"} 5')
  expect(text).not.toContain('AAAA')
  expect(text.match(/^# TYPE process_open_fds gauge$/gm)).toHaveLength(1)
  expect(text.match(/^process_open_fds/gm)).toHaveLength(3)

  for (const id of ['beta', 'hung']) running.delete(id)
  const later = (await metrics.all()).text
  expect(later).toContain('service_fs_tenant_running{tenant="beta"} 0')
})

it.skipIf(!hasOpenssl)('the front shows when the certificate expires (skipped without openssl)', async () => {
  const { certificate } = makeCa(root, 'server')
  const metrics = new FrontMetrics({ tenants: () => [], running: () => new Map() })
  const expires = async (): Promise<number> =>
    Number(/^service_fs_certificate_expires_seconds (\S+)$/m.exec((await metrics.all()).text)?.[1])
  expect(await expires()).toBe(0)
  metrics.certificate(readFileSync(certificate, 'utf8'))
  expect(await expires()).toBeGreaterThan(Date.now() / 1000)
})

it('the front counts the requests whose tenant is unreachable', async () => {
  const metrics = new FrontMetrics({ tenants: () => ['acme'], running: () => new Map() })
  const tenants = metrics.watched({
    has: (id) => id === 'acme',
    began: () => undefined,
    ended: () => undefined,
    reach: (id) => Promise.reject(new HostedError(id === 'acme' ? 'tenant-unavailable' : 'no-tenant', id)),
  })
  await expect(tenants.reach('acme')).rejects.toThrow('acme')
  await expect(tenants.reach('made-up')).rejects.toThrow('made-up')
  const { text } = await metrics.all()
  expect(text).toContain('service_fs_tenant_unavailable_total{tenant="acme"} 1')
  expect(text).not.toContain('made-up')
})

it('the front serves /metrics on a separate listener, for local host names only', async () => {
  const server = await startMetricsListener({ host: '127.0.0.1', port: 0 }, constant, () => undefined)
  const status = (path: string, host = 'localhost'): Promise<number | undefined> =>
    new Promise((resolve, reject) => {
      get(new URL(path, server.url), { headers: { host }, agent: false }, (response) => {
        response.resume()
        resolve(response.statusCode)
      }).once('error', reject)
    })
  try {
    expect(await (await fetch(`${server.url}metrics`)).text()).toBe('x 1\n')
    expect(await status('metrics')).toBe(200)
    expect(await status('metrics', 'evil.example')).toBe(421)
    expect(await status('v1/entries')).toBe(404)
  } finally {
    await server.stop(1000)
  }
})
