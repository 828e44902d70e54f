import { mkdtemp, rm } from 'node:fs/promises'
import {
  createServer,
  request as httpRequest,
  type IncomingHttpHeaders,
  type IncomingMessage,
} from 'node:http'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { Problem } from '@service-fs/wire/problem'
import { HostedError } from '@service-fs/http/errors'
import { startHttp, type HttpServer, type Identity } from '@service-fs/http/http'
import { openTenant, type Tenant } from '../tenant/tenant.ts'
import { startFront, type FrontOptions } from './front.ts'
import { identityOf } from './identity-headers.ts'

let dir: string
const opened: { tenant: Tenant; http: HttpServer }[] = []
const sockets = new Map<string, string>()
const uses: string[] = []
const tenants: FrontOptions['tenants'] = {
  has: (moduleId) => sockets.has(moduleId),
  reach: async (moduleId) => {
    const socket = sockets.get(moduleId)
    if (socket === undefined) throw new HostedError('no-tenant', moduleId)
    if (socket === '') throw new HostedError('tenant-unavailable', moduleId)
    return socket
  },
  began: (moduleId) => void uses.push(`+${moduleId}`),
  ended: (moduleId) => void uses.push(`-${moduleId}`),
}
const open = { open: true, check: async () => ({ subject: 'anonymous', roles: undefined }) }
let front: HttpServer

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'front-'))
  for (const moduleId of ['acme', 'beta']) {
    const tenant = await openTenant({ moduleId, root: dir })
    const path = join(dir, `${moduleId}.sock`)
    const http = await startHttp({ path }, { wire: tenant.wire, authenticate: identityOf })
    opened.push({ tenant, http })
    sockets.set(moduleId, path)
  }
  front = await start()
})
afterAll(async () => {
  await front.stop(1000)
  for (const { tenant, http } of opened) {
    await http.stop(1000)
    await tenant.close()
  }
  await rm(dir, { recursive: true, force: true })
})

const report = (error: unknown): void => {
  throw error
}

function start(options: Partial<FrontOptions> = {}): Promise<HttpServer> {
  return startFront({ listen: { host: '127.0.0.1', port: 0 }, access: open, tenants, report, ...options })
}

interface Got {
  status: number
  headers: IncomingHttpHeaders
  text: string
  json: Record<string, unknown>
}

interface Ask {
  method?: string
  headers?: Record<string, string>
  body?: string | Buffer
  url?: string
}

function ask(path: string, { method = 'GET', headers = {}, body, url = front.url }: Ask = {}): Promise<Got> {
  return new Promise((resolve, reject) => {
    const sent = httpRequest(
      { port: new URL(url).port, host: '127.0.0.1', path, method, headers, agent: false },
      (response) => {
        whole(response).then((text) => {
          const isJson = String(response.headers['content-type']).includes('json')
          const json = isJson && text !== '' ? JSON.parse(text) : {}
          resolve({ status: response.statusCode ?? 0, headers: response.headers, text, json })
        }, reject)
      },
    )
    sent.on('error', reject)
    sent.end(body)
  })
}

async function whole(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of response as AsyncIterable<Buffer>) chunks.push(chunk)
  return Buffer.concat(chunks).toString()
}

const append = (moduleId: string, id: string, payload: unknown, more: Ask = {}): Promise<Got> =>
  ask(`/t/${moduleId}/v1/append`, {
    method: 'POST',
    body: JSON.stringify({ payload_id: id, payload }),
    ...more,
    headers: { 'content-type': 'application/json', ...more.headers },
  })

const as = (identity: Identity | Problem): Partial<FrontOptions> => ({
  access: { open: false, check: async () => identity },
})

it('the front forwards by header and by path prefix, only to the named tenant', async () => {
  expect((await append('acme', 'one', { a: 1 })).status).toBe(200)
  const got = await ask('/v1/records/one', { headers: { 'x-foundry-module-id': 'acme' } })
  expect(got.json).toMatchObject({ payload_id: 'one', payload: { a: 1 } })
  expect(got.headers['x-audit-index']).toBeDefined()
  expect((await ask('/t/beta/v1/records/one')).json['code']).toBe('not-found')
  expect((await ask('/t/acme/v1/records/one', { method: 'HEAD' })).headers['content-length']).toBe(
    got.headers['content-length'],
  )
})

