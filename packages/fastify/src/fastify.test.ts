import type { Server } from 'node:http'
import { connect, type AddressInfo } from 'node:net'
import fastify, { type FastifyHttpOptions, type FastifyInstance } from 'fastify'
import { Problem } from '@service-fs/wire/problem'
import { harness, type Harness } from '@service-fs/wire/testing'
import { afterEach, expect, it } from 'vitest'
import { frameworkErrors, serviceFs } from './index.ts'

const TENANT = { 'x-foundry-module-id': 'acme' }
const JSON_TYPE = { 'content-type': 'application/json' }
const RECORD = '{"payload_id":"a","payload":{"n":1}}'

const apps: FastifyInstance[] = []
afterEach(async () => {
  for (const app of apps.splice(0)) await app.close()
})

function create(options: FastifyHttpOptions<Server> = {}): FastifyInstance {
  const app = fastify({ forceCloseConnections: true, ...options })
  apps.push(app)
  return app
}

async function listen(app: FastifyInstance): Promise<string> {
  await app.listen({ host: '127.0.0.1', port: 0 })
  return `http://127.0.0.1:${portOf(app)}`
}

const portOf = (app: FastifyInstance): number => (app.server.address() as AddressInfo).port

async function codeOf(answer: Response): Promise<[number, unknown]> {
  return [answer.status, ((await answer.json()) as { code?: unknown }).code]
}

/** Sends `parts` over a connection, and returns the bytes received until they contain `end`. */
function talk(app: FastifyInstance, parts: readonly string[], end: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(portOf(app), '127.0.0.1')
    const waiting = [...parts]
    let text = ''
    socket.setEncoding('latin1')
    socket.on('error', reject)
    socket.on('close', () => resolve(text))
    socket.on('data', (piece: string) => {
      text += piece
      socket.write(waiting.shift() ?? '')
      if (text.includes(end)) socket.destroy()
    })
    socket.write(waiting.shift() ?? '')
  })
}

it('the plugin serves a wire under its prefix', async () => {
  const app = create()
  const { wire } = await harness()
  app.register(serviceFs, { wire, prefix: '/ledger' })
  const url = await listen(app)
  const headers = { ...TENANT, ...JSON_TYPE }
  const appended = await fetch(`${url}/ledger/v1/append`, { method: 'POST', headers, body: RECORD })
  expect(appended.status).toBe(200)
  const read = await fetch(`${url}/ledger/t/acme/v1/records/a`)
  expect(await read.json()).toMatchObject({ payload: { n: 1 } })
  expect(await codeOf(await fetch(`${url}/ledger`))).toEqual([404, 'no-route'])
  expect(await codeOf(await fetch(`${url}/ledger/nothing?x=1`))).toEqual([404, 'no-route'])
})

it('the plugin does not change the routes outside of its prefix', async () => {
  const app = create()
  const { wire } = await harness()
  app.register(serviceFs, { wire, prefix: '/ledger' })
  app.post('/echo', (request) => ({ got: request.body }))
  app.get('/fails', () => Promise.reject(new Error('no')))
  app.setNotFoundHandler((_request, reply) => reply.code(404).send({ mine: true }))
  const url = await listen(app)
  const echo = await fetch(`${url}/echo`, { method: 'POST', headers: JSON_TYPE, body: '{"a":1}' })
  expect(await echo.json()).toEqual({ got: { a: 1 } })
  expect(await (await fetch(`${url}/fails`)).json()).toMatchObject({ statusCode: 500, message: 'no' })
  for (const path of ['/healthz', '/ledgers', '/ledgersv1/append'])
    expect(await (await fetch(`${url}${path}`)).json()).toEqual({ mine: true })
})

