// Tests the MCP server over HTTP with the client of the SDK.
import { mkdtemp, rm } from 'node:fs/promises'
import type { IncomingMessage } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import type { CallToolResult } from '@modelcontextprotocol/sdk/types.js'
import { checkPayloadProof } from '@service-fs/client/proof'
import { Trust } from '@service-fs/client/trust'
import { Problem } from '@service-fs/wire/problem'
import type { Role } from '@service-fs/wire/roles'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { startHttp, type HttpServer, type Identity } from '@service-fs/http/http'
import { openTenant, type Tenant } from '../tenant/tenant.ts'

let root = ''
let tenant: Tenant
let http: HttpServer
const clients: Client[] = []

/** Credentials of the tests: `Bearer <subject>:<roles>`. */
function authenticate({ headers }: IncomingMessage): Identity | Problem {
  const [, subject, roles] = /^Bearer (\w+):([\w,]*)$/.exec(headers.authorization ?? '') ?? []
  if (subject === undefined || roles === undefined) return new Problem('unauthenticated', 'who are you')
  return { subject, roles: roles.split(',') as Role[] }
}

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'mcp-'))
  tenant = await openTenant({ moduleId: 'acme', root })
  http = await startHttp({ host: '127.0.0.1', port: 0 }, { wire: tenant.wire, authenticate })
})
afterEach(async () => {
  for (const client of clients.splice(0)) await client.close()
  await http.stop(1000)
  await tenant.close()
  await rm(root, { recursive: true, force: true })
})

async function connect(subject: string, ...roles: Role[]): Promise<Client> {
  const client = new Client({ name: 'test', version: '1.0.0' })
  const headers = { authorization: `Bearer ${subject}:${roles.join(',')}` }
  const transport = new StreamableHTTPClientTransport(new URL(`${http.url}t/acme/mcp`), {
    requestInit: { headers },
  })
  await client.connect(transport)
  clients.push(client)
  return client
}

interface Called {
  json: any
  text: string
  isError: boolean
  audit: number[]
}

async function call(client: Client, name: string, args: Record<string, unknown> = {}): Promise<Called> {
  const result = (await client.callTool({ name: `ledger.${name}`, arguments: args })) as CallToolResult
  const { _meta: meta } = result
  const [content] = result.content
  const text = content?.type === 'text' ? content.text : ''
  const json: unknown = text.startsWith('{') ? JSON.parse(text) : undefined
  const audit = (meta?.['service-fs/audit-index'] ?? []) as number[]
  return { json, text, isError: result.isError === true, audit }
}

async function names(client: Client): Promise<string[]> {
  return (await client.listTools()).tools.map(({ name }) => name)
}

/** Returns the audit entries from an index on. */
async function audited(from = 0): Promise<any[]> {
  const reads: unknown[] = []
  for await (const { payload } of tenant.audit.records(from, { limit: 100 }))
    reads.push(JSON.parse(Buffer.from(payload).toString()))
  return reads
}

