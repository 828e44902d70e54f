/** JSON Web Tokens, RFC 7519, as access tokens: RFC 9068. */
import { Problem } from '@service-fs/wire/problem'
import { decodeJwt, errors, jwtVerify, type JWTPayload } from 'jose'
import { invalidToken } from './authorization.ts'
import type { ClaimGrant, OidcConfig, Principal } from './config.ts'
import { IssuerKeys, IssuerUnavailable, type KeysOptions } from './issuer-keys.ts'

/** Signatures only: a key that is public can't be made a secret that both sides know (HS256), and `none` is none. */
const ALGORITHMS = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
  'Ed25519',
]
/** How far clocks may be apart. */
const TOLERANCE_SECONDS = 30
const MAX_SUBJECT = 256

/** Whose a token is, and its end in milliseconds since 1970. */
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

  /** Whose a token is; 401 what is wrong with it, 503 `issuer-unavailable` when its issuer's keys can't be had. */
  async verify(token: string): Promise<Verified | Problem> {
    const issuer = this.#issuers.get(issuerOf(token) ?? '')
    if (issuer === undefined) return invalidToken('the token is of no issuer that is configured here')
    const { config, keys } = issuer
    try {
      const { payload } = await jwtVerify(token, (header, signed) => keys.find(header, signed), {
        issuer: config.issuer,
        audience: config.audience,
        algorithms: ALGORITHMS,
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
          'the keys of the issuer of this token can not be had at the moment',
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

/** What is wrong with a token, without anything that is in it. */
function reason(error: unknown): string {
  if (error instanceof errors.JWTExpired) return 'the token has expired'
  if (error instanceof errors.JWTClaimValidationFailed)
    return `the token's claim ${error.claim} is not as it must be`
  if (error instanceof errors.JOSEAlgNotAllowed) return "the token's algorithm is not accepted"
  return 'the token is not one that its issuer signed'
}

function principalOf(
  claims: JWTPayload,
  { issuer, subjectClaim = 'sub', grants }: OidcConfig,
): Principal | Problem {
  // RFC 7800: who presents such a token must prove more than that they have it.
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
    // RFC 8693 §4.2; some issuers say `scp`.
    return claim === 'scope' || claim === 'scp' ? found.split(' ').includes(value) : found === value
  }
  return Array.isArray(found) && found.includes(value)
}

/** A claim by its name; where none has it, by the path that it stands for. */
function claimOf(claims: JWTPayload, name: string): unknown {
  if (Object.hasOwn(claims, name)) return claims[name]
  let at: unknown = claims
  for (const part of name.split('.')) {
    if (typeof at !== 'object' || at === null || !Object.hasOwn(at, part)) return undefined
    at = (at as Record<string, unknown>)[part]
  }
  return at
}
