/** Verifies JSON Web Tokens (RFC 7519) that are access tokens (RFC 9068). */
import { JWS_ALGORITHMS } from '@service-fs/format/jws'
import { Problem } from '@service-fs/wire/problem'
import { decodeJwt, errors, jwtVerify, type JWTPayload } from 'jose'
import { invalidToken } from './authorization.ts'
import type { ClaimGrant, OidcConfig, Principal } from './config.ts'
import { IssuerKeys, IssuerUnavailable, type KeysOptions } from './issuer-keys.ts'

/** The tolerated difference between clocks. */
const TOLERANCE_SECONDS = 30
const MAX_SUBJECT = 256

/** The owner of a token, and its expiry in milliseconds since 1970. */
export interface Verified {
  principal: Principal
  end: number
}

export class Verifier {
  readonly #options: KeysOptions
  readonly #issuers: ReadonlyMap<string, { config: OidcConfig; keys: IssuerKeys }>

  constructor(issuers: readonly OidcConfig[], options: KeysOptions) {
    this.#options = options
    this.#issuers = new Map(
      issuers.map((config) => [config.issuer, { config, keys: new IssuerKeys(config, options) }]),
    )
  }

  /** Returns the owner of a token; 401 for an invalid token, 503 `issuer-unavailable` when its issuer's keys cannot be fetched. */
  async verify(token: string): Promise<Verified | Problem> {
    const issuer = this.#issuers.get(issuerOf(token) ?? '')
    if (issuer === undefined) return invalidToken('the issuer of the token is not configured')
    const { config, keys } = issuer
    try {
      const { payload } = await jwtVerify(token, (header, signed) => keys.find(header, signed), {
        issuer: config.issuer,
        audience: config.audience,
        algorithms: [...JWS_ALGORITHMS],
        clockTolerance: TOLERANCE_SECONDS,
        currentDate: new Date(this.#options.now()),
        requiredClaims: ['exp'],
      })
      const principal = principalOf(payload, config)
      return principal instanceof Problem ? principal : { principal, end: (payload.exp ?? 0) * 1000 }
    } catch (error) {
      if (error instanceof IssuerUnavailable)
        return new Problem(
          'issuer-unavailable',
          "the keys of the token's issuer cannot be fetched at the moment",
        )
      return invalidToken(reason(error))
    }
  }
}

function issuerOf(token: string): string | undefined {
  try {
    return decodeJwt(token).iss
  } catch {
    return undefined
  }
}

/** Returns the reason why a token is invalid, without quoting the token. */
function reason(error: unknown): string {
  if (error instanceof errors.JWTExpired) return 'the token has expired'
  if (error instanceof errors.JWTClaimValidationFailed)
    return `the token's claim ${error.claim} does not have the expected value`
  if (error instanceof errors.JOSEAlgNotAllowed) return "the token's algorithm is not accepted"
  return 'the signature of the token does not verify'
}

function principalOf(
  claims: JWTPayload,
  { issuer, subjectClaim = 'sub', grants }: OidcConfig,
): Principal | Problem {
  // RFC 7800: the bearer of such a token must prove possession of a key, which is not supported.
  if (claims['cnf'] !== undefined)
    return invalidToken('tokens that are bound to a key (cnf) are not accepted')
  const subject = claimOf(claims, subjectClaim)
  if (
    typeof subject !== 'string' ||
    subject === '' ||
    subject.length > MAX_SUBJECT ||
    /\p{Cc}/u.test(subject)
  )
    return invalidToken(`the token's claim ${subjectClaim} names no subject`)
  return { subject: `oidc:${issuer}#${subject}`, grants: grants.filter((grant) => has(claims, grant)) }
}

function has(claims: JWTPayload, { claim, value }: ClaimGrant): boolean {
  const found = claimOf(claims, claim)
  if (typeof found === 'string') {
    // RFC 8693 §4.2; some issuers name it `scp`.
    return claim === 'scope' || claim === 'scp' ? found.split(' ').includes(value) : found === value
  }
  return Array.isArray(found) && found.includes(value)
}

/** Returns the claim with this name, or else the nested claim at this path. */
function claimOf(claims: JWTPayload, name: string): unknown {
  if (Object.hasOwn(claims, name)) return claims[name]
  let at: unknown = claims
  for (const part of name.split('.')) {
    if (typeof at !== 'object' || at === null || !Object.hasOwn(at, part)) return undefined
    at = (at as Record<string, unknown>)[part]
  }
  return at
}
