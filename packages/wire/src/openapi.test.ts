import { AjvJsonSchemaValidator } from '@modelcontextprotocol/sdk/validation/ajv'
import { Validator } from '@seriousme/openapi-schema-validator'
import { TestRuntime } from '@service-fs/ledger/testing'
import { nativeCodec, nativeCrypto, nativeHasher } from '@service-fs/native/native'
import { MemoryStorage } from '@service-fs/storage/memory'
import { describe, expect, it } from 'vitest'

import { wireConformance } from './conformance.ts'
import type { WireAnswer, WireSubject } from './conformance-tools.ts'
import { openInProcess, testKeys } from './in-process.ts'
import { openApi, pathOf } from './openapi.ts'
import { DESCRIBED } from './openapi-routes.ts'
import { PROBLEMS } from './problem.ts'
import { splitTarget } from './request.ts'
import { createMatcher, ROUTES } from './routes.ts'
import { splitTenant } from './tenant.ts'

const document: any = openApi('1.2.3')

describe('the OpenAPI document', () => {
  it('is valid OpenAPI 3.1', async () => {
    const validator = new Validator()
    expect(await validator.validate(structuredClone(document))).toEqual({ valid: true })
    expect(validator.version).toBe('3.1')
  })

  it('has no dangling reference', () => {
    for (const [, name = ''] of JSON.stringify(document).matchAll(/"\$ref":"#\/([^"]+)"/g)) {
      const found = name.split('/').reduce((at, part) => at?.[part], document)
      expect(found, name).toBeDefined()
    }
  })

  it.each(ROUTES.map((route) => [`${route.method} ${route.pattern}`, route] as const))(
    'describes %s',
    (_, route) => {
      const pattern = route.audit ? route.pattern.slice('/audit'.length) : route.pattern
      const described = DESCRIBED[pattern]
      expect(described, `${pattern} in openapi-routes.ts`).toBeDefined()
      const inPath = [...pattern.matchAll(/\{([a-z_]+)(?:\.\.\.)?\}/g)].map(([, name]) => name)
      expect(new Set(Object.keys(described?.parameters ?? {}))).toEqual(new Set([...route.query, ...inPath]))
      const { security } = document.paths[pathOf(route)][route.method.toLowerCase()]
      const roles = security.flatMap((one: object) => Object.values(one).flat())
      expect(new Set(roles)).toEqual(new Set(route.permission === 'anybody' ? [] : route.permission))
    },
  )

  it('lists every problem code for some route, except method-not-allowed', () => {
    const codes = new Set<string>(['method-not-allowed'])
    for (const item of Object.values<any>(document.paths)) {
      for (const { responses } of Object.values<any>(item)) {
        for (const { content = {} } of Object.values<any>(responses))
          for (const code of content['application/problem+json']?.schema.properties.code.enum ?? [])
            codes.add(code)
      }
    }
    expect(codes).toEqual(new Set(Object.keys(PROBLEMS)))
  })

  it('describes no other routes, and has unique operation names', () => {
    for (const pattern of Object.keys(DESCRIBED))
      expect(ROUTES.map((route) => route.pattern)).toContain(pattern)
    const names = Object.values<any>(document.paths).flatMap((item) =>
      Object.values<any>(item).map(({ operationId }) => operationId),
    )
    expect(names).toHaveLength(ROUTES.length)
    expect(new Set(names).size).toBe(ROUTES.length)
  })
})

const ajv = new AjvJsonSchemaValidator()
const validators = new Map<string, ReturnType<typeof compile>>()

function compile(schema: object): (value: unknown) => { valid: boolean; errorMessage: string | undefined } {
  const whole: object = { ...schema, components: document.components }
  return ajv.getValidator(whole)
}

/** Returns why a value does not match a schema; undefined if it does. */
function flaw(schema: object, value: unknown): string | undefined {
  const key = JSON.stringify(schema)
  let validator = validators.get(key)
  if (validator === undefined) validators.set(key, (validator = compile(schema)))
  return validator(value).errorMessage
}

const match = createMatcher(ROUTES)
const seen = new Set<string>()

