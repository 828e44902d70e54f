/** Refuses requests by their head, by the same rules as the tenants, without contacting a tenant or reading a body. */
import { randomUUID } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { nativeCodec } from '@service-fs/native/native'
import { headRefusal } from '@service-fs/wire/head'
import { DEFAULT_LIMITS } from '@service-fs/wire/limits'
import { problemResponse, type Problem } from '@service-fs/wire/problem'
import type { RequestHead, WireResponse } from '@service-fs/wire/request'
import { createMatcher, ROUTES } from '@service-fs/wire/routes'
import { isRequestId } from '@service-fs/wire/tenant'
import { CODINGS } from '@service-fs/http/gunzip-body'
import type { Identity } from '@service-fs/http/http'

type Head = Pick<IncomingMessage, 'headers' | 'method' | 'url'>

const match = createMatcher(ROUTES)

/**
 * Returns the reason why a request is refused, or undefined. `maxPayload` is the tenant's limit; the default is the largest of any tenant.
 */
export function refusedByHead(
  raw: Head,
  moduleId: string,
  identity: Identity,
  maxPayload: number = DEFAULT_LIMITS.maxPayload,
): Problem | undefined {
  const limits = { ...DEFAULT_LIMITS, maxPayload }
  return headRefusal(headOf(raw, identity), { match, moduleId, limits, codec: nativeCodec, codings: CODINGS })
}

/** Returns the response that a tenant would send, with the request's identifier. */
export function refusalAnswer({ headers }: Head, problem: Problem): WireResponse {
  const response = problemResponse(problem)
  const given = headers['x-foundry-request-id']
  const id = typeof given === 'string' && isRequestId(given) ? given : randomUUID()
  response.headers['x-foundry-request-id'] = id
  return response
}

function headOf(raw: Head, { subject, roles }: Identity): RequestHead {
  return {
    method: raw.method ?? '',
    target: raw.url ?? '',
    header(name) {
      const value = raw.headers[name]
      return Array.isArray(value) ? value.join(', ') : value
    },
    subject,
    ...(roles === undefined ? {} : { roles }),
  }
}
