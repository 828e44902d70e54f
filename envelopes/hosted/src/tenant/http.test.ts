import { EventEmitter, once } from 'node:events'
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises'
import { request as httpRequest, type IncomingHttpHeaders } from 'node:http'
import { connect, type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gunzipSync, gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startHttp, type HttpOptions, type HttpServer } from '@service-fs/http/http'
import { openTenant, type Tenant } from './tenant.ts'

let root: string
let tenant: Tenant
let http: HttpServer

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'http-'))
  tenant = await openTenant({ moduleId: 'acme', root })
  // This server has the default timeouts, which are long: a request arrives in time even on a slow machine.
  http = await serve({ maxHeaderBytes: 4096, maxConnections: 64 })
})
afterAll(async () => {
  await http.stop(1000)
  await tenant.close()
  await rm(root, { recursive: true, force: true })
})

function serve(options: Partial<HttpOptions> = {}): Promise<HttpServer> {
  return startHttp({ host: '127.0.0.1', port: 0 }, { wire: tenant.wire, ...options })
}

interface Got {
  status: number
  headers: IncomingHttpHeaders
  body: Buffer
}

interface Ask {
  method?: string
  headers?: Record<string, string>
  body?: string | Buffer
  socketPath?: string
  url?: string
}

function ask(
  path: string,
  { method = 'GET', headers = {}, body, socketPath, url = http.url }: Ask = {},
): Promise<Got> {
  return new Promise((resolve, reject) => {
    const where = socketPath === undefined ? { port: new URL(url).port, host: '127.0.0.1' } : { socketPath }
    const sent = httpRequest(
      { ...where, path, method, headers: { 'x-foundry-module-id': 'acme', ...headers }, agent: false },
      (response) => {
        const chunks: Buffer[] = []
        response.on('data', (chunk: Buffer) => chunks.push(chunk))
        response.on('end', () =>
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            body: Buffer.concat(chunks),
          }),
        )
      },
    )
    sent.on('error', reject)
    sent.end(body)
  })
}

/** Sends raw bytes and collects the response until the connection closes. */
function raw(text: string, url: string = http.url): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(Number(new URL(url).port), '127.0.0.1', () => socket.write(text))
    let got = ''
    socket.setEncoding('utf8')
    socket.on('data', (chunk: string) => (got += chunk))
    socket.on('error', reject)
    socket.on('close', () => resolve(got))
  })
}

const append = (id: string, payload: unknown): Promise<Got> =>
  ask('/v1/append', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ payload_id: id, payload }),
  })
const code = (got: Got): unknown => JSON.parse(got.body.toString()).code

const declared = (length: number, more = ''): string =>
  `POST /v1/append HTTP/1.1\r\nHost: x\r\nX-Foundry-Module-ID: acme\r\nX-Payload-ID: big\r\nContent-Length: ${length}\r\n${more}\r\n`

