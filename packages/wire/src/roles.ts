/** Roles of subjects, for servers with configured credentials. */

/**
 * A role. `append` may append, `read` may read the ledger, `examine` may also read the audit sub-ledger, and `operate` may read
 * metrics and correct the clock, but read no records.
 */
export type Role = 'append' | 'read' | 'examine' | 'operate'

export const ROLES: readonly Role[] = ['append', 'read', 'examine', 'operate']

/** Reports whether `text` is a role. */
export function isRole(text: string): text is Role {
  return (ROLES as readonly string[]).includes(text)
}

/** The permission to use a route: a subject needs one of these roles; `anybody` needs none. */
export type Permission = readonly Role[] | 'anybody'
