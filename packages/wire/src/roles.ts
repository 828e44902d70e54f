/** Who may use which route: roles, once credentials are configured. */
import { Problem } from './problem.ts'
import type { WireRequest } from './request.ts'

/**
 * `append`: append. `read`: read the ledger. `examine`: read everything, the audit sub-ledger included. `operate`: see how it runs,
 * correct its clock, and see nothing of what it holds.
 */
export type Role = 'append' | 'read' | 'examine' | 'operate'

export const ROLES: readonly Role[] = ['append', 'read', 'examine', 'operate']

export function isRole(text: string): text is Role {
  return (ROLES as readonly string[]).includes(text)
}

/** The roles of which a route takes any one; or that it shows nothing that needs one. */
export type Permission = readonly Role[] | 'anybody'

/** Lets a request through whose subject has one of the roles. Requests without `roles` come from where no credentials are configured. */
export function checkRoles(request: Pick<WireRequest, 'roles' | 'subject'>, permission: Permission): void {
  const { roles } = request
  if (permission === 'anybody' || roles === undefined) return
  if (permission.some((role) => roles.includes(role))) return
  const expected = permission.join(' or ')
  const found = roles.length === 0 ? 'none' : roles.join(', ')
  throw new Problem(
    'forbidden',
    `this takes the role ${expected}; ${request.subject ?? 'the subject'} has ${found}`,
    {
      expected,
      supplied: found,
    },
  )
}
