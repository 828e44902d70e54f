/**
 * The header fields that pass a client's identity to a tenant's process. Only the front can send them, because only
 * the front may connect to the process's socket. `x-service-fs-subject` is the subject in percent-encoded UTF-8.
 * `x-service-fs-roles` is a comma-separated list of roles, or `*` if no credentials are configured.
 * `x-service-fs-tenant` is the tenant that these roles are for: a compromised tenant could replace its socket by a
 * link to another tenant's.
 */
import type { IncomingMessage } from 'node:http'
import { Problem } from '@service-fs/wire/problem'
import { isRole } from '@service-fs/wire/roles'
import type { Identity } from '@service-fs/http/http'

/** The prefix of the front's own fields. The front drops them from requests and responses. */
export const OWN_FIELDS = 'x-service-fs-'
const SUBJECT = `${OWN_FIELDS}subject`
const ROLES = `${OWN_FIELDS}roles`
const TENANT = `${OWN_FIELDS}tenant`
const NO_CREDENTIALS = '*'

/** Returns the fields, with names and values alternating. */
export function identityHeaders({ subject, roles }: Identity, moduleId: string): string[] {
  return [SUBJECT, encodeURIComponent(subject), ROLES, roles?.join(',') ?? NO_CREDENTIALS, TENANT, moduleId]
}

/** Returns the identity that the front sent. A request without both fields bypassed the front, so it has no roles. */
export function identityOf({ headers }: Pick<IncomingMessage, 'headers'>): Identity | Problem {
  const subject = headers[SUBJECT]
  const listed = headers[ROLES]
  if (typeof subject !== 'string' || typeof listed !== 'string') return { subject: 'anonymous', roles: [] }
  const roles = listed === NO_CREDENTIALS ? undefined : listed.split(',').filter((role) => role !== '')
  if (roles?.every(isRole) === false)
    return new Problem('bad-request', `${ROLES}: expected comma-separated roles`)
  try {
    return { subject: decodeURIComponent(subject), roles: roles?.filter(isRole) }
  } catch {
    return new Problem('bad-request', `${SUBJECT}: expected percent-encoded UTF-8`)
  }
}

/**
 * Returns a function that reads the identity; it returns a 403 if the front sent the identity for another tenant or for none.
 */
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
