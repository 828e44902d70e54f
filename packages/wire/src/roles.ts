/** Who may use which route: roles, once credentials are configured. */

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
