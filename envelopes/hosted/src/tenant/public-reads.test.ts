// Tests a daemon with `--public-reads` and credentials, over HTTP.
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { newToken } from '@service-fs/access/tokens'
import { ROUTES } from '@service-fs/wire/routes'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { start, type Daemon } from './daemon.ts'

let root: string
let daemon: Daemon
const appender = newToken()
const reader = newToken()
const lines: string[] = []

/** Writes the tokens with these roles. */
async function writeTokens(...roles: [token: typeof appender, roles: string[]][]): Promise<void> {
  const tokens = roles.map(([{ id, sha256 }, granted]) => ({
    id,
    name: `t${id}`,
    sha256,
    tenant: 'acme',
    roles: granted,
    created: '2026-01-01T00:00:00Z',
  }))
  await writeFile(join(root, 'tokens.json'), JSON.stringify({ tokens }), { mode: 0o600 })
}

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'public-'))
  await writeTokens([appender, ['append']])
  await writeFile(
    join(root, 'access.json'),
    JSON.stringify({ access: { tokens: 'tokens.json', rate: { failuresPerMinute: 10_000 } } }),
    {
      mode: 0o600,
    },
  )
  const listen = { host: '127.0.0.1', port: 0 }
  const place = { moduleId: 'acme', root: join(root, 'data'), listen, origin: undefined }
  const config = { ...place, access: join(root, 'access.json'), publicReads: true }
  daemon = await start(config, (line) => lines.push(line))
  const records = Array.from(
    { length: 256 },
    (_, i) => `${JSON.stringify({ payload_id: `r${i}`, payload: i })}\n`,
  )
  const headers = { 'content-type': 'application/x-ndjson', authorization: `Bearer ${appender.text}` }
  const got = await ask('/v1/append', { method: 'POST', headers, body: records.join('') })
  expect(got.status).toBe(200)
})
afterAll(async () => {
  await daemon.stop()
  await rm(root, { recursive: true, force: true })
})

const ask = (path: string, init: RequestInit = {}): Promise<Response> =>
  fetch(`${daemon.url}t/acme${path}`, init)

/** Returns a path that matches the route and names data in the ledger. */
function pathOf(pattern: string): string {
  return pattern
    .replace('{cursor}', '1')
    .replace('{payload_id}', 'r1')
    .replace('{path...}', '0/000')
    .replace(/inclusion$/, 'inclusion?index=0')
    .replace(/consistency$/, 'consistency?from=1')
}

describe('a daemon with public reads', () => {
  it('answers reads of the ledger without credentials, and nothing else', async () => {
    const before = daemon.tenant.audit.size
    for (const { pattern, permission, audit, streams, method } of ROUTES) {
      if (streams === true) continue
      const isPublic = permission === 'anybody' || (method === 'GET' && !audit && permission.includes('read'))
      const headers = { 'if-none-match': '*', accept: 'application/json' }
      for (const asked of ['GET', 'HEAD', 'POST', 'PUT']) {
        const { status, headers: found } = await ask(pathOf(pattern), { method: asked, headers })
        const isRead = asked === 'GET' || asked === 'HEAD'
        const expected = isRead ? [200, 304] : [405]
        expect([pattern, asked, status]).toEqual([
          pattern,
          asked,
          isPublic && expected.includes(status) ? status : 401,
        ])
        if (!isPublic) expect([pattern, found.get('cache-control')]).toEqual([pattern, 'no-store'])
      }
    }
    expect(daemon.tenant.audit.size).toBe(before)
  })

  it('rejects reads with invalid credentials', async () => {
    for (const authorization of ['Bearer fs_x', `Bearer ${newToken().text}`, `Bearer ${reader.text}`])
      expect((await ask('/v1/entries', { headers: { authorization } })).status).toBe(401)
  })

  it('refuses a changed file that grants the role read, and keeps the previous settings', async () => {
    await writeTokens([appender, ['append']], [reader, ['read']])
    await daemon.reload?.()
    expect(lines.join('')).toContain('--public-reads: expected no credentials with the role read')
    expect((await ask('/v1/entries', { headers: { authorization: `Bearer ${reader.text}` } })).status).toBe(
      401,
    )
    const headers = { 'content-type': 'application/json', authorization: `Bearer ${appender.text}` }
    const body = JSON.stringify({ payload_id: 'r0', payload: 0 })
    const again = await ask('/v1/append', { method: 'POST', headers, body })
    expect([again.status, again.headers.get('x-audit-index'), await again.json()]).toMatchObject([
      200,
      null,
      { duplicate: true },
    ])
    expect((await ask('/v1/entries')).status).toBe(200)
  })
})
