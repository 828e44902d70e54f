/** The OpenAPI 3.1 document of the wire (spec.openapis.org/oas/v3.1.1), generated from the route table. */
import { MODULE_ID_PATTERN } from '@service-fs/format/module-id'
import { DESCRIBED, type Described } from './openapi-routes.ts'
import { SCHEMAS, type Json, type Schema } from './openapi-schemas.ts'
import { PROBLEMS, type ProblemCode } from './problem.ts'
import { ROUTES, type Route } from './routes.ts'

type Members = { readonly [name: string]: Json }

/** Returns the document, as plain JSON. @throws Error for a route without a description */
export function openApi(version: string): Members {
  const paths: Record<string, Record<string, Json>> = {}
  for (const route of ROUTES) {
    const path = pathOf(route)
    paths[path] = { ...paths[path], [route.method.toLowerCase()]: operation(route) }
  }
  return {
    openapi: '3.1.1',
    info: {
      title: 'service-fs',
      version,
      summary: 'An append-only ledger that proves its content and records its reads',
      description:
        'Every GET route also answers HEAD, with the same headers and no body. Every error is a problem document (RFC 9457).',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [
      { url: '/', description: 'tenant in X-Foundry-Module-ID' },
      {
        url: '/t/{module_id}',
        description: 'tenant in the path',
        variables: { module_id: { default: 'demo', description: 'the tenant' } },
      },
    ],
    tags: Object.entries(TAGS).map(([name, description]) => ({ name, description })),
    paths,
    components: {
      schemas: SCHEMAS,
      parameters: PARAMETERS,
      headers: HEADERS,
      securitySchemes: {
        token: {
          type: 'http',
          scheme: 'bearer',
          description: 'a token of this server, or an OIDC access token',
        },
        certificate: { type: 'mutualTLS', description: 'a client certificate' },
      },
    },
  }
}

/** Returns the path of a route in OpenAPI syntax. */
export function pathOf({ pattern }: Pick<Route, 'pattern'>): string {
  return pattern.replace('...}', '}')
}

const TAGS = {
  ledger: "the tenant's ledger",
  audit: 'the audit sub-ledger, which records all reads',
  operation: 'operation of the server',
}

const PARAMETERS: Members = {
  ModuleId: {
    name: 'X-Foundry-Module-ID',
    in: 'header',
    description: 'the tenant, if the path does not name it',
    schema: { type: 'string', pattern: MODULE_ID_PATTERN },
  },
  RequestId: {
    name: 'X-Foundry-Request-ID',
    in: 'header',
    description: 'recorded in the audit entry; the server makes one if it is absent',
    schema: { type: 'string', pattern: String.raw`^[\x21-\x7e]{1,128}$` },
  },
}

const HEADERS: Members = {
  RequestId: { description: "the request's identifier", schema: { type: 'string' } },
  AuditIndex: {
    description: 'index of the audit entry of this read; absent when reads are public',
    schema: { type: 'integer', minimum: 0 },
  },
  Authenticate: { description: 'RFC 6750 §3', schema: { type: 'string' } },
  RetryAfter: { description: 'seconds', schema: { type: 'integer', minimum: 0 } },
}

function operation(route: Route): Json {
  const found = DESCRIBED[route.audit ? route.pattern.slice('/audit'.length) : route.pattern]
  if (found === undefined) throw new Error(`${route.pattern}: no description in openapi-routes.ts`)
  const { operationId, body } = found
  return {
    operationId: route.audit ? `audit${operationId[0]?.toUpperCase()}${operationId.slice(1)}` : operationId,
    summary: route.summary,
    tags: [route.audit ? 'audit' : route.tenant ? 'ledger' : 'operation'],
    ...(route.permission === 'anybody'
      ? {}
      : { description: `Requires the role ${route.permission.join(' or ')}.` }),
    security: security(route),
    parameters: parameters(route, found),
    ...(body === undefined ? {} : { requestBody: { required: true, content: content(body) } }),
    responses: merged(answers(route, found), problems(route, found.codes)),
  }
}

/** Returns alternatives: any of the roles, by any scheme, or none (`{}`) for a server without configured credentials. */
function security({ permission }: Route): Json {
  if (permission === 'anybody') return []
  return [{}, ...permission.flatMap((role) => [{ token: [role] }, { certificate: [role] }])]
}

function parameters(
  route: Route,
  { parameters: schemas = {}, required = [], headers = {} }: Described,
): Json {
  const given = Object.entries(schemas).map(([name, schema]) =>
    route.query.includes(name)
      ? { name, in: 'query', required: required.includes(name), schema }
      : { name, in: 'path', required: true, schema },
  )
  const sent = Object.entries(headers).map(([name, schema]) => ({ name, in: 'header', schema }))
  const shared = (route.tenant ? ['ModuleId', 'RequestId'] : ['RequestId']).map((name) => ({
    $ref: `#/components/parameters/${name}`,
  }))
  return [...given, ...sent, ...shared]
}

type Responses = Readonly<Record<string, Response>>
type Response = Readonly<Record<'description', string> & Partial<Record<'headers' | 'content', Members>>>

/** Merges responses by status. A status in both gets the content of both. */
function merged(a: Responses, b: Responses): Json {
  const all: Record<string, Json> = { ...a, ...b }
  for (const [status, { content: first }] of Object.entries(a)) {
    const second = b[status]
    if (second !== undefined) all[status] = { ...second, content: { ...first, ...second.content } }
  }
  return all
}

function answers(route: Route, { answers: byStatus, answerHeaders = {} }: Described): Responses {
  const own = Object.entries(answerHeaders).map(([name, schema]) => [name, { schema }] as const)
  const headers = {
    'X-Foundry-Request-ID': { $ref: '#/components/headers/RequestId' },
    ...(route.recorded ? { 'X-Audit-Index': { $ref: '#/components/headers/AuditIndex' } } : {}),
    ...Object.fromEntries(own),
  }
  const response = (types: Readonly<Record<string, Schema>>): Response => ({
    description: route.summary,
    headers,
    ...(Object.keys(types).length === 0 ? {} : { content: content(types) }),
  })
  return Object.fromEntries(Object.entries(byStatus).map(([status, types]) => [status, response(types)]))
}

function content(schemas: Readonly<Record<string, Schema>>): Members {
  return Object.fromEntries(Object.entries(schemas).map(([type, schema]) => [type, { schema }]))
}

/** Problem codes of all routes. */
const ANY: readonly ProblemCode[] = [
  'bad-request',
  'module-id-ambiguous',
  'module-id-mismatch',
  'no-tenant',
  'timeout',
  'target-too-long',
  'misdirected',
  'rate-limited',
  'headers-too-large',
  'internal',
  'busy',
  'tenant-unavailable',
]
const OF_TENANT: readonly ProblemCode[] = ['module-id-missing', 'corrupt', 'io', 'closed']
const OF_ROLES: readonly ProblemCode[] = ['unauthenticated', 'forbidden', 'issuer-unavailable']
/** Problem codes of recording a read. */
const OF_RECORDING: readonly ProblemCode[] = [
  'signer',
  'stopped',
  'clock-behind',
  'clock-ahead',
  'read-only',
  'full',
]

function problems(route: Route, own: readonly ProblemCode[]): Responses {
  const codes = new Set<ProblemCode>([
    ...ANY,
    ...(route.tenant ? OF_TENANT : []),
    ...(route.permission === 'anybody' ? [] : OF_ROLES),
    ...(route.recorded ? OF_RECORDING : []),
    ...(route.audit ? (['audit-off'] as const) : []),
    ...own,
  ])
  const byStatus = new Map<number, ProblemCode[]>()
  for (const code of codes) {
    const { status } = PROBLEMS[code]
    byStatus.set(status, [...(byStatus.get(status) ?? []), code])
  }
  return Object.fromEntries([...byStatus].map(([status, list]) => [String(status), problem(list)]))
}

function problem(codes: readonly ProblemCode[]): Response {
  const headers = {
    ...(codes.some((code) => PROBLEMS[code].retryAfter !== undefined)
      ? { 'Retry-After': { $ref: '#/components/headers/RetryAfter' } }
      : {}),
    ...(codes.includes('unauthenticated')
      ? { 'WWW-Authenticate': { $ref: '#/components/headers/Authenticate' } }
      : {}),
  }
  return {
    description: codes.map((code) => `\`${code}\`: ${PROBLEMS[code].title}`).join('; '),
    ...(Object.keys(headers).length === 0 ? {} : { headers }),
    content: {
      'application/problem+json': {
        schema: { $ref: '#/components/schemas/Problem', properties: { code: { enum: codes } } },
      },
    },
  }
}