it.each([
  ['/v1/entries', {}, 400, 'module-id-missing'],
  ['/v1/nothing', {}, 404, 'no-route'],
  ['/v1/entries', { 'x-foundry-module-id': 'nobody' }, 404, 'no-tenant'],
  ['/t/..%2facme/v1/entries', {}, 404, 'no-tenant'],
  ['/t/%zz/v1/entries', {}, 400, 'bad-request'],
  ['/t/acme/v1/entries', { 'x-foundry-module-id': 'beta' }, 400, 'module-id-ambiguous'],
  ['/t/acme/v1/entries', { host: 'evil.example' }, 421, 'misdirected'],
  ['/metrics', {}, 404, 'no-route'],
])('%s %j: %i %s', async (path, headers, status, code) => {
  const got = await ask(path, { headers })
  expect([got.status, got.json['code']]).toEqual([status, code])
})

it('the front answers requests without a tenant itself', async () => {
  const own = await start({
    metrics: async () => ({ contentType: 'text/plain', text: 'up 1\n' }),
    readiness: () => ({ separate_users: false }),
  })
  expect((await ask('/healthz', { url: own.url })).json).toEqual({ alive: true })
  expect((await ask('/readyz', { url: own.url })).json).toEqual({ ready: true, separate_users: false })
  expect((await ask('/metrics', { url: own.url })).text).toBe('up 1\n')
  const posted = await ask('/healthz', { url: own.url, method: 'POST', body: 'x' })
  expect([posted.status, posted.headers['allow']]).toEqual([405, 'GET, HEAD'])
  await own.stop(1000)
})

it('the front passes the identity to the tenant, and drops identity headers of clients', async () => {
  const reader = await start(as({ subject: 'Zoë', roles: ['read'] }))
  const lie = { 'x-service-fs-subject': 'root', 'x-service-fs-roles': 'append,examine', connection: 'close' }
  const refused = await append('acme', 'no', 1, { url: reader.url, headers: lie })
  expect([refused.status, refused.json['code']]).toEqual([403, 'forbidden'])
  const got = await ask('/t/acme/v1/checkpoint', { url: reader.url, headers: lie })
  const entry = await opened[0]?.tenant.audit.record(Number(got.headers['x-audit-index']))
  expect(JSON.parse(Buffer.from(entry?.payload ?? []).toString())).toMatchObject({ subject: 'Zoë' })
  await reader.stop(1000)
})

it('the front answers 401 without credentials, and does not contact the tenant', async () => {
  const closed = await start(as(new Problem('unauthenticated', 'no')))
  uses.length = 0
  const got = await ask('/t/acme/v1/entries', { url: closed.url })
  expect([got.status, got.headers['www-authenticate'], uses]).toEqual([401, 'Bearer realm="service-fs"', []])
  await closed.stop(1000)
})

it('the front forwards a large record both ways, and refuses one that is too large', async () => {
  const body = Buffer.alloc(16 * 2 ** 20, 'x')
  const headers = { 'x-payload-id': 'big', 'content-type': 'text/plain' }
  const put = await ask('/t/acme/v1/append', { method: 'POST', headers, body })
  expect(put.status).toBe(200)
  const got = await ask('/t/acme/v1/records/big')
  expect(Buffer.from(String(got.json['payload_base64']), 'base64').equals(body)).toBe(true)
  const over = { 'x-payload-id': 'bigger', 'content-length': String(20 * 2 ** 20) }
  const refused = await ask('/t/acme/v1/append', {
    method: 'POST',
    headers: over,
    body: Buffer.alloc(20 * 2 ** 20),
  })
  expect([refused.status, refused.json['code']]).toEqual([413, 'too-large'])
  const chunked = { 'x-payload-id': 'bigger', 'transfer-encoding': 'chunked' }
  const late = await ask('/t/acme/v1/append', {
    method: 'POST',
    headers: chunked,
    body: Buffer.alloc(20 * 2 ** 20),
  })
  expect([late.status, late.json['code']]).toEqual([413, 'too-large'])
})

