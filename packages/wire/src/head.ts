/** Checks the head of a request: finds its route and parameters, or the problem that the server can detect without the body. */
import type { Codec } from '@service-fs/tlog/codec'
import { appendBodyLimit } from './append.ts'
import { tooLarge } from './body-limits.ts'
import { checkWhole, contentCoding } from './body-meaning.ts'
import { cut, parseQuery, percentDecode } from './fields.ts'
import type { Limits } from './limits.ts'
import { Problem, problemOf } from './problem.ts'
import { splitTarget, type Coding, type Query, type RequestHead } from './request.ts'
import type { Permission } from './roles.ts'
import type { Match, Route } from './routes.ts'
import { checkTenant, clientRequestId, splitTenant } from './tenant.ts'

/** The settings for checking heads. */
export interface HeadRules {
  readonly match: (path: string) => Match | undefined
  readonly moduleId: string
  readonly limits: Limits
  readonly codec: Codec
  /** Content codings that the server can decode. */
  readonly codings: readonly Coding[]
}

/** The result of a valid head. */
export interface Headed {
  readonly route: Route
  /** Percent-decoded. */
  readonly params: Readonly<Record<string, string>>
  readonly query: Query
}

/** Checks the head of a request and returns its route and parameters. @throws Problem 400, 403, 404, 405, 413, 415 */
export function readHead(
  request: RequestHead,
  { match, moduleId, limits, codec, codings }: HeadRules,
): Headed {
  const target = splitTarget(request.target)
  const { prefix, path } = splitTenant(target.path)
  const found = match(path)
  if (found === undefined) throw new Problem('no-route', `no route ${cut(path)}`)
  const { route } = found
  checkMethod(request, route)
  if (route.tenant || prefix !== undefined) checkTenant(request, prefix, moduleId)
  checkRoles(request, route.permission)
  const headed = { route, params: decoded(found), query: parseQuery(target.query, route.query, route.lists) }
  if (request.method !== 'POST') return headed
  contentCoding(request, codings)
  checkWhole(request)
  route.head?.(request, codec)
  checkLength(request, appendBodyLimit(request, limits))
  return headed
}

/** Returns the result of a valid head, or the problem that refuses the request whatever its body. */
export function checkHead(request: RequestHead, rules: HeadRules): Headed | Problem {
  try {
    clientRequestId(request)
    return readHead(request, rules)
  } catch (error) {
    return problemOf(error)
  }
}

/** Returns the problem of a request's head, whatever its body; undefined if the body must be read. */
export function headRefusal(request: RequestHead, rules: HeadRules): Problem | undefined {
  const checked = checkHead(request, rules)
  return checked instanceof Problem ? checked : undefined
}

function checkLength(request: RequestHead, limit: number): void {
  const length = request.header('content-length')
  if (length !== undefined && Number(length) > limit) throw tooLarge(limit, length)
}

function checkMethod(request: RequestHead, route: Route): void {
  if (request.method === route.method || (request.method === 'HEAD' && route.method === 'GET')) return
  const allow = route.method === 'GET' ? 'GET, HEAD' : route.method
  throw new Problem(
    'method-not-allowed',
    `${route.pattern}: expected ${allow}, found ${cut(request.method)}`,
    {
      allow,
    },
  )
}

function decoded(found: Match): Record<string, string> {
  const params: Record<string, string> = {}
  for (const [name, value] of Object.entries(found.params)) params[name] = percentDecode(value, name)
  return params
}

/**
 * Checks that the subject of a request has one of the roles. A request without `roles` comes from a server without configured
 * credentials, and may do everything.
 * @throws Problem `forbidden`
 */
export function checkRoles(request: Pick<RequestHead, 'roles' | 'subject'>, permission: Permission): void {
  const { roles } = request
  if (permission === 'anybody' || roles === undefined) return
  if (permission.some((role) => roles.includes(role))) return
  const expected = permission.join(' or ')
  const found = roles.length === 0 ? 'none' : roles.join(', ')
  throw new Problem(
    'forbidden',
    `role of ${request.subject ?? 'the subject'}: expected ${expected}, found ${found}`,
    {
      expected,
      supplied: found,
    },
  )
}
