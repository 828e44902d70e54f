/** Verifies access tokens of OpenID Connect issuers, and caches the results. */
import { createHash } from 'node:crypto'
import { Problem } from '@service-fs/wire/problem'
import { invalidToken } from './authorization.ts'
import type { OidcConfig, Principal } from './config.ts'
import type { Verified, Verifier } from './jwt.ts'

/** The time for which a result is cached. A token may be accepted for this long after its key was withdrawn. */
const REMEMBERED_MS = 60_000
const MAX_REMEMBERED = 10_000

export interface IssuerOptions {
  /** Returns the time in milliseconds since 1970. */
  now(): number
  report?: ((error: unknown) => void) | undefined
}

/** All configured issuers. */
export class IssuerSet {
  readonly #options: IssuerOptions
  #issuers: readonly OidcConfig[]
  #verifier: Promise<Verifier> | undefined
  readonly #remembered = new Map<string, { principal: Principal; until: number }>()

  constructor(issuers: readonly OidcConfig[], options: IssuerOptions) {
    this.#options = options
    this.#issuers = issuers
  }

  /** Applies a configuration; keeps the fetched keys if the configuration is unchanged. */
  update(issuers: readonly OidcConfig[]): void {
    if (JSON.stringify(issuers) === JSON.stringify(this.#issuers)) return
    this.#issuers = issuers
    this.#verifier = undefined
    this.#remembered.clear()
  }

  /** Returns the owner of a token; 401 for an invalid token, 503 `issuer-unavailable` when its issuer's keys cannot be fetched. */
  async principal(token: string): Promise<Principal | Problem> {
    const issuers = this.#issuers
    if (issuers.length === 0) return invalidToken('unknown token')
    const known = this.#remembered.get(digest(token))
    if (known !== undefined && known.until > this.#options.now()) return known.principal
    const verified = await (await (this.#verifier ??= verifierOf(issuers, this.#options))).verify(token)
    if (verified instanceof Problem) return verified
    if (issuers === this.#issuers) this.#remember(token, verified)
    return verified.principal
  }

  #remember(token: string, { principal, end }: Verified): void {
    const [oldest] = this.#remembered.keys()
    if (this.#remembered.size >= MAX_REMEMBERED && oldest !== undefined) this.#remembered.delete(oldest)
    const until = Math.min(this.#options.now() + REMEMBERED_MS, end)
    this.#remembered.set(digest(token), { principal, until })
  }
}

/** Loads the verifier only when issuers are configured, because it takes 10 MiB. */
async function verifierOf(issuers: readonly OidcConfig[], options: IssuerOptions): Promise<Verifier> {
  return new (await import('./jwt.ts')).Verifier(issuers, options)
}

function digest(token: string): string {
  return createHash('sha256').update(token).digest('base64')
}