it('the front sends 100 Continue to a client that waits for it', async () => {
  const text = await new Promise<string>((resolve, reject) => {
    const socket = connect(Number(new URL(front.url).port), '127.0.0.1', () =>
      socket.write(
        'POST /t/acme/v1/append HTTP/1.1\r\nHost: localhost\r\nX-Payload-ID: c\r\nContent-Length: 3\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n',
      ),
    )
    let got = ''
    socket.setEncoding('utf8')
    socket.on('data', (chunk: string) => {
      if (got === '') socket.write('abc')
      got += chunk
    })
    socket.on('error', reject)
    socket.on('close', () => resolve(got))
  })
  expect(text).toMatch(/^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 OK/)
})

it('the front does not record a truncated body', async () => {
  const size = opened[1]?.tenant.ledger.size
  const { port } = new URL(front.url)
  await new Promise((resolve) => {
    const socket = connect(Number(port), '127.0.0.1', () =>
      socket.write(
        'POST /t/beta/v1/append HTTP/1.1\r\nHost: localhost\r\nX-Payload-ID: half\r\nContent-Length: 1000\r\n\r\nabc',
        () => setTimeout(() => socket.destroy(), 100),
      ),
    )
    socket.on('close', resolve)
  })
  expect((await ask('/t/beta/v1/records/half')).status).toBe(404)
  expect(opened[1]?.tenant.ledger.size).toBe(size)
})

it('the front answers 503 for a tenant that does not start, or does not listen in time', async () => {
  sockets.set('ill', '').set('gone', join(dir, 'gone.sock'))
  const patient = await start({ limits: { reachTimeout: 300 } })
  for (const moduleId of ['ill', 'gone']) {
    const got = await append(moduleId, 'x', 1, { url: patient.url })
    expect([got.status, got.json['code'], got.headers['retry-after']]).toEqual([
      503,
      'tenant-unavailable',
      '1',
    ])
  }
  await patient.stop(1000)
})

it('the front sends an unsent request with its body once the process listens', async () => {
  const path = join(dir, 'late.sock')
  sockets.set('acme2', path)
  const asked = append('acme2', 'late', 'x'.repeat(100_000))
  await new Promise((resolve) => void setTimeout(resolve, 300))
  const seen: string[] = []
  const server = createServer((raw, out) => {
    whole(raw).then(
      (text) => {
        seen.push(text)
        out.end('{}')
      },
      () => undefined,
    )
  })
  await new Promise<void>((resolve) => void server.listen(path, resolve))
  expect((await asked).status).toBe(200)
  expect(seen).toHaveLength(1)
  expect(JSON.parse(seen[0] ?? '')).toMatchObject({ payload_id: 'late' })
  server.closeAllConnections()
  server.close()
})

it('the front survives clients that disconnect while their tenant is unreachable', async () => {
  sockets.set('absent', join(dir, 'absent.sock'))
  const patient = await start({ limits: { reachTimeout: 1500 } })
  const port = Number(new URL(patient.url).port)
  const clients = [100, 700].map((ms) => {
    const client = connect(port, '127.0.0.1', () =>
      client.write(
        'POST /t/absent/v1/append HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nabc',
        () => setTimeout(() => client.resetAndDestroy(), ms),
      ),
    )
    return client.on('error', () => undefined)
  })
  await Promise.all(clients.map((client) => new Promise((resolve) => client.once('close', resolve))))
  expect((await ask('/t/acme/v1/checkpoint', { url: patient.url })).status).toBe(200)
  await new Promise((resolve) => void setTimeout(resolve, 1200))
  await patient.stop(1000)
})

it('the front does not retry a request that may have been sent', async () => {
  const path = join(dir, 'dies.sock')
  sockets.set('dies', path)
  let requests = 0
  const server = createServer((raw) => {
    requests += 1
    raw.resume().once('end', () => raw.socket.destroy())
  })
  await new Promise<void>((resolve) => void server.listen(path, resolve))
  for (const method of ['POST', 'GET']) {
    const posted = { method, body: 'x', headers: { 'x-payload-id': 'a' } }
    const got = await (method === 'POST' ? ask('/t/dies/v1/append', posted) : ask('/t/dies/v1/checkpoint'))
    expect([got.status, got.json['code']]).toEqual([503, 'tenant-unavailable'])
  }
  expect(requests).toBe(2)
  server.close()
})

it('the front does not complete a truncated response', async () => {
  const path = join(dir, 'half.sock')
  sockets.set('half', path)
  const server = createServer((raw, out) => {
    out.writeHead(200, { 'content-type': 'text/plain' })
    out.write('half of it')
    setTimeout(() => raw.socket.destroy(), 50)
  })
  await new Promise<void>((resolve) => void server.listen(path, resolve))
  await expect(ask('/t/half/v1/checkpoint')).rejects.toThrow('aborted')
  server.close()
})