describe('over a socket', () => {
  it('appends and reads', async () => {
    expect((await append('one', { a: 1 })).status).toBe(200)
    const got = await ask('/v1/records/one')
    expect(JSON.parse(got.body.toString())).toMatchObject({ payload_id: 'one', payload: { a: 1 } })
    expect(got.headers['x-audit-index']).toBeDefined()
    expect(got.headers['x-foundry-request-id']).toBeDefined()
  })

  it('answers HEAD with the headers of GET and no body', async () => {
    await append('head', 'x'.repeat(3000))
    const [get, head] = [await ask('/v1/records/head'), await ask('/v1/records/head', { method: 'HEAD' })]
    expect([head.status, head.body.length]).toEqual([200, 0])
    expect(head.headers['content-length']).toBe(get.headers['content-length'])
    expect(Number(head.headers['x-audit-index'])).toBe(Number(get.headers['x-audit-index']) + 1)
  })

  it('reads a body of several chunks without Content-Length', async () => {
    const socket = raw(
      'POST /t/acme/v1/append HTTP/1.1\r\nHost: x\r\nX-Payload-ID: chunks\r\nContent-Type: a/b\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n' +
        '3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n',
    )
    expect(await socket).toMatch(/^HTTP\/1\.1 200 OK/)
    expect(JSON.parse((await ask('/v1/records/chunks')).body.toString())).toMatchObject({
      payload_base64: Buffer.from('abcdefg').toString('base64'),
    })
  })

  it('compresses with gzip for a client that accepts it', async () => {
    await append('zip', 'x'.repeat(5000))
    const plain = await ask('/v1/records/zip')
    expect(plain.headers['content-encoding']).toBeUndefined()
    expect(plain.headers.vary).toBe('accept-encoding')
    const packed = await ask('/v1/records/zip', { headers: { 'accept-encoding': 'br;q=1, gzip' } })
    expect(packed.headers['content-encoding']).toBe('gzip')
    expect(packed.body.length).toBeLessThan(1000)
    expect(gunzipSync(packed.body)).toEqual(plain.body)
    const refused = await ask('/v1/records/zip', { headers: { 'accept-encoding': 'gzip;q=0' } })
    expect(refused.headers['content-encoding']).toBeUndefined()
    const tile = await ask('/tile/0/000.p/1', { headers: { 'accept-encoding': 'gzip' } })
    expect([tile.status, tile.headers['content-encoding'], tile.headers.vary]).toEqual([
      200,
      undefined,
      undefined,
    ])
  })

  it('passes every method and target to the wire', async () => {
    expect([
      (await ask('/v1/append', { method: 'PUT', body: 'x' })).status,
      code(await ask('/nothing')),
    ]).toEqual([405, 'no-route'])
    expect((await ask('/v1/entries', { method: 'PROPFIND' })).status).toBe(405)
    expect((await ask('/v1/records/%zz')).status).toBe(400)
    expect((await ask('//v1/append')).status).toBe(404)
    expect(
      code(await ask('/v1/append', { method: 'POST', body: 'x', headers: { 'content-type': '/' } })),
    ).toBe('bad-request')
  })

  it('metrics', async () => {
    const got = await ask('/metrics')
    expect(got.headers['content-type']).toContain('text/plain')
    const text = got.body.toString()
    expect(text).toContain(`service_fs_tree_size{ledger="main",tenant="acme"} ${tenant.ledger.size}`)
    expect(text).toMatch(/^service_fs_commit_seconds_count\{.*ledger="main".*\}/m)
    expect(text).toContain('process_resident_memory_bytes')
  })
})