/** Compares an answer with the description of its route. */
function check(method: string, target: string, answer: WireAnswer): void {
  const found = match(splitTenant(splitTarget(target).path).path)
  if (found === undefined) return
  const { route } = found
  const isHead = method === 'HEAD' && route.method === 'GET'
  if (method !== route.method && !isHead) return
  const where = `${method} ${route.pattern} ${answer.status}`
  const { responses } = document.paths[pathOf(route)][route.method.toLowerCase()]
  const response = responses[String(answer.status)]
  expect(response, where).toBeDefined()
  for (const name of Object.keys(response.headers ?? {})) {
    const isSometimes =
      name === 'X-Next-Cursor' || name === 'ETag' || (name === 'X-Audit-Index' && !route.recorded)
    if (!isSometimes && name !== 'Retry-After')
      expect(answer.headers, where).toHaveProperty(name.toLowerCase())
  }
  const type = answer.headers['content-type']?.split(';')[0] ?? ''
  if (response.content === undefined) {
    expect([type, answer.body.length], where).toEqual(['', 0])
    return
  }
  expect(Object.keys(response.content), where).toContain(type)
  seen.add(`${route.pattern.replace('/audit', '')} ${answer.status} ${type}`)
  const { schema } = response.content[type]
  if (isHead || !type.endsWith('json')) return
  const text = Buffer.from(answer.body).toString()
  if (type === 'application/json' || type === 'application/problem+json')
    expect(flaw(schema, JSON.parse(text)), `${where} ${text.slice(0, 300)}`).toBeUndefined()
  else
    for (const line of text.split('\n').slice(0, -1))
      expect(flaw({ $ref: '#/components/schemas/Record' }, JSON.parse(line)), where).toBeUndefined()
}

const newRecord = { $ref: '#/components/schemas/NewRecord' }

/** An accepted JSON append must match the description of the request. */
function checkTaken(headers: Readonly<Record<string, string>>, body: Uint8Array, answer: WireAnswer): void {
  const type = headers['content-type'] ?? ''
  if (answer.status !== 200 || headers['x-payload-id'] !== undefined || body.length > 65_536) return
  // A framed batch is not text.
  if (type.toLowerCase().startsWith('application/vnd.service-fs.batch')) return
  const lines = type === 'application/json' ? [body] : String(Buffer.from(body)).trim().split('\n')
  for (const line of lines) {
    const text = typeof line === 'string' ? line : Buffer.from(line).toString()
    expect(flaw(newRecord, JSON.parse(text)), text).toBeUndefined()
  }
}

const keys = testKeys('example.org/ledger/acme', nativeCrypto)

async function openChecked(): Promise<WireSubject> {
  const runtime = Object.assign(new TestRuntime(), { hasher: nativeHasher, codec: nativeCodec })
  const storages = { main: new MemoryStorage(), audit: new MemoryStorage() }
  let requests = 0
  const open = () =>
    openInProcess({ moduleId: 'acme', keys, storages, runtime, requestId: () => `made-${++requests}` })
  let server = await open()
  return {
    async request(method, target, headers, body) {
      const answer = await server.request(method, target, headers, body)
      check(method, target, answer)
      if (method === 'POST' && target.includes('/v1/append')) checkTaken(headers, body, answer)
      return answer
    },
    advance: (ms) => runtime.advance(ms),
    async reopen(how) {
      if (how === 'stop') await server.close()
      storages.main = new MemoryStorage({ files: storages.main.dump() })
      storages.audit = new MemoryStorage({ files: storages.audit.dump() })
      server = await open()
    },
    dispose: () => server.close(),
  }
}

wireConformance({
  name: 'handle(), held against its OpenAPI document,',
  test: { describe, it, expect },
  clock: true,
  crypto: nativeCrypto,
  open: openChecked,
})

/** A server in memory makes no packs, and keeps no second trees. */
const LACKING: ReadonlySet<string> = new Set(['/v1/examine', '/v1/trees', '/v1/rehash'])

describe('the conformance suite', () => {
  it('receives every described response that it can cause', () => {
    const asked = ROUTES.filter(({ needs, audit }) => needs === undefined && !audit)
    for (const route of asked) {
      const { responses } = document.paths[pathOf(route)][route.method.toLowerCase()]
      const status = LACKING.has(route.pattern) ? '501' : '200'
      for (const type of Object.keys(responses[status].content))
        expect([...seen]).toContain(`${route.pattern} ${status} ${type}`)
    }
  })
})
