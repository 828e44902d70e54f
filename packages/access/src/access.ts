/**
 * Authenticates and authorizes requests: maps a request's credentials to a subject and its roles, before any other part of the request
 * is examined. A bearer token in `Authorization` takes precedence over the client certificate of a TLS connection.
 */
import { addressKey } from '@service-fs/http/address'
import { splitTarget } from '@service-fs/wire/request'
import { Problem } from '@service-fs/wire/problem'
import { createMatcher, ROUTES, type Route } from '@service-fs/wire/routes'
import { shorten, splitTenant } from '@service-fs/wire/tenant'
import { HostedError } from '@service-fs/http/errors'
import type { Identity } from '@service-fs/http/http'
import { authorizationOf, invalidToken } from './authorization.ts'
import type { Principal } from './config.ts'
import { isOpen } from './listen-rule.ts'
import type { AccessSettings } from './settings.ts'
import { Certificates } from './certificates.ts'
import { Limits } from './limits.ts'
import { IssuerSet } from './oidc.ts'
import { Standing, type Asked, type Held } from './standing.ts'
import { stateOf, tokenId, TokenTable } from './tokens.ts'

export interface Access {
  /** Whether no credentials are configured. */
  readonly open: boolean
  /**
   * Returns the subject (`token:<name>`, `oidc:<issuer>#<subject>`, `cert:<name>`, `anonymous`) with its roles for the tenant, or
   * the problem to answer: 401 `unauthenticated`, 403 `forbidden` (no grant for the tenant), 429 `rate-limited`, 503
   * `issuer-unavailable`. `moduleId` is the tenant that the request names. Without one, `/healthz` and `/readyz` are public, and
   * every other route needs a role for all tenants. Never rejects because of a client's input.
   */
  check(raw: Asked, moduleId: string | undefined): Promise<Identity | Problem>
  /** Applies new settings. @throws HostedError `access`: the new settings require no credentials, and the current ones do */
  update(settings: AccessSettings): void
}

export interface AccessOptions {
  /** Whether everybody may read the ledger without credentials. Default: false. */
  publicReads?: boolean
  /** Returns the time in milliseconds since 1970. */
  now?: () => number
  /** Receives errors of fetching an issuer's keys. Never receives a token. */
  report?: (error: unknown) => void
  /** Called for each request without valid credentials, with its address and the owner of the known token that it names. */
  failed?: (address: string, subject: string | undefined) => void
}

export function createAccess(settings: AccessSettings, options: AccessOptions = {}): Access {
  return new Gate(settings, options)
}

const ANONYMOUS = 'anonymous'
/** The identity of all clients when no credentials are configured. */
const EVERYBODY: Identity = { subject: ANONYMOUS, roles: undefined }

class Gate implements Access {
  readonly #now: () => number
  readonly #issuers: IssuerSet
  readonly #limits: Limits
  readonly #failed: AccessOptions['failed']
  readonly #publicReads: boolean
  readonly #standing: Standing = new Standing((held) => this.#stillMay(held))
  #open: boolean
  #tokens: TokenTable
  #certificates: Certificates

  constructor(settings: AccessSettings, options: AccessOptions) {
    this.#now = options.now ?? Date.now
    this.#issuers = new IssuerSet(settings.oidc, { now: this.#now, report: options.report })
    this.#limits = new Limits(settings.rate)
    this.#failed = options.failed
    this.#publicReads = options.publicReads === true
    this.#open = isOpen(settings)
    this.#tokens = new TokenTable(settings.tokens ?? [])
    this.#certificates = new Certificates(settings.certificates)
  }

  get open(): boolean {
    return this.#open
  }