it('the plugin serves two wires at two prefixes', async () => {
  const app = create({ frameworkErrors })
  for (const moduleId of ['acme', 'globex']) {
    const { wire } = await harness(() => ({ moduleId }))
    app.register(serviceFs, { wire, prefix: `/${moduleId}` })
  }
  const url = await listen(app)
  for (const moduleId of ['acme', 'globex']) {
    const contract = await fetch(`${url}/${moduleId}/t/${moduleId}/v1/contract`)
    expect(await contract.json()).toMatchObject({ module_id: moduleId })
    const bad = await fetch(`${url}/${moduleId}/t/${moduleId}/v1/records/%ff`)
    expect(await bad.json()).toMatchObject({ code: 'bad-request', field: 'payload_id' })
  }
  expect(await codeOf(await fetch(`${url}/other/%ff`))).toEqual([400, 'FST_ERR_BAD_URL'])
})

it('the plugin refuses a prefix with parameters', async () => {
  const app = create()
  const { wire } = await harness()
  app.register(serviceFs, { wire, prefix: '/t/:tenant' })
  await expect(app.ready()).rejects.toThrow('prefix: expected a path without parameters, found /t/:tenant')
})

it('the hooks of the application run before the wire', async () => {
  const app = create()
  const { wire, ledger } = await harness()
  const seen: string[] = []
  app.addHook('onRequest', async (_request, reply) => void reply.header('x-app', 'mine'))
  app.addHook('preHandler', async (request, reply) => {
    if (request.headers.authorization === undefined) await reply.code(401).send({ who: 'unknown' })
  })
  app.addHook('onResponse', async (request, reply) => void seen.push(`${request.url} ${reply.statusCode}`))
  app.register(serviceFs, { wire })
  const url = await listen(app)
  const append = (more: Record<string, string>): Promise<Response> =>
    fetch(`${url}/v1/append`, { method: 'POST', headers: { ...TENANT, ...JSON_TYPE, ...more }, body: RECORD })
  expect((await append({})).status).toBe(401)
  expect(ledger.size).toBe(0)
  const answer = await append({ authorization: 'Bearer x' })
  expect([answer.status, answer.headers.get('x-app'), ledger.size]).toEqual([200, 'mine', 1])
  await expect.poll(() => seen).toEqual(['/v1/append 401', '/v1/append 200'])
})

it('the plugin gets the subject of a request from the application before it reads the body', async () => {
  const app = create()
  const { wire, audit } = await harness()
  app.register(serviceFs, {
    wire,
    authenticate(request) {
      const name = request.headers.authorization
      if (name === undefined) return new Problem('unauthenticated', 'expected a name, found none')
      return { subject: name, roles: name === 'reader' ? ['read'] : ['append', 'read', 'examine'] }
    },
  })
  const url = await listen(app)
  const append = (more: Record<string, string>): Promise<Response> =>
    fetch(`${url}/v1/append`, { method: 'POST', headers: { ...TENANT, ...JSON_TYPE, ...more }, body: RECORD })
  expect(await codeOf(await append({}))).toEqual([401, 'unauthenticated'])
  expect(await codeOf(await append({ authorization: 'reader' }))).toEqual([403, 'forbidden'])
  expect((await append({ authorization: 'writer' })).status).toBe(200)
  const read = await fetch(`${url}/v1/records/a`, { headers: { ...TENANT, authorization: 'reader' } })
  expect(read.status).toBe(200)
  const { payload } = await audit.record(0)
  expect(JSON.parse(Buffer.from(payload).toString())).toMatchObject({ subject: 'reader' })
})

it('the plugin refuses a body over the limit before the client sends it', async () => {
  const app = create()
  const { wire } = await harness(() => ({ limits: { maxPayload: 1000 } }))
  app.register(serviceFs, { wire })
  await listen(app)
  const head = `POST /v1/append HTTP/1.1\r\nHost: localhost\r\nX-Foundry-Module-ID: acme\r\nX-Payload-ID: a\r\n`
  const text = await talk(app, [`${head}Content-Length: 1001\r\n\r\n`], '"code":"too-large"')
  expect(text).toMatch(/^HTTP\/1\.1 413 /)
})

