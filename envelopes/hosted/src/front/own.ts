/** Answers requests that name no tenant. */
import { Problem } from '@service-fs/wire/problem'
import { splitTarget } from '@service-fs/wire/request'
import { checkRoles } from '@service-fs/wire/head'
import { createMatcher, ROUTES } from '@service-fs/wire/routes'
import type { Identity } from '@service-fs/http/http'
import type { ClientRequest } from './client-request.ts'

export interface Own {
  /** Returns the host's Prometheus text. Without it, /metrics is 404. */
  metrics?(): Promise<{ contentType: string; text: string }>
  /** Returns further members of the JSON of /readyz. */
  readiness?(): Promise<Readonly<Record<string, unknown>>> | Readonly<Record<string, unknown>>
}

const match = createMatcher(ROUTES)
const JSON_FIELDS = { 'content-type': 'application/json', 'cache-control': 'no-store' }

/** Answers /healthz, /readyz and /metrics, or returns the reason why it cannot. */
export async function answerOwn(
  request: ClientRequest,
  identity: Identity,
  own: Own,
): Promise<Problem | undefined> {
  const { path } = splitTarget(request.url)
  const route = match(path)?.route
  if (route === undefined) return new Problem('no-route', `no route ${path.slice(0, 100)}`)
  if (route.tenant)
    return new Problem(
      'module-id-missing',
      'expected a tenant in X-Foundry-Module-ID or the path prefix /t/<moduleId>/, found none',
      { field: 'X-Foundry-Module-ID' },
    )
  if (request.method !== 'GET' && request.method !== 'HEAD')
    return new Problem('method-not-allowed', `${route.pattern} takes GET, HEAD`, { allow: 'GET, HEAD' })
  try {
    const { subject, roles } = identity
    checkRoles({ subject, ...(roles === undefined ? {} : { roles }) }, route.permission)
  } catch (error) {
    if (error instanceof Problem) return error
    throw error
  }
  if (path === '/healthz') {
    await request.answer({ status: 200, headers: { ...JSON_FIELDS }, body: '{"alive":true}' })
  } else if (path === '/readyz') {
    const body = JSON.stringify({ ready: true, ...(await own.readiness?.()) })
    await request.answer({ status: 200, headers: { ...JSON_FIELDS }, body })
  } else {
    if (own.metrics === undefined) return new Problem('no-route', 'this server has no metrics')
    const { contentType, text } = await own.metrics()
    const headers = { 'content-type': contentType, 'cache-control': 'no-store' }
    await request.answer({ status: 200, headers, body: text, compressible: true })
  }
  return undefined
}
