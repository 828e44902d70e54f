// Every route with every kind of credentials, over HTTP.
import type { Role } from '@service-fs/wire/roles'
import { ROUTES, type Route } from '@service-fs/wire/routes'

/** The route and the request. */
export interface Place {
  /** `http://127.0.0.1:PORT/` */
  url: string
  moduleId: string
  /** Whether the server has other tenants: then /metrics covers all of them. */
  isHost: boolean
}

/** The credentials a request carries, and the role they grant. */
export interface Credential {
  name: string
  authorization?: string
  /** The credentials are invalid, valid only for another tenant, or grant these roles for the tenant or for all tenants. */
  worth: 'nothing' | 'elsewhere' | { roles: readonly Role[]; everywhere?: boolean }
}

/** The roles that may use each route, stated independently of the code. A route that is missing here fails the test. */
const DECISIONS: Readonly<Record<string, readonly Role[] | 'anybody'>> = {
  'GET /healthz': 'anybody',
  'GET /readyz': 'anybody',
  'GET /metrics': ['operate'],
  'GET /v1/clock': ['operate'],
  'POST /v1/clock/correct': ['operate'],
  'POST /v1/retention': ['operate'],
  'GET /v1/trees': ['operate'],
  'POST /v1/rehash': ['operate'],
  'POST /v1/examine': ['examine'],
  'POST /v1/append': ['append'],
  'POST /mcp': ['append', 'read', 'examine'],
  'GET /v1/follow': ['read', 'examine'],
  ...Object.fromEntries(
    [
      '/v1/contract',
      '/v1/entries',
      '/v1/entries/{cursor}',
      '/v1/entries/{cursor}/proof',
      '/v1/records/{payload_id}',
      '/v1/search',
      '/v1/checkpoint',
      '/v1/proof/inclusion',
      '/v1/proof/consistency',
      '/checkpoint',
      '/tile/{path...}',
    ].flatMap((pattern) => [
      [`GET ${pattern}`, ['read', 'examine']],
      [`GET /audit${pattern}`, ['examine']],
    ]),
  ),
  'GET /v1/contract': ['append', 'read', 'examine'],
}

export function decisionOn({ method, pattern }: Route): readonly Role[] | 'anybody' {
  const found = DECISIONS[`${method} ${pattern}`]
  if (found === undefined) throw new Error(`${method} ${pattern}: expected roles in DECISIONS, found none`)
  return found
}

/** The clock is right, so a correction is refused. No hold is in force, so none can be lifted. No tree can have this hash. */
const REFUSED: ReadonlySet<string> = new Set(['/v1/clock/correct', '/v1/retention', '/v1/rehash'])

/** The status that the request must get. */
export function expected(route: Route, { worth }: Credential, { isHost }: Place): number {
  const permission = decisionOn(route)
  if (permission === 'anybody') return 200
  if (worth === 'nothing') return 401
  if (worth === 'elsewhere') return 403
  if (!route.tenant && isHost && worth.everywhere !== true) return 403
  if (!worth.roles.some((role) => permission.includes(role))) return 403
  return REFUSED.has(route.pattern) ? 400 : 200
}

/** Returns a target that exists after one record, `walked`, was appended and one read was recorded. */
function targetOf(pattern: string): string {
  return pattern
    .replace('{cursor}', '1')
    .replace(/^(\/audit.*|.*)\{payload_id\}/, (_, before: string) => `${before}walked`)
    .replace('{path...}', '0/000.p/1')
    .replace(/inclusion$/, 'inclusion?index=0&size=1')
    .replace(/consistency$/, 'consistency?from=0')
}

const BODIES: Readonly<Record<string, { headers: Record<string, string>; body: string }>> = {
  '/v1/append': {
    headers: { 'content-type': 'application/json' },
    body: '{"payload_id":"walked","payload":1}',
  },
  '/v1/clock/correct': {
    headers: { 'content-type': 'application/json' },
    body: '{"newest":"2026-01-02T03:04:05.678Z","reason":"walked"}',
  },
  '/v1/retention': {
    headers: { 'content-type': 'application/json' },
    body: '{"duty":"lift","hold":"walked","reason":"walked"}',
  },
  '/v1/rehash': { headers: { 'content-type': 'application/json' }, body: '{"hash":"walked"}' },
  '/v1/examine': { headers: { 'content-type': 'application/json' }, body: '{"prefix":"walked"}' },
  '/mcp': {
    headers: { 'content-type': 'application/json', accept: 'application/json, text/event-stream' },
    body: '{"jsonrpc":"2.0","id":1,"method":"ping"}',
  },
}

export interface Step {
  what: string
  route: Route
  credential: Credential
  expected: number
  answer: Response
}

type Spelling = 'header' | 'prefix' | 'HEAD'

/** Sends every request, and yields each answer without its body. */
export async function* walk(place: Place, credentials: readonly Credential[]): AsyncGenerator<Step> {
  for (const route of ROUTES)
    for (const credential of credentials)
      for (const spelling of spellingsOf(route)) {
        const answer = await ask(place, route, credential, spelling)
        const what = `${route.method} ${route.pattern} (${spelling}) with ${credential.name}`
        yield { what, route, credential, expected: expected(route, credential, place), answer }
      }
}

function spellingsOf({ method, tenant }: Route): Spelling[] {
  return [
    'header',
    ...(tenant ? (['prefix'] as const) : []),
    ...(method === 'GET' ? (['HEAD'] as const) : []),
  ]
}

async function ask(
  { url, moduleId }: Place,
  { method, pattern, tenant }: Route,
  { authorization }: Credential,
  spelling: Spelling,
): Promise<Response> {
  const prefix = spelling === 'prefix' ? `t/${moduleId}` : ''
  const { headers = {}, body } = BODIES[pattern] ?? {}
  const cut = new AbortController()
  const answer = await fetch(new URL(prefix + targetOf(pattern), url), {
    method: spelling === 'HEAD' ? 'HEAD' : method,
    headers: {
      ...headers,
      ...(tenant && spelling !== 'prefix' ? { 'x-foundry-module-id': moduleId } : {}),
      ...(authorization === undefined ? {} : { authorization }),
    },
    ...(body === undefined ? {} : { body }),
    signal: AbortSignal.any([cut.signal, AbortSignal.timeout(300_000)]),
  })
  if (pattern.endsWith('/follow')) cut.abort()
  else await answer.arrayBuffer()
  return answer
}
