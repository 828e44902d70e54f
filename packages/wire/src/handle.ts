/** From a request to its response: tenant, route, handler, audit entry. */
import { answerSize } from './answer-size.ts'
import { appendBodyLimit } from './append.ts'
import { recordRead } from './audit.ts'
import { contentCoding } from './body-meaning.ts'
import {
  DEFAULT_LIMITS,
  type Answer,
  type Call,
  type Limits,
  type Streamed,
  type WireOptions,
} from './call.ts'
import { Followers } from './followers.ts'
import { isFailure, Problem, problemOf, problemResponse } from './problem.ts'
import { parseQuery, percentDecode, splitTarget, type WireRequest, type WireResponse } from './request.ts'
import { checkRoles } from './roles.ts'
import { createMatcher, routesOf, type Match, type Route } from './routes.ts'
import { checkTenant, clientRequestId, splitTenant } from './tenant.ts'

export interface Wire {
  /** Answers every request; never rejects. Bodies of HEAD answers are there: the adapter sends their headers only. */
  handle(request: WireRequest): Promise<WireResponse>
  /** How many bytes of body a request may have, by its head alone. An adapter answers 413 beyond, without reading on. */
  bodyLimit(request: Omit<WireRequest, 'body'>): number
  /** Brings the answers to an end that would not end by themselves, and gives no more of them: before a clean stop. */
  drain(): void
  /** How many follow the ledger. */
  readonly followers: number
  readonly routes: readonly Route[]
  readonly limits: Limits
}

export function createWire(options: WireOptions): Wire {
  const limits: Limits = { ...DEFAULT_LIMITS, ...options.limits }
  const routes = routesOf(options)
  const match = createMatcher(routes)
  const followers = new Followers({ ...options, limits })
  return {
    routes,
    limits,
    drain: () => followers.drain(),
    get followers() {
      return followers.count
    },
    bodyLimit: (request) => bodyLimit(request, limits),
    async handle(request) {
      let requestId: string | undefined
      let response: WireResponse
      try {
        requestId = clientRequestId(request) ?? options.requestId()
        response = await dispatch(request, requestId, { options, limits, followers }, match)
      } catch (error) {
        requestId ??= options.requestId()
        const problem = problemOf(error)
        if (isFailure(problem)) options.report?.(error, requestId)
        response = problemResponse(problem)
      }
      response.headers['x-foundry-request-id'] = requestId
      return response
    },
  }
}

async function dispatch(
  request: WireRequest,
  requestId: string,
  own: Pick<Call, 'options' | 'limits' | 'followers'>,
  match: (path: string) => Match | undefined,
): Promise<WireResponse> {
  const { options } = own
  const target = splitTarget(request.target)
  const { prefix, path } = splitTenant(target.path)
  const found = match(path)
  if (found === undefined) throw new Problem('no-route', `no route ${cut(path)}`)
  const { route } = found
  checkMethod(request, route)
  if (route.tenant || prefix !== undefined) checkTenant(request, prefix, options.moduleId)
  checkRoles(request, route.permission)
  if (route.method === 'POST' && request.decoded === undefined) contentCoding(request, [])
  const call: Call = {
    request,
    requestId,
    ...own,
    ledger: route.audit ? auditLedger(options) : options.ledger,
    isAudit: route.audit,
    params: decoded(found),
    query: parseQuery(target.query, route.query),
  }
  const answer = await made(call, route)
  if (!isWhole(answer)) return answer
  if (route.recorded) await record(call, route, answer)
  const { shown: _, ...response } = answer
  return response
}

/** The answer of the route's handler, once there is room for it. */
async function made(call: Call, route: Route): Promise<Answer | Streamed> {
  const { request, limits } = call
  const bytes = request.reserve === undefined ? undefined : answerSize(route, limits)
  if (bytes !== undefined) await request.reserve?.(bytes)
  const answer = await route.handler(call)
  if (bytes !== undefined && isWhole(answer)) request.made?.(answer.body.length)
  return answer
}

function isWhole(answer: Answer | Streamed): answer is Answer {
  return typeof answer.body === 'string' || answer.body instanceof Uint8Array
}

/** The answer's body becomes bytes, so that the audit entry can say how many. */
async function record(call: Call, { pattern }: Route, answer: Answer): Promise<void> {
  const { options } = call
  if (typeof answer.body === 'string') answer.body = options.codec.utf8Encode(answer.body)
  if (answer.shown === undefined)
    throw new Error(`${pattern}: a recorded route that does not say what it shows`)
  const index = await recordRead(call, pattern, answer.shown, answer.body.length, options)
  if (index !== undefined) answer.headers['x-audit-index'] = String(index)
}

function checkMethod(request: WireRequest, route: Route): void {
  if (request.method === route.method || (request.method === 'HEAD' && route.method === 'GET')) return
  const allow = route.method === 'GET' ? 'GET, HEAD' : route.method
  throw new Problem('method-not-allowed', `${route.pattern} takes ${allow}, not ${cut(request.method)}`, {
    allow,
  })
}

function auditLedger(options: WireOptions): Call['ledger'] {
  if (options.audit !== undefined) return options.audit
  throw new Problem('audit-off', 'this ledger is public: its reads are not recorded')
}

function decoded(found: Match): Record<string, string> {
  const params: Record<string, string> = {}
  for (const [name, value] of Object.entries(found.params)) params[name] = percentDecode(value, name)
  return params
}

function bodyLimit(request: Omit<WireRequest, 'body'>, limits: Limits): number {
  if (request.method !== 'POST') return 0
  return appendBodyLimit(request, limits)
}

function cut(text: string): string {
  return text.length > 100 ? `${text.slice(0, 100)}…` : text
}
