/** Issues, rotates and revokes tokens. */
import type { Role } from '@service-fs/wire/roles'
import { HostedError } from '@service-fs/http/errors'
import { newToken, stateOf, type StoredToken } from '@service-fs/access/tokens'

export interface TokenRequest {
  name: string
  tenant: string
  roles: readonly Role[]
  /** Milliseconds since 1970; undefined for a token that never expires. */
  expires: number | undefined
}

/** A new token. Its text is not stored anywhere. */
export interface Issued {
  token: StoredToken
  text: string
}

/** Creates a token. @throws HostedError `access` when a valid token for that name and tenant exists, even with other roles */
export function issue(tokens: readonly StoredToken[], request: TokenRequest, now: number): Issued {
  const { name, tenant, roles } = request
  const other = tokens.find(isValidOf(name, tenant, now))
  if (other !== undefined)
    throw new HostedError(
      'access',
      `--name: ${name} already has the token ${other.id} for ${tenant}: rotate it, revoke it, or use another name`,
    )
  return make({ name, tenant, roles }, request.expires, now)
}

function isValidOf(name: string, tenant: string, now: number): (token: StoredToken) => boolean {
  return (token) => token.name === name && token.tenant === tenant && stateOf(token, now) === 'valid'
}

function make(
  whose: Pick<StoredToken, 'name' | 'tenant' | 'roles'>,
  expires: number | undefined,
  now: number,
): Issued {
  const { id, text, sha256 } = newToken()
  const created = new Date(now).toISOString()
  const end = expires === undefined ? {} : { expires: new Date(expires).toISOString() }
  return { token: { id, ...whose, sha256, created, ...end }, text }
}

/**
 * Makes a successor with the same name, tenant and roles; the old token stays valid for `overlap` more milliseconds.
 * `expires` is the successor's expiry; undefined gives it the lifetime of the old one.
 * @throws HostedError `access` when the token does not exist, is no longer valid, or has a valid successor
 */
export function rotate(
  tokens: readonly StoredToken[],
  id: string,
  { overlap, expires, now }: { overlap: number; expires: number | 'never' | undefined; now: number },
): Issued & { old: StoredToken; tokens: StoredToken[] } {
  const found = find(tokens, id)
  const state = stateOf(found, now)
  if (state !== 'valid')
    throw new HostedError('access', `token ${id}: expected a valid token, found one that is ${state}`)
  const { name, tenant, roles, created } = found
  const next = tokens.slice(tokens.indexOf(found) + 1).find(isValidOf(name, tenant, now))
  if (next !== undefined)
    throw new HostedError(
      'access',
      `token ${id}: already rotated: ${next.id} is its successor; rotate that token`,
    )
  const life = found.expires === undefined ? undefined : Date.parse(found.expires) - Date.parse(created)
  const same = life === undefined ? undefined : now + life
  const issued = make({ name, tenant, roles }, expires === 'never' ? undefined : (expires ?? same), now)
  const end = Math.min(now + overlap, found.expires === undefined ? Infinity : Date.parse(found.expires))
  const old = { ...found, expires: new Date(end).toISOString() }
  return { ...issued, old, tokens: [...tokens.map((token) => (token === found ? old : token)), issued.token] }
}

/**
 * Revokes tokens. An already revoked token keeps its revocation time. @throws HostedError `access` when a token does not exist;
 * then revokes none
 */
export function revoke(tokens: readonly StoredToken[], ids: readonly string[], now: number): StoredToken[] {
  const revoked = new Date(now).toISOString()
  const found = new Set(ids.map((id) => find(tokens, id)))
  return tokens.map((token) => (found.has(token) ? { revoked, ...token } : token))
}

function find(tokens: readonly StoredToken[], id: string): StoredToken {
  const found = tokens.find((token) => token.id === id)
  if (found !== undefined) return found
  throw new HostedError('access', `token ${id.slice(0, 40)}: no token has this id`)
}
