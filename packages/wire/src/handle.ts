/** From a request to its response: tenant, route, handler, audit entry. */
import { appendBodyLimit } from './append.ts'
import { AppendReads } from './append-reads.ts'
import { recordRead } from './audit.ts'
import { contentCoding } from './body-meaning.ts'
import type { Answer, Call, Streamed, WireOptions } from './call.ts'
import { Followers } from './followers.ts'
import { headRefusal, readHead, type HeadRules } from './head.ts'
import { answerSize, DEFAULT_LIMITS, type Limits } from './limits.ts'
import { isFailure, Problem, problemOf, problemResponse } from './problem.ts'
import type { RequestHead, WireRequest, WireResponse } from './request.ts'
import { createMatcher, routesOf, type Route } from './routes.ts'
import { clientRequestId } from './tenant.ts'

export interface Wire {
  /** Answers every request; never rejects. Bodies of HEAD answers are there: the adapter sends their headers only. */
  handle(request: WireRequest): Promise<WireResponse>
  /**
   * Why a request is refused by its head alone, a length that is announced included; undefined: it is not. `handle` answers the same then,
   * whatever the body: an adapter asks before it reads a body or says "100 Continue", and hands over none.
   */
  refusal(request: RequestHead): Problem | undefined
  /** How many bytes of body a request may have, by its head alone. An adapter answers 413 beyond, without reading on. */
  bodyLimit(request: RequestHead): number
  /** Brings the answers to an end that would not end by themselves, and gives no more of them: before a clean stop. */
  drain(): void
  /** How many follow the ledger. */
  readonly followers: number
  readonly routes: readonly Route[]
  readonly limits: Limits
}

/** `told`: what subjects were told by appends so far, where two wires answer for one ledger. */
export function createWire(options: WireOptions, told?: AppendReads): Wire {
  const limits: Limits = { ...DEFAULT_LIMITS, ...options.limits }
  const routes = routesOf(options)
  const rules: HeadRules = {
    match: createMatcher(routes),
    moduleId: options.moduleId,
    limits,
    codec: options.codec,
    codings: options.codings ?? [],
  }
  const followers = new Followers({ ...options, limits })
  const appendReads = told ?? new AppendReads(limits, () => options.now())
  return {
    routes,
    limits,
    drain: () => followers.drain(),
    get followers() {
      return followers.count
    },
    refusal: (request) => headRefusal(request, rules),
    bodyLimit: (request) => (request.method === 'POST' ? appendBodyLimit(request, limits) : 0),
    async handle(request) {
      let requestId: string | undefined
      let response: WireResponse
      try {
        requestId = clientRequestId(request) ?? options.requestId()
        response = await dispatch(request, requestId, { options, limits, followers, appendReads }, rules)
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
  own: Pick<Call, 'options' | 'limits' | 'followers' | 'appendReads'>,
  rules: HeadRules,
): Promise<WireResponse> {
  const { options } = own
  const { route, params, query } = readHead(request, rules)
  // One that the adapter could have undone, and has not.
  if (route.method === 'POST' && request.decoded === undefined) contentCoding(request, [])
  const call: Call = {
    request,
    requestId,
    ...own,
    ledger: route.audit ? auditLedger(options) : options.ledger,
    isAudit: route.audit,
    params,
    query,
  }
  const answer = await made(call, route)
  if (!isWhole(answer)) return answer
  if (route.recorded || answer.shown !== undefined) await record(call, route, answer)
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
    throw new Error(`${pattern}: expected a recorded route to set shown, found none`)
  const index = await recordRead(call, pattern, answer.shown, answer.body.length, options)
  if (index !== undefined) answer.headers['x-audit-index'] = String(index)
}

function auditLedger(options: WireOptions): Call['ledger'] {
  if (options.audit !== undefined) return options.audit
  throw new Problem('audit-off', 'this ledger is public and has no audit sub-ledger')
}
