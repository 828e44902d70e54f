/**
 * How the front tells a tenant's process who asks: three header fields, which only the front can send, since only it may connect to the
 * process's socket. `x-service-fs-subject` is the subject in percent-encoded UTF-8; `x-service-fs-roles` the roles with commas
 * between them, `*` where no credentials are configured; `x-service-fs-tenant` the tenant for which that holds: behind the socket
 * of a tenant that has gone astray there may be another's.
 */
import type { IncomingMessage } from 'node:http'
import { Problem } from '@service-fs/wire/problem'
import { isRole } from '@service-fs/wire/roles'
import type { Identity } from '@service-fs/http/http'

/** Fields whose names begin so are the front's own: one that a client sends is dropped. */
export const OWN_FIELDS = 'x-service-fs-'
const SUBJECT = `${OWN_FIELDS}subject`
const ROLES = `${OWN_FIELDS}roles`
const TENANT = `${OWN_FIELDS}tenant`
const NO_CREDENTIALS = '*'

/** Names and values by turns. */
export function identityHeaders({ subject, roles }: Identity, moduleId: string): string[] {
  return [SUBJECT, encodeURIComponent(subject), ROLES, roles?.join(',') ?? NO_CREDENTIALS, TENANT, moduleId]
}

/** The identity that the front sent. A request without both fields did not come through it: it has no roles at all. */
export function identityOf({ headers }: Pick<IncomingMessage, 'headers'>): Identity | Problem {
  const subject = headers[SUBJECT]
  const listed = headers[ROLES]
  if (typeof subject !== 'string' || typeof listed !== 'string') return { subject: 'anonymous', roles: [] }
  const roles = listed === NO_CREDENTIALS ? undefined : listed.split(',').filter((role) => role !== '')
  if (roles?.every(isRole) === false)
    return new Problem('bad-request', `${ROLES}: expected roles with commas between them`)
  try {
    return { subject: decodeURIComponent(subject), roles: roles?.filter(isRole) }
  } catch {
    return new Problem('bad-request', `${SUBJECT}: expected percent-encoded UTF-8`)
  }
}

/** The identity that the front sent for this tenant; 403 when it was for another, or for none. */
export function identityFor(moduleId: string): (raw: Pick<IncomingMessage, 'headers'>) => Identity | Problem {
  return (raw) => {
    const { [TENANT]: supplied } = raw.headers
    if (supplied === moduleId) return identityOf(raw)
    return new Problem('module-id-mismatch', `${TENANT}: expected tenant ${moduleId}`, {
      field: TENANT,
      expected: moduleId,
      supplied: typeof supplied === 'string' ? supplied.slice(0, 64) : 'none',
    })
  }
}
