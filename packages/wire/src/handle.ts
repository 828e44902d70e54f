/** Turns a request into a response: checks its head, calls the route's handler, and records the read. */
import { appendBodyLimit } from './append.ts'
import { AppendReads } from './append-reads.ts'
import { recordRead } from './audit.ts'
import { contentCoding } from './body-meaning.ts'
import type { Answer, Call, Streamed, WireOptions } from './call.ts'
import { Followers } from './followers.ts'
import { checkHead, readHead, type Headed, type HeadRules } from './head.ts'
import { answerSize, DEFAULT_LIMITS, type Limits } from './limits.ts'
import { Packs } from './packs.ts'
import { isFailure, Problem, problemOf, problemResponse } from './problem.ts'
import type { RequestHead, WireRequest, WireResponse } from './request.ts'
import { createMatcher, routesOf, type Route } from './routes.ts'
import { clientRequestId } from './tenant.ts'

/** The wire protocol over one ledger. */
export interface Wire {
  /** Returns the response to a request. Never rejects. The response to HEAD has a body; the server must not send it. */
  handle(request: WireRequest): Promise<WireResponse>
  /**
   * Returns the problem of a request's head, Content-Length included; undefined when the body must be read. A server calls it
   * before it reads a body or sends "100 Continue". `handle` would return the same problem for any body.
   */
  refusal(request: RequestHead): Problem | undefined
  /** Returns the largest body, in bytes, of a request with this head. A server responds 413 to a larger body without reading it. */
  bodyLimit(request: RequestHead): number
  /** Ends all streams, and rejects new ones. A server calls it before it stops. */
  drain(): void
  /** Number of followers. */
  readonly followers: number
  readonly routes: readonly Route[]
  readonly limits: Limits
}

/** Returns the wire of a ledger. Two wires over the same ledger share `told`, the counts of what appends have revealed. */
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
  const packs = new Packs(limits)
  const followers = new Followers({ ...options, limits })
  const appendReads = told ?? new AppendReads(limits, () => options.now())
  // Heads that refusal() has checked, so that handle() need not check them again.
  const checked = new WeakMap<RequestHead, Headed>()
  return {
    routes,
    limits,
    drain() {
      followers.drain()
      packs.drain()
    },
    get followers() {
      return followers.count
    },
    refusal(request) {
      const headed = checkHead(request, rules)
      if (headed instanceof Problem) return headed
      checked.set(request, headed)
      return undefined
    },
    bodyLimit: (request) => (request.method === 'POST' ? appendBodyLimit(request, limits) : 0),
    async handle(request) {
      let requestId: string | undefined
      let response: WireResponse
      try {
        requestId = clientRequestId(request) ?? options.requestId()
        const headed = checked.get(request) ?? readHead(request, rules)
        response = await dispatch(request, headed, requestId, {
          options,
          limits,
          followers,
          appendReads,
          packs,
        })
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
  { route, params, query }: Headed,
  requestId: string,
  own: Pick<Call, 'options' | 'limits' | 'followers' | 'appendReads' | 'packs'>,
): Promise<WireResponse> {
  const { options } = own
  // The server has not decoded the body: reject every coding.
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

/** Calls the route's handler, once memory for its answer is reserved. */
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

/** Encodes the body, then records the read: the audit entry contains the size of the body in bytes. */
async function record(call: Call, { pattern }: Route, answer: Answer): Promise<void> {
  const { options } = call
  if (typeof answer.body === 'string') answer.body = options.codec.utf8Encode(answer.body)
  if (answer.shown === undefined)
    throw new Error(`${pattern}: expected the handler of a recorded route to set shown, found none`)
  const index = await recordRead(call, pattern, answer.shown, answer.body.length, options)
  if (index !== undefined) answer.headers['x-audit-index'] = String(index)
}

function auditLedger(options: WireOptions): Call['ledger'] {
  if (options.audit !== undefined) return options.audit
  throw new Problem('audit-off', 'this ledger is public and has no audit sub-ledger')
}