it('the MCP server appends, reads, proves and verifies, and records each read with its subject', async () => {
  const client = await connect('alice', 'append', 'read')
  const odd = { __proto__x: 1, n: [1.5, null, -0.001], s: 'a"\u2028\\' }
  const first = await call(client, 'append', { payload_id: 'a/1', payload: odd })
  expect(first).toMatchObject({ isError: false, audit: [], json: { cursor: 1, index: 0, duplicate: false } })
  const bytes = { payload_id: 'b', payload_base64: 'AAECAw==', type: 'image/png' }
  expect((await call(client, 'append', bytes)).json.cursor).toBe(2)
  expect((await call(client, 'append', bytes)).json).toMatchObject({ cursor: 2, duplicate: true })

  const page = await call(client, 'entries', { since: 1, limit: 5 })
  expect(page).toMatchObject({ audit: [0], json: { next_cursor: 2, entries: [{ payload_id: 'b' }] } })
  expect((await call(client, 'record', { payload_id: 'a/1' })).json.payload).toEqual(odd)
  expect((await call(client, 'record', { cursor: 2 })).json.payload_base64).toBe('AAECAw==')
  const { json: checkpoint } = await call(client, 'checkpoint')
  expect(checkpoint).toMatchObject({ size: 2, origin: tenant.origin })
  const inclusion = await call(client, 'prove_inclusion', { index: 0 })
  expect(inclusion.json).toMatchObject({ index: 0, size: 2, root_hash: checkpoint.root_hash })
  expect((await call(client, 'prove_consistency', { from: 1, to: 2 })).json.hashes).toHaveLength(1)
  const { text: proof } = await call(client, 'proof', { cursor: 2 })
  const { policy } = Trust.shown([tenant.vkey], 'test')
  expect(checkPayloadProof(proof, Buffer.from([0, 1, 2, 3]), policy)).toMatchObject({ index: 1, id: 'b' })

  const reads = await audited()
  expect(reads.map(({ route }) => route)).toEqual([
    '/v1/entries',
    '/v1/records/{payload_id}',
    '/v1/entries/{cursor}',
    '/v1/checkpoint',
    '/v1/proof/inclusion',
    '/v1/proof/consistency',
    '/v1/entries/{cursor}/proof',
  ])
  for (const read of reads) expect(read).toMatchObject({ subject: 'alice', via: 'mcp', method: 'GET' })
  expect(reads[0]).toMatchObject({ since: 1, limit: 5, next_cursor: 2, entries: 1, bytes: page.text.length })
})

it('the MCP server finds records by type and by the start of the identifier', async () => {
  const client = await connect('alice', 'append', 'read')
  for (const id of ['inv/1', 'b', 'inv/2 ü&'])
    await call(client, 'append', {
      payload_id: id,
      payload: id,
      type: id === 'b' ? 'x/y; z=1' : 'text/plain',
    })
  const { json, audit } = await call(client, 'search', { prefix: 'inv/', limit: 1 })
  expect(json).toMatchObject({ complete: false, next_cursor: 1, hits: [{ cursor: 1, payload_id: 'inv/1' }] })
  const rest = await call(client, 'search', { prefix: 'inv/', after: json.next_cursor })
  expect(rest.json).toMatchObject({ complete: true, hits: [{ cursor: 3, payload_id: 'inv/2 ü&' }] })
  expect((await call(client, 'search', { type: 'x/y; z=1' })).json.hits).toHaveLength(1)
  expect((await call(client, 'search', { prefix: 'inv/2 ü&' })).json.hits).toHaveLength(1)
  expect(await call(client, 'search', { where: ['/a=1', '/b=&='] })).toMatchObject({
    json: { status: 400, field: 'where', expected: 'nothing, because no field is declared' },
  })
  const [read] = await audited(audit[0])
  expect(read).toMatchObject({ route: '/v1/search', via: 'mcp', prefix: 'inv/', cursors: '1', entries: 1 })
})

it('the MCP server verifies a record alone, against a given payload, and against an earlier checkpoint', async () => {
  const client = await connect('alice', 'append', 'read')
  await call(client, 'append', { payload_id: 'a', payload: { total: 12 } })
  const { checkpoint: kept } = (await call(client, 'checkpoint')).json
  await call(client, 'append', { payload_id: 'b', payload: 'other' })
  const whole = await call(client, 'verify', { payload_id: 'a' })
  expect(whole.json).toMatchObject({
    verified: true,
    cursor: 1,
    payload_id: 'a',
    size: 2,
    vkeys: [tenant.vkey],
  })
  expect(whole.audit).toEqual([1, 2])
  const same = { cursor: 1, payload: { total: 12 }, checkpoint: kept }
  expect((await call(client, 'verify', same)).json).toMatchObject({ verified: true, goes_on_from: 1 })
  const base64 = Buffer.from('{"total":12}').toString('base64')
  expect((await call(client, 'verify', { cursor: 1, payload_base64: base64 })).json.verified).toBe(true)

  const other = await call(client, 'verify', { cursor: 1, payload: { total: 13 } })
  expect(other).toMatchObject({ isError: false, json: { verified: false, cursor: 1 } })
  const foreign = `${kept.slice(0, -20)}AAAA${kept.slice(-16)}`
  expect((await call(client, 'verify', { ...same, checkpoint: foreign })).json.verified).toBe(false)
  expect((await call(client, 'verify', { cursor: 3 })).json).toMatchObject({ code: 'not-found', status: 404 })
  for (const args of [{}, { cursor: 1, payload_id: 'a' }, { cursor: 1, payload: 1, payload_base64: 'AA==' }])
    expect((await call(client, 'verify', args)).json.code, JSON.stringify(args)).toBe('bad-request')
})