describe('limits', () => {
  it('answers 413 to a body over the limit before it is sent', async () => {
    // The body is never sent.
    const got = await raw(declared(16 * 2 ** 20 + 1))
    expect(got).toMatch(/^HTTP\/1\.1 413 /)
    expect(got).toContain('"code":"too-large"')
    const expecting = await raw(declared(16 * 2 ** 20 + 1, 'Expect: 100-continue\r\n'))
    expect(expecting).toMatch(/^HTTP\/1\.1 413 /)
  })

  it('sends 100 Continue for a body that it reads', async () => {
    const got = raw(`${declared(3, 'Expect: 100-continue\r\nConnection: close\r\n')}abc`)
    expect(await got).toMatch(/^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 OK/)
  })

  it('answers 413 to a body over the limit without Content-Length, and does not buffer it', async () => {
    const before = tenant.ledger.size
    const got = await ask('/v1/append', {
      method: 'POST',
      headers: { 'x-payload-id': 'big', 'transfer-encoding': 'chunked' },
      body: Buffer.alloc(17 * 2 ** 20),
    })
    expect([got.status, code(got)]).toEqual([413, 'too-large'])
    expect(tenant.ledger.size).toBe(before)
  })

  it('delivers the 413 to a client that sends the whole body anyway', async () => {
    const got = await ask('/v1/append', {
      method: 'POST',
      headers: { 'x-payload-id': 'big', 'content-length': String(20 * 2 ** 20) },
      body: Buffer.alloc(20 * 2 ** 20),
    })
    expect(got.status).toBe(413)
  })

  it('accepts a payload of exactly the limit', async () => {
    const got = await ask('/v1/append', {
      method: 'POST',
      headers: { 'x-payload-id': 'full' },
      body: Buffer.alloc(16 * 2 ** 20, 1),
    })
    expect(got.status).toBe(200)
  })

  it('answers 503 with Retry-After when too many bodies arrive at once', async () => {
    const small = await serve({ maxBodyBytes: 1000 })
    const got = await ask('/v1/append', {
      method: 'POST',
      headers: { 'x-payload-id': 'x' },
      body: Buffer.alloc(1001),
      url: small.url,
    })
    expect([got.status, got.headers['retry-after'], code(got)]).toEqual([503, '1', 'busy'])
    const fits = {
      method: 'POST',
      headers: { 'x-payload-id': 'fits' },
      body: Buffer.alloc(900),
      url: small.url,
    }
    for (let i = 0; i < 3; i++) expect((await ask('/v1/append', fits)).status).toBe(200)
    await small.stop(1000)
  })

  it('answers 431 to headers over the limit', async () => {
    const got = await raw(`GET /healthz HTTP/1.1\r\nHost: x\r\nX-Long: ${'x'.repeat(5000)}\r\n\r\n`)
    expect(got).toMatch(/^HTTP\/1\.1 431 /)
    expect(got).toContain('"code":"headers-too-large"')
  })

  it('answers 400 to bytes that are not HTTP', async () => {
    const got = await raw('HELLO\r\n\r\n')
    expect(got).toMatch(/^HTTP\/1\.1 400 /)
    expect(got).toContain('application/problem+json')
  })

  it('answers 408 to a client that does not finish its head or its body', async () => {
    const impatient = await serve({ headersTimeout: 400, requestTimeout: 800 })
    const head = await raw('GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: ', impatient.url)
    expect(head).toMatch(/^HTTP\/1\.1 408 /)
    const body = await raw(`${declared(1000)}abc`, impatient.url)
    expect(body).toMatch(/^HTTP\/1\.1 408 /)
    await impatient.stop(1000)
  })

  it('disconnects a client that sends nothing', async () => {
    const impatient = await serve({ idleTimeout: 300 })
    expect(await raw('', impatient.url)).toBe('')
    await impatient.stop(1000)
  })

  it('survives a client that disconnects within its body', async () => {
    const before = tenant.ledger.size
    const { port } = new URL(http.url)
    const socket = connect(Number(port), '127.0.0.1', () =>
      socket.write(`${declared(1000)}abc`, () => socket.destroy()),
    )
    await new Promise((resolve) => void socket.on('close', resolve))
    expect((await ask('/healthz')).status).toBe(200)
    expect(tenant.ledger.size).toBe(before)
  })
})

it('the server evicts an idle connection for a new one', async () => {
  const full = await serve({ maxConnections: 8 })
  const port = Number(new URL(full.url).port)
  for (let i = 0; i < 20; i++) {
    const socket = connect(port, '127.0.0.1', () =>
      socket.write('GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n'),
    )
    const [answer] = (await once(socket, 'data')) as [Buffer]
    expect(answer.toString()).toMatch(/^HTTP\/1\.1 200 OK/)
  }
  await full.stop(1000)
})

describe('a unix socket', () => {
  it('serves the owner of the socket, replaces a stale socket, and keeps a socket in use', async () => {
    const path = join(root, 'acme.sock')
    const first = await startHttp({ path }, { wire: tenant.wire })
    expect(first.url).toBe(`unix:${path}`)
    expect((await stat(path)).mode & 0o777).toBe(0o600)
    expect((await ask('/healthz', { socketPath: path })).status).toBe(200)
    await expect(startHttp({ path }, { wire: tenant.wire })).rejects.toMatchObject({ code: 'listen' })
    await first.stop(1000)

    const file = join(root, 'file')
    await writeFile(file, '')
    await expect(startHttp({ path: file }, { wire: tenant.wire })).rejects.toMatchObject({ code: 'listen' })
  })
})

function appendCoded(body: Buffer, headers: Record<string, string>): Promise<Got> {
  return ask('/v1/append', { method: 'POST', body, headers: { 'content-encoding': 'gzip', ...headers } })
}