it('the plugin sends one 100 Continue to a client that waits for it', async () => {
  const app = create()
  const { wire } = await harness()
  app.register(serviceFs, { wire })
  await listen(app)
  const head = `POST /v1/append HTTP/1.1\r\nHost: localhost\r\nX-Foundry-Module-ID: acme\r\nConnection: close\r\n`
  const length = `Content-Type: application/json\r\nContent-Length: ${RECORD.length}\r\n`
  const text = await talk(app, [`${head}${length}Expect: 100-continue\r\n\r\n`, RECORD], '"cursor"')
  expect(text.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 100', 'HTTP/1.1 200'])
})

it('the plugin leaves the Content-Type to the wire', async () => {
  const app = create({ frameworkErrors })
  const { wire } = await harness()
  app.register(serviceFs, { wire, prefix: '/ledger' })
  const url = await listen(app)
  const append = async (type: string): Promise<[number, unknown]> => {
    const headers = { ...TENANT, 'content-type': type, 'x-payload-id': type }
    return codeOf(await fetch(`${url}/ledger/v1/append`, { method: 'POST', headers, body: 'text' }))
  }
  const direct = await harness()
  for (const type of ['nonsense', 'text/plain', 'a/b; c', '/', 'application/json']) {
    const headers = { 'content-type': type, 'x-payload-id': type }
    const expected = await direct.ask('/v1/append', { method: 'POST', headers, body: 'text' })
    expect([type, await append(type)]).toEqual([type, [expected.status, expected.json.code]])
  }
})

it('the plugin answers methods that Fastify does not route', async () => {
  const app = create()
  const { wire } = await harness()
  app.register(serviceFs, { wire, prefix: '/ledger' })
  await listen(app)
  for (const method of ['PROPFIND', 'TRACE', 'QUERY', 'LINK']) {
    const head = `${method} /ledger/healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`
    expect(await talk(app, [head], '}')).toMatch(/^HTTP\/1\.1 405 [^]*"code":"method-not-allowed"/)
  }
})

it('the plugin refuses a head that two parsers could understand differently', async () => {
  const app = create()
  const { wire } = await harness()
  app.register(serviceFs, { wire })
  await listen(app)
  const text = await talk(app, ['GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n'], '}')
  expect(text).toMatch(/^HTTP\/1\.1 400 [^]*connection: close[^]*"code":"bad-request"/i)
})

it('the plugin streams records to a follower until the application closes', async () => {
  const app = create({ forceCloseConnections: false })
  const { wire, ...ledger } = await harness()
  app.register(serviceFs, { wire, prefix: '/ledger' })
  const url = await listen(app)
  await ledger.append('a', 1)
  const answer = await fetch(`${url}/ledger/t/acme/v1/follow?since=0`)
  expect(answer.headers.get('content-type')).toMatch(/^text\/event-stream/)
  const pieces = (answer.body as ReadableStream<Uint8Array>).pipeThrough(new TextDecoderStream()).getReader()
  const read = async (until: string): Promise<string> => {
    let text = ''
    while (!text.includes(until)) text += (await pieces.read()).value ?? '[end]'
    return text
  }
  expect(await read('"payload_id":"a"')).toContain('event: record')
  await ledger.append('b', 2)
  await read('"payload_id":"b"')
  expect(wire.followers).toBe(1)
  const closed = app.close()
  await read('[end]')
  await closed
  expect(wire.followers).toBe(0)
})

it('the plugin reports an error of the wire and closes the connection', async () => {
  const reported: unknown[] = []
  const app = create()
  const { wire } = await harness()
  const broken: Harness['wire'] = { ...wire, followers: 0, handle: () => Promise.reject(new Error('broken')) }
  app.register(serviceFs, { wire: broken })
  app.addHook('onRequest', async (request) => {
    request.log.error = (error: unknown) => void reported.push(error)
  })
  const url = await listen(app)
  await expect(fetch(`${url}/healthz`)).rejects.toThrow('fetch failed')
  expect(reported).toEqual([new Error('broken')])
})
