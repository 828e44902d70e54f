/**
 * How the front tells a tenant's process who asks: two header fields, which only the front can send, since only it may connect to the
 * process's socket. `x-service-fs-subject` is the subject in percent-encoded UTF-8; `x-service-fs-roles` the roles with commas
 * between them, `*` where no credentials are configured.
 */
import type { IncomingMessage } from 'node:http'
import { Problem } from '@service-fs/wire/problem'
import { isRole } from '@service-fs/wire/roles'
import type { Identity } from '../identity.ts'

/** Fields whose names begin so are the front's own: one that a client sends is dropped. */
export const OWN_FIELDS = 'x-service-fs-'
const SUBJECT = `${OWN_FIELDS}subject`
const ROLES = `${OWN_FIELDS}roles`
const NO_CREDENTIALS = '*'

/** Names and values by turns. */
export function identityHeaders({ subject, roles }: Identity): string[] {
  return [SUBJECT, encodeURIComponent(subject), ROLES, roles?.join(',') ?? NO_CREDENTIALS]
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
