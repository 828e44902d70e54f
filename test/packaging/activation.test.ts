// Sockets opened by a service manager, passed by systemd's own test tool.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { get } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, describe, expect, it } from 'vitest'
import { serviceFs } from '../support/daemon.ts'
import { collect, end, freePort, sleep } from '../support/process.ts'

const TOOL = 'systemd-socket-activate'
const hasTool = spawnSync(TOOL, ['--version']).status === 0
const work = mkdtempSync(join(tmpdir(), 'fs-act-'))
const children: ChildProcess[] = []
// A host's tenants run as separate users, so those users must be able to reach their directories.
chmodSync(work, 0o755)

afterEach(async () => {
  for (const child of children.splice(0)) await end(child, 'SIGTERM')
})
afterAll(() => rmSync(work, { recursive: true, force: true }))

interface Activated {
  child: ChildProcess
  stderr: () => string
}

/** The command starts when the first client connects. */
async function activated(options: string[], command: string[]): Promise<Activated> {
  const child = spawn(TOOL, [...options, process.execPath, serviceFs, ...command], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  children.push(child)
  const stderr = collect(child.stderr)
  while (!stderr().includes('Listening on')) {
    if (child.exitCode !== null) throw new Error(`${TOOL} did not start: ${stderr()}`)
    await sleep(10)
  }
  return { child, stderr }
}

const serve = (root: string): string[] => [
  'serve',
  '--json',
  '--module-id=acme',
  '--listen=systemd',
  `--root=${join(work, root)}`,
]

function statusOver(socketPath: string, path: string): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    get({ socketPath, path, headers: { host: 'example.org' } }, (response) => {
      response.resume()
      resolve(response.statusCode)
    }).once('error', reject)
  })
}

async function append(url: string): Promise<unknown> {
  const headers = { 'content-type': 'application/json' }
  const body = JSON.stringify({ payload_id: 'a', payload: 1 })
  return (await fetch(`${url}t/acme/v1/append`, { method: 'POST', headers, body })).json()
}

describe.skipIf(!hasTool)(`sockets by ${TOOL} (skipped without it)`, () => {
  it('serve answers on an inherited loopback port', async () => {
    const port = await freePort()
    await activated(['-l', `127.0.0.1:${port}`], serve('tcp'))
    expect(await append(`http://127.0.0.1:${port}/`)).toMatchObject({ cursor: 1 })
  })

  it('serve answers on an inherited Unix socket, under any host name, and does not remove it', async () => {
    const path = join(work, 'socket')
    const { child } = await activated(['-l', path], serve('unix'))
    expect(await statusOver(path, '/readyz')).toBe(200)
    await end(child, 'SIGTERM')
    expect(spawnSync('test', ['-S', path]).status).toBe(0)
  })

  it('serve refuses a port that other machines can connect to', async () => {
    const port = await freePort()
    const { child, stderr } = await activated(['-l', `0.0.0.0:${port}`], serve('open'))
    await expect(fetch(`http://127.0.0.1:${port}/healthz`)).rejects.toThrow()
    for (let i = 0; i < 100 && child.exitCode === null; i++) await sleep(50)
    expect(child.exitCode).toBe(2)
    expect(stderr()).toContain('no credentials are configured')
  })

  it('a host passes both sockets to its front: one for clients, and the socket named metrics for Prometheus', async () => {
    const [port, metrics] = [await freePort(), await freePort()]
    const config = join(work, 'host.json')
    const paths = { root: join(work, 'host-root'), run: join(work, 'run') }
    writeFileSync(config, JSON.stringify({ ...paths, immutable: 'off', tenants: [{ moduleId: 'acme' }] }))
    chmodSync(config, 0o600)
    const sockets = ['--fdname=clients:metrics', '-l', `127.0.0.1:${port}`, '-l', `127.0.0.1:${metrics}`]
    await activated(sockets, ['host', '--json', '--config', config, '--listen', 'systemd'])
    expect(await append(`http://127.0.0.1:${port}/`)).toMatchObject({ cursor: 1 })
    const text = await (await fetch(`http://127.0.0.1:${metrics}/metrics`)).text()
    expect(text).toContain('service_fs_tree_size{ledger="main",tenant="acme"} 1')
    expect(text).toContain('service_fs_tenant_up{tenant="acme"} 1')
    expect((await fetch(`http://127.0.0.1:${metrics}/t/acme/v1/checkpoint`)).status).toBe(404)
  })
})
