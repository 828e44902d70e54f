// Builds second trees of a real daemon by the command, alone and behind the front of a host.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { serviceFsCommand, startDaemon, type Daemon } from '../support/daemon.ts'
import { startHost } from '../support/host.ts'
import type { Finished } from '../support/process.ts'

let daemon: Daemon

beforeAll(async () => {
  daemon = await startDaemon()
})
afterAll(() => daemon.dispose())

async function fill(prefix: string, count: number): Promise<void> {
  const body = Array.from({ length: count }, (_, i) => JSON.stringify({ payload_id: `r${i}`, payload: i }))
  const answer = await fetch(new URL('v1/append', prefix), {
    method: 'POST',
    headers: { 'content-type': 'application/x-ndjson' },
    body: body.join('\n'),
  })
  expect(answer.status).toBe(200)
}

const rehash = (...args: string[]): Promise<Finished> =>
  serviceFsCommand(['rehash', ...args, '--url', daemon.prefix])

it('rehash builds a tree, waits until it is bound, and shows it', async () => {
  await fill(daemon.prefix, 600)
  expect((await rehash()).stdout).toBe('no second trees\n')
  const built = await rehash('--hash', 'sha3-256')
  expect([built.code, built.stderr]).toEqual([0, ''])
  const vkey = readFileSync(join(daemon.dir, 'sha3-256/keys/ed25519.vkey'), 'utf8').trim()
  expect(built.stdout).toMatch(/^sha3-256: kept, 60[01] of 601 entries, bound by entry 600, key /)
  expect(built.stdout.endsWith(`key ${vkey}\n`)).toBe(true)
  const { code, stdout } = await rehash('--json')
  expect(code).toBe(0)
  expect(JSON.parse(stdout)).toMatchObject({
    trees: [{ hash: 'sha3-256', state: 'kept', vkey, bound: { index: 600, size: 600 } }],
  })
  const verify = await serviceFsCommand(['verify', daemon.dir, '--vkey', await daemon.vkey()])
  expect([verify.code, verify.stderr]).toEqual([0, ''])
  expect(verify.stdout).toContain('sha3-256')
})

it('rehash refuses an unknown hash', async () => {
  const { code, stderr } = await rehash('--hash', 'md5')
  expect(code).toBe(2)
  expect(stderr).toContain('sha3-256, sha2-512, blake3')
})

it('rehash builds the tree of a tenant of a host', async () => {
  const host = await startHost({ tenants: ['acme', 'globex'] })
  try {
    const prefix = `${host.url}t/acme/`
    await fill(prefix, 300)
    const { code, stdout, stderr } = await serviceFsCommand([
      'rehash',
      '--hash',
      'blake3',
      '--json',
      '--url',
      prefix,
    ])
    expect(code, stderr).toBe(0)
    expect(JSON.parse(stdout)).toMatchObject({
      hash: 'blake3',
      state: 'kept',
      bound: { index: 300, size: 300 },
    })
    const other = await host.fetch('globex', '/v1/trees')
    expect(await other.json()).toEqual({ trees: [] })
    expect(await host.kill()).toBe(0)
    const verify = await serviceFsCommand(['verify', join(host.root, 'acme')])
    expect([verify.code, verify.stderr]).toEqual([0, ''])
  } finally {
    await host.dispose()
  }
})