  update(settings: AccessSettings): void {
    const open = isOpen(settings)
    if (open && !this.#open)
      throw new HostedError(
        'access',
        'access: expected credentials, as before, found none: restart the daemon to remove access control',
      )
    this.#issuers.update(settings.oidc)
    this.#limits.update(settings.rate)
    this.#open = open
    this.#tokens = new TokenTable(settings.tokens ?? [])
    this.#certificates = new Certificates(settings.certificates)
    void this.#standing.review()
  }

  async check(raw: Asked, moduleId: string | undefined): Promise<Identity | Problem> {
    if (this.#open && moduleId !== undefined && !this.#limits.limitsRequests) return EVERYBODY
    const route = routeOf(raw)
    if (moduleId === undefined && route?.permission === 'anybody')
      return { subject: ANONYMOUS, roles: this.#open ? undefined : [] }
    const address = addressKey(raw.socket.remoteAddress)
    if (this.#open) return (await this.#limits.request(address)) ?? EVERYBODY
    const known = await this.#principal(raw)
    if (known instanceof Problem) {
      if (this.#publicReads && isPublicRead(raw, route))
        return (await this.#limits.request(address)) ?? { subject: ANONYMOUS, roles: ['read'] }
      if (known.code !== 'unauthenticated') return known
      this.#failed?.(address, this.#claimed(raw))
      return (await this.#limits.failure(address)) ?? known
    }
    const limited = await this.#limits.request(known.subject)
    if (limited !== undefined) return limited
    const identity = this.#granted(known, moduleId, route)
    if (isEndless(route) && !(identity instanceof Problem)) this.#standing.add({ raw, moduleId })
    return identity
  }

  /**
   * Reports whether an admitted request would still be admitted. A failure that does not concern the subject, such as an unreachable
   * issuer, does not count.
   */
  async #stillMay({ raw, moduleId }: Held): Promise<boolean> {
    const known = await this.#principal(raw)
    if (known instanceof Problem) return known.code !== 'unauthenticated'
    const identity = this.#granted(known, moduleId, routeOf(raw))
    return !(identity instanceof Problem) && isAmong(identity, routeOf(raw))
  }

  /** Returns the roles for the tenant, among them `read` if reads are public. */
  #granted(known: Principal, moduleId: string | undefined, route: Route | undefined): Identity | Problem {
    const identity = granted(known, moduleId, route)
    if (!this.#publicReads || identity instanceof Problem) return identity
    return { ...identity, roles: [...new Set([...(identity.roles ?? []), 'read' as const])] }
  }

  /** Returns the owner of an invalid token if the token's id is known. */
  #claimed(raw: Asked): string | undefined {
    const text = authorizationOf(raw)
    const name = typeof text === 'string' ? this.#tokens.nameOf(text) : undefined
    return name === undefined ? undefined : `token:${name}`
  }

  async #principal(raw: Asked): Promise<Principal | Problem> {
    const token = authorizationOf(raw)
    if (token instanceof Problem) return token
    if (token === undefined)
      return this.#certificates.principal(raw.socket) ?? new Problem('unauthenticated', NONE)
    if (tokenId(token) !== undefined) return this.#ownToken(token)
    return this.#issuers.principal(token)
  }

  #ownToken(text: string): Principal | Problem {
    const token = this.#tokens.find(text)
    if (token === undefined) return invalidToken('unknown token')
    const state = stateOf(token, this.#now())
    if (state !== 'valid') return invalidToken(`the token ${token.id} is ${state}`)
    return { subject: `token:${token.name}`, grants: [token] }
  }
}

const NONE =
  'credentials are required: a bearer token in Authorization, or a client certificate where configured'

/** Returns the roles for the tenant. If there is no tenant, checks the roles for all tenants against the route. */
function granted(
  { subject, grants }: Principal,
  moduleId: string | undefined,
  route: Route | undefined,
): Identity | Problem {
  const fitting = grants.filter(({ tenant }) => tenant === '*' || tenant === moduleId)
  const roles = [...new Set(fitting.flatMap((grant) => grant.roles))]
  const identity = { subject, roles }
  if (moduleId !== undefined && roles.length === 0)
    return new Problem('forbidden', `${subject} has no role for the tenant ${shorten(moduleId)}`, {
      supplied: 'none',
    })
  if (moduleId !== undefined || route === undefined || route.tenant || isAmong(identity, route))
    return identity
  return new Problem('forbidden', `this route needs a role for all tenants (*), and ${subject} has none`, {
    supplied: roles.join(', ') || 'none',
  })
}

/** Reports whether one of the roles permits the route. */
function isAmong({ roles }: Identity, route: Route | undefined): boolean {
  const permission = route?.permission
  if (permission === undefined || permission === 'anybody') return true
  return permission.some((role) => roles?.includes(role) === true)
}

/** Reports whether a request without credentials reads the ledger. Its audit sub-ledger is not public. */
function isPublicRead(raw: Asked, route: Route | undefined): boolean {
  if (route === undefined || route.audit || route.method !== 'GET' || route.permission === 'anybody')
    return false
  return route.permission.includes('read') && authorizationOf(raw) === undefined
}

/** Reports whether a route's response is an endless stream. */
function isEndless(route: Route | undefined): boolean {
  return route?.pattern === '/v1/follow'
}

/** Reports whether a request is for a public route. */
export function isForAnybody(raw: Asked): boolean {
  return routeOf(raw)?.permission === 'anybody'
}

const match = createMatcher(ROUTES)

/** Returns the route of a request, for any tenant. */
function routeOf(raw: Asked): Route | undefined {
  try {
    return match(splitTenant(splitTarget(raw.url ?? '').path).path)?.route
  } catch {
    // The wire refuses a tenant name that is not percent-encoded UTF-8.
    return undefined
  }
}
