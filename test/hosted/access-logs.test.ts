// Tests the log lines about access: changes of tokens and certificates, a rejected change, bursts of wrong credentials.
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { request } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { X509Certificate } from 'node:crypto'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { serviceFsCommand } from '../support/daemon.ts'
import { makeCertificate, startServing, type Serving } from '../support/serve.ts'

type Line = Record<string, unknown>

let dir = ''
let access = ''
let daemon: Serving
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'fs-access-logs-'))
  access = join(dir, 'access.json')
  makeCertificate(dir)
  const tls = { certificate: 'cert.pem', key: 'key.pem' }
  await writeFile(access, JSON.stringify({ access: { tokens: 'tokens.json' }, tls }), { mode: 0o600 })
})
afterEach(async () => {
  await daemon.stop()
  await rm(dir, { recursive: true, force: true })
})

/** Runs `service-fs token` and returns its JSON output. */
async function token(...args: string[]): Promise<Line> {
  const done = await serviceFsCommand(['token', ...args, '--config', access, '--json'])
  if (done.code !== 0) throw new Error(done.stderr)
  return JSON.parse(done.stdout) as Line
}

const add = (name: string): Promise<Line> =>
  token('add', '--tenant', 'test', '--roles', 'append,read', '--name', name)

function logged(message: string): Line[] {
  const lines = daemon
    .stderr()
    .split('\n')
    .filter((line) => line !== '')
  return lines.map((line) => JSON.parse(line) as Line).filter((line) => line['message'] === message)
}

const certificate = async (): Promise<Line> => {
  const { fingerprint256, validTo } = new X509Certificate(await readFile(join(dir, 'cert.pem')))
  return { fingerprint256, not_after: new Date(validTo).toISOString() }
}

/** The status of a request with a token. */
function status(text: string): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const headers = { authorization: `Bearer ${text}`, host: 'localhost' }
    const place = { host: '127.0.0.1', port: daemon.port, path: '/t/test/v1/checkpoint' }
    request({ ...place, headers, rejectUnauthorized: false, agent: false }, (response) => {
      response.resume().once('end', () => resolve(response.statusCode))
    })
      .once('error', reject)
      .end()
  })
}

it('the daemon logs each change of access that it applies or rejects, with the subject and without a secret', async () => {
  const first = await add('first')
  daemon = await startServing(join(dir, 'root'), ['--access', access])
  expect(logged('access is in force')).toMatchObject([{ tokens: 1, ...(await certificate()) }])

  const second = await add('second')
  const shown = { for: 'test', roles: 'append read' }
  await expect
    .poll(() => logged('token added'))
    .toMatchObject([
      { token_id: second['id'], subject: 'token:second', expires: expect.any(String), ...shown },
    ])

  await token('revoke', String(first['id']))
  await expect
    .poll(() => logged('token revoked'))
    .toMatchObject([{ token_id: first['id'], subject: 'token:first', revoked: expect.any(String), ...shown }])

  makeCertificate(dir)
  await expect.poll(() => logged('TLS certificate changed')).toMatchObject([await certificate()])

  await writeFile(join(dir, 'tokens.json'), 'not JSON')
  const isRefused = (): boolean =>
    daemon.stderr().includes('this change was refused; the previous access settings stay in force')
  await expect.poll(isRefused).toBe(true)
  expect(await status(String(second['token']))).toBe(200)
  for (const secret of [first['token'], second['token']]) expect(daemon.stderr()).not.toContain(secret)
})

it('the daemon logs one line per address and per token when a burst of wrong credentials begins, and the count when it ends', async () => {
  const good = await add('robot')
  daemon = await startServing(join(dir, 'root'), ['--access', access])
  const wrong = `fs_${String(good['id'])}_${'A'.repeat(43)}`
  const got = await Promise.all(Array.from({ length: 40 }, () => status(wrong)))
  expect(new Set(got)).toEqual(new Set([401]))
  expect(await status(String(good['token']))).toBe(200)
  const lines = logged('many requests without valid credentials')
  expect(lines.map(({ address, subject }) => address ?? subject)).toEqual(['127.0.0.1', 'token:robot'])
  await daemon.stop()
  const over = logged('no more requests without valid credentials')
  expect(over.map(({ count }) => count)).toEqual([40, 40])
  expect(daemon.stderr()).not.toContain(wrong)
})