it('the MCP server lists and reads resources and resource templates', async () => {
  const client = await connect('alice', 'append', 'examine')
  for (const id of ['a/1 ü', 'b']) await call(client, 'append', { payload_id: id, payload: id })
  const { resources } = await client.listResources()
  expect(resources.map(({ uri }) => uri)).toEqual([
    'ledger://acme/contract',
    'ledger://acme/checkpoint',
    'ledger://acme/audit/contract',
    'ledger://acme/audit/checkpoint',
  ])
  const { resourceTemplates } = await client.listResourceTemplates()
  expect(resourceTemplates.map(({ uriTemplate }) => uriTemplate)).toContain(
    'ledger://acme/entries{?since,limit}',
  )
  expect(resourceTemplates).toHaveLength(12)
  const read = async (path: string): Promise<{ mimeType?: string; text: string }> => {
    const { contents } = await client.readResource({ uri: `ledger://acme/${path}` })
    return contents[0] as { mimeType?: string; text: string }
  }
  const note = await read('checkpoint')
  expect(note).toMatchObject({ mimeType: 'text/plain; charset=utf-8', text: tenant.ledger.checkpoint() })
  expect(JSON.parse((await read('entries?since=1&limit=1')).text).entries).toMatchObject([{ payload: 'b' }])
  expect(JSON.parse((await read(`records/${encodeURIComponent('a/1 ü')}`)).text).cursor).toBe(1)
  expect(JSON.parse((await read('entries/2')).text).payload_id).toBe('b')
  expect((await read('entries/2/proof')).text).toMatch(/^c2sp.org\/tlog-proof@v1\n/)
  expect(JSON.parse((await read('proof/inclusion?index=1&size=2')).text).hashes).toHaveLength(1)
  expect(JSON.parse((await read('audit/entries')).text).entries).toHaveLength(6)
  for (const uri of [
    'ledger://globex/checkpoint',
    'ledger://acme/append',
    'ledger://acme/follow',
    'file:///etc',
    'ledger://acme/entries/9',
  ])
    await expect(client.readResource({ uri }), uri).rejects.toMatchObject({ code: -32002 })
  await expect(client.readResource({ uri: 'ledger://acme/entries?nope=1' })).rejects.toMatchObject({
    code: -32602,
    data: { code: 'bad-request', field: 'nope' },
  })
})