it('the front limits the concurrent requests of one tenant, but not those of others', async () => {
  const path = join(dir, 'slow.sock')
  sockets.set('slow', path)
  const waiting: (() => void)[] = []
  const server = createServer((_, out) => void waiting.push(() => out.end('done')))
  await new Promise<void>((resolve) => void server.listen(path, resolve))
  const limited = await start({ limits: { maxUnderWay: 3 } })
  const { url } = limited
  const asked = [1, 2, 3].map(() => ask('/t/slow/v1/checkpoint', { url }))
  await expect.poll(() => waiting.length).toBe(3)
  const more = await ask('/t/slow/v1/checkpoint', { url })
  expect([more.status, more.json['code'], more.headers['connection']]).toEqual([503, 'busy', 'close'])
  expect((await ask('/t/acme/v1/checkpoint', { url })).status).toBe(200)
  for (const done of waiting) done()
  for (const one of asked) expect((await one).text).toBe('done')
  server.closeAllConnections()
  server.close()
  await limited.stop(1000)
})

it('the front forwards events at once, limits streams separately, and ends them when the client leaves or the front stops', async () => {
  const path = join(dir, 'events.sock')
  sockets.set('events', path)
  const streams = new Set<{ write(text: string): unknown }>()
  const server = createServer((_, out) => {
    out.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' })
    out.flushHeaders()
    streams.add(out)
    out.once('close', () => streams.delete(out))
  })
  await new Promise<void>((resolve) => void server.listen(path, resolve))
  const limited = await start({ limits: { maxUnderWay: 1, maxStreams: 2 } })
  const follow = (): Promise<IncomingMessage> =>
    new Promise((resolve, reject) => {
      const { port } = new URL(limited.url)
      httpRequest({ port, host: '127.0.0.1', path: '/t/events/v1/follow', agent: false }, resolve)
        .on('error', reject)
        .end()
    })
  const first = await follow()
  const second = await follow()
  const third = await ask('/t/events/v1/follow', { url: limited.url })
  expect([third.status, third.json['code']]).toEqual([503, 'busy'])
  await expect.poll(() => streams.size).toBe(2)
  const event = new Promise((resolve) => first.once('data', (chunk: Buffer) => resolve(chunk.toString())))
  for (const stream of streams) stream.write('data: 1\n\n')
  expect(await event).toBe('data: 1\n\n')
  second.destroy()
  await expect.poll(() => streams.size).toBe(1)
  const ended = new Promise((resolve) => first.once('end', () => resolve(first.complete)))
  first.resume()
  await limited.stop(5000)
  expect(await ended).toBe(true)
  await expect.poll(() => streams.size).toBe(0)
  server.close()
})

it('the front does not buffer the response for a slow client', async () => {
  const path = join(dir, 'much.sock')
  sockets.set('much', path)
  let written = 0
  const server = createServer((_, out) => {
    const chunk = Buffer.alloc(64 * 1024)
    const fill = (): void => {
      while (written < 64 * 2 ** 20) {
        written += chunk.length
        if (!out.write(chunk)) {
          out.once('drain', fill)
          return
        }
      }
      out.end()
    }
    fill()
  })
  await new Promise<void>((resolve) => void server.listen(path, resolve))
  const response = await new Promise<IncomingMessage>((resolve) => {
    const { port } = new URL(front.url)
    httpRequest({ port, host: '127.0.0.1', path: '/t/much/v1/checkpoint', agent: false }, resolve).end()
  })
  await new Promise((resolve) => void setTimeout(resolve, 500))
  expect(written).toBeLessThan(16 * 2 ** 20)
  let got = 0
  for await (const chunk of response as AsyncIterable<Buffer>) got += chunk.length
  expect(got).toBe(64 * 2 ** 20)
  server.closeAllConnections()
  server.close()
})

it('the front reports the beginning and the end of each request', () => {
  const balance = new Map<string, number>()
  for (const use of uses)
    balance.set(use.slice(1), (balance.get(use.slice(1)) ?? 0) + (use[0] === '+' ? 1 : -1))
  expect([...balance.values()].every((count) => count === 0)).toBe(true)
})