describe('a body with Content-Encoding: gzip', () => {
  const json = { 'content-type': 'application/json' }
  const ndjson = { 'content-type': 'application/x-ndjson' }

  it('accepts a batch as log shippers send it', async () => {
    const lines = Array.from({ length: 1000 }, (_, i) => `{"payload_id":"line-${i}","payload":{"i":${i}}}\n`)
    const got = await appendCoded(gzipSync(lines.join('')), ndjson)
    const { entries } = JSON.parse(String(got.body)) as { entries: { payload_id: string }[] }
    expect([got.status, entries.length, entries[999]?.payload_id]).toEqual([200, 1000, 'line-999'])
    const again = await appendCoded(gzipSync(lines.slice(0, 1).join('')), {
      ...ndjson,
      'content-encoding': 'X-GZip',
    })
    expect(String(again.body)).toContain('"duplicate":true')
  })

  it('limits the size of the body both before and after decoding', async () => {
    const { size } = tenant.ledger
    const limit = tenant.wire.limits.maxPayload
    const id = { 'x-payload-id': 'zeros', 'content-type': 'a/b' }
    const over = await appendCoded(gzipSync(Buffer.alloc(limit + 1)), id)
    expect([over.status, String(over.body)]).toEqual([413, expect.stringContaining(`at most ${limit} bytes`)])
    const torn = await appendCoded(gzipSync('{"payload_id":"a","payload":1}').subarray(0, 30), json)
    expect([torn.status, JSON.parse(String(torn.body))]).toMatchObject([400, { field: 'body' }])
    const plain = await appendCoded(Buffer.from('{"payload_id":"a","payload":1}'), json)
    expect([plain.status, JSON.parse(String(plain.body))]).toMatchObject([400, { field: 'body' }])
    expect(tenant.ledger.size).toBe(size)
  })

  it('rejects another coding before it reads the body', async () => {
    const port = Number(new URL(http.url).port)
    const socket = connect(port, '127.0.0.1')
    socket.write(
      'POST /v1/append HTTP/1.1\r\nHost: localhost\r\nX-Foundry-Module-ID: acme\r\nContent-Type: application/json\r\n' +
        'Content-Encoding: br\r\nContent-Length: 1000\r\nExpect: 100-continue\r\n\r\n',
    )
    const [first] = (await once(socket, 'data')) as [Buffer]
    socket.destroy()
    expect(String(first)).toMatch(/^HTTP\/1\.1 415 .*\r\naccept-encoding: gzip\r\n/is)
  })
})

describe('stopping', () => {
  it('rejects a port in use', async () => {
    const other = createServer()
    await new Promise<void>((resolve) => void other.listen(0, '127.0.0.1', resolve))
    const { port } = other.address() as AddressInfo
    await expect(startHttp({ host: '127.0.0.1', port }, { wire: tenant.wire })).rejects.toMatchObject({
      code: 'listen',
    })
    other.close()
  })

  it('answers requests in progress with Connection: close when it stops', async () => {
    const gate = new EventEmitter()
    const slow: HttpOptions['wire'] = {
      ...tenant.wire,
      async handle(request) {
        gate.emit('handling')
        await once(gate, 'open')
        return tenant.wire.handle(request)
      },
    }
    const server = await serve({ wire: slow })
    const handling = once(gate, 'handling')
    const asked = ask('/healthz', { url: server.url, headers: { connection: 'keep-alive' } })
    await handling
    const stopped = server.stop(5000)
    await expect(ask('/healthz', { url: server.url })).rejects.toThrow('ECONNREFUSED')
    gate.emit('open')
    const got = await asked
    expect([got.status, got.headers.connection]).toEqual([200, 'close'])
    await stopped
    await expect(ask('/healthz', { url: server.url })).rejects.toThrow('ECONNREFUSED')
  })

  it('does not wait for silent or idle connections when it stops', async () => {
    const server = await serve()
    const port = Number(new URL(server.url).port)
    const silent = connect(port, '127.0.0.1')
    const idle = connect(port, '127.0.0.1', () =>
      idle.write('GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n'),
    )
    await Promise.all([once(silent, 'connect'), once(idle, 'data')])
    // If the server waited, the test would time out.
    await server.stop(600_000)
  })

  it('closes connections that are still open when the time to stop is over', async () => {
    let begun!: () => void
    const handling = new Promise<void>((resolve) => (begun = resolve))
    const handle = (): Promise<never> => {
      begun()
      return new Promise(() => undefined)
    }
    const server = await serve({ wire: { ...tenant.wire, handle } })
    const asked = ask('/healthz', { url: server.url }).catch((error: Error) => error)
    await handling
    await server.stop(200)
    expect(await asked).toBeInstanceOf(Error)
  })
})