it('the MCP server allows a subject only what its roles permit', async () => {
  const appender = await connect('writer', 'append')
  expect(await names(appender)).toEqual(['ledger.append'])
  expect((await call(appender, 'append', { payload_id: 'a', payload: 1 })).isError).toBe(false)
  for (const [name, args] of [
    ['entries', {}],
    ['record', { cursor: 1 }],
    ['verify', { cursor: 1 }],
    ['checkpoint', {}],
  ] as const)
    expect(await call(appender, name, args)).toMatchObject({
      isError: true,
      json: { code: 'forbidden', status: 403 },
    })
  expect((await appender.listResources()).resources).toEqual([])
  await expect(appender.readResource({ uri: 'ledger://acme/checkpoint' })).rejects.toMatchObject({
    data: { code: 'forbidden' },
  })
  expect(tenant.audit.size).toBe(0)

  const reader = await connect('reader', 'read')
  expect(await names(reader)).not.toContain('ledger.append')
  expect((await call(reader, 'entries')).isError).toBe(false)
  expect((await call(reader, 'append', { payload_id: 'b', payload: 1 })).json.code).toBe('forbidden')
  for (const name of ['entries', 'checkpoint'])
    expect((await call(reader, name, { audit: true })).json.code).toBe('forbidden')
  expect(tenant.ledger.size).toBe(1)

  const examiner = await connect('examiner', 'examine')
  const { json, audit } = await call(examiner, 'entries', { audit: true })
  expect(json.entries).toMatchObject([{ payload: { subject: 'reader', route: '/v1/entries' } }])
  expect(audit).toEqual([1])
  expect((await call(examiner, 'verify', { audit: true, cursor: 1 })).json).toMatchObject({
    verified: true,
    origin: `${tenant.origin}/audit`,
  })
  expect((await call(examiner, 'append', { payload_id: 'b', payload: 1 })).json.code).toBe('forbidden')
  await expect(connect('operator', 'operate')).rejects.toThrow('forbidden')
  expect((await audited(1))[0]).toMatchObject({ subject: 'examiner', route: '/audit/v1/entries', via: 'mcp' })
})

it('the MCP server records an append that reveals an existing record, refused or not', async () => {
  const alice = await connect('alice', 'append')
  const bob = await connect('bob', 'append')
  const record = { payload_id: 'a', payload: 1 }
  expect((await call(alice, 'append', record)).audit).toEqual([])
  expect(await call(bob, 'append', record)).toMatchObject({ json: { duplicate: true }, audit: [0] })
  const taken = await call(bob, 'append', { ...record, payload: 2 })
  expect(taken).toMatchObject({ isError: true, json: { code: 'conflict', cursor: 1 }, audit: [1] })
  const common = { subject: 'bob', route: '/v1/append', payload_id: 'a', cursor: 1, via: 'mcp' }
  expect(await audited(0)).toMatchObject([
    { ...common, outcome: 'duplicate' },
    { ...common, outcome: 'conflict' },
  ])
})

it('the MCP server ends a page at a megabyte', async () => {
  const client = await connect('alice', 'append', 'read')
  for (const id of ['a', 'b', 'c', 'd'])
    await call(client, 'append', { payload_id: id, payload: 'x'.repeat(400_000) })
  const { json, text } = await call(client, 'entries')
  expect([json.entries.length, text.length > 1_000_000 && text.length < 1_500_000]).toEqual([3, true])
  expect((await call(client, 'entries', { since: json.next_cursor })).json.entries).toHaveLength(1)
})

it('the MCP server names the invalid argument', async () => {
  const client = await connect('alice', 'append', 'read')
  const wrong: [string, Record<string, unknown>, string][] = [
    ['entries', { since: '1' }, 'since'],
    ['entries', { since: -1 }, 'since'],
    ['entries', { limit: 1001 }, 'limit'],
    ['entries', { nope: 1 }, 'nope'],
    ['search', { from: '2026' }, 'from'],
    ['search', { prefix: '' }, 'prefix'],
    ['search', { where: '/a=1' }, 'where'],
    ['search', { where: ['a'] }, 'where'],
    ['search', { type: 1 }, 'type'],
    ['entries', { audit: 'yes' }, 'audit'],
    ['record', {}, 'payload_id'],
    ['record', { payload_id: 'a', cursor: 1 }, 'payload_id'],
    ['record', { payload_id: 'a\u0000' }, 'payload_id'],
    ['prove_inclusion', {}, 'index'],
    ['proof', { cursor: 1.5 }, 'cursor'],
    ['append', { payload: 1 }, 'payload_id'],
    ['append', { payload_id: 'a' }, 'payload'],
    ['append', { payload_id: 'a', payload_base64: '?' }, 'payload_base64'],
    ['append', { payload_id: 'a', payload: 1, type: 'nope' }, 'type'],
    ['append', { payload_id: 'a', payload: 1, cursor: 1 }, 'cursor'],
  ]
  for (const [name, args, field] of wrong)
    expect(await call(client, name, args), JSON.stringify(args)).toMatchObject({
      isError: true,
      json: { code: 'bad-request', field },
    })
  await expect(client.callTool({ name: 'ledger.remove', arguments: {} })).rejects.toMatchObject({
    code: -32602,
  })
  expect([tenant.ledger.size, tenant.audit.size]).toEqual([0, 0])
})

async function post(body: string, headers: Record<string, string> = {}): Promise<Response> {
  return fetch(`${http.url}t/acme/mcp`, {
    method: 'POST',
    headers: {
      authorization: 'Bearer alice:append,read',
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      ...headers,
    },
    body,
  })
}

const message = (params: string): string =>
  `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":${params}}`

it('the MCP server parses JSON as strictly as /v1/append, and returns the audit indexes in X-Audit-Index', async () => {
  const appending = (payload: string): string =>
    message(`{"name":"ledger.append","arguments":{"payload_id":"a","payload":${payload}}}`)
  for (const payload of [
    '{"a":1,"a":2}',
    '12345678901234567890',
    '1e400',
    '1.000000000000000005',
    '9007199254740993.0',
  ]) {
    const answer = await post(appending(payload))
    expect([answer.status, await answer.json()], payload).toMatchObject([400, { error: { code: -32700 } }])
  }
  for (const body of [
    '',
    '{',
    '[]',
    `[${message('{"name":"ledger.checkpoint"}')}]`,
    '{"jsonrpc":"1.0"}',
    '\u0000',
  ])
    expect((await post(body)).status, body).toBe(400)
  expect((await post('{}', { accept: 'application/json' })).status).toBe(406)
  expect((await post(message('{}'), { 'mcp-protocol-version': '1999-01-01' })).status).toBe(400)
  expect((await post('{"jsonrpc":"2.0","method":"notifications/initialized"}')).status).toBe(202)
  expect((await post(message('{}'), { authorization: 'none' })).status).toBe(401)
  const unknown = await post('{"jsonrpc":"2.0","id":7,"method":"nope"}')
  expect(await unknown.json()).toMatchObject({ id: 7, error: { code: -32601 } })
  const asTask = '{"name":"ledger.append","arguments":{"payload_id":"t","payload":1},"task":{"ttl":1}}'
  expect(await (await post(message(asTask))).text()).toContain('\\"cursor\\":1')
  const stream = await fetch(`${http.url}t/acme/mcp`, { headers: { authorization: 'Bearer a:read' } })
  expect([stream.status, stream.headers.get('allow')]).toEqual([405, 'POST'])
  expect(tenant.audit.size).toBe(0)

  expect(await (await post(appending('"\\ud800"'))).text()).toContain('lone surrogate')
  expect((await post(appending('{"__proto__":{"b":1},"constructor":[1e-7]}'))).status).toBe(200)
  expect(Buffer.from((await tenant.ledger.record(1)).payload).toString()).toBe(
    '{"__proto__":{"b":1},"constructor":[1e-7]}',
  )
  const read = await post(message('{"name":"ledger.verify","arguments":{"cursor":1}}'), {
    'x-foundry-request-id': 'mine',
  })
  expect([read.status, read.headers.get('x-audit-index')]).toEqual([200, '0, 1'])
  expect(await audited()).toMatchObject([{ request_id: 'mine' }, { request_id: 'mine' }])
})

it('the MCP server says in its instructions whether reads are recorded', async () => {
  expect((await connect('alice', 'read')).getInstructions()).toContain('Each answer to a read is recorded')
  await http.stop(1000)
  await tenant.close()
  tenant = await openTenant({ moduleId: 'acme', root, publicReads: true })
  http = await startHttp({ host: '127.0.0.1', port: 0 }, { wire: tenant.wire, authenticate })
  const client = await connect('alice', 'read')
  expect(client.getInstructions()).toContain('Reads are public and not recorded')
  expect((await call(client, 'checkpoint')).audit).toEqual([])
})
