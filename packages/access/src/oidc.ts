/** Access tokens of OpenID Connect issuers, and which of them were good a moment ago. */
import { createHash } from 'node:crypto'
import { Problem } from '@service-fs/wire/problem'
import { invalidToken } from './authorization.ts'
import type { OidcConfig, Principal } from './config.ts'
import type { Verified, Verifier } from './jwt.ts'

/** How long a token that was checked is not checked again: so long after a key is withdrawn it may still pass. */
const REMEMBERED_MS = 60_000
const MAX_REMEMBERED = 10_000

export interface IssuerOptions {
  /** Milliseconds since 1970. */
  now(): number
  report?: ((error: unknown) => void) | undefined
}

/** All issuers that are configured. */
export class IssuerSet {
  readonly #options: IssuerOptions
  #issuers: readonly OidcConfig[]
  #verifier: Promise<Verifier> | undefined
  readonly #remembered = new Map<string, { principal: Principal; until: number }>()

  constructor(issuers: readonly OidcConfig[], options: IssuerOptions) {
    this.#options = options
    this.#issuers = issuers
  }

  /** Keys that were fetched stay when nothing else is configured. */
  update(issuers: readonly OidcConfig[]): void {
    if (JSON.stringify(issuers) === JSON.stringify(this.#issuers)) return
    this.#issuers = issuers
    this.#verifier = undefined
    this.#remembered.clear()
  }

  /** Whose a token is; 401 what is wrong with it, 503 `issuer-unavailable` when its issuer's keys can't be had. */
  async principal(token: string): Promise<Principal | Problem> {
    const issuers = this.#issuers
    if (issuers.length === 0) return invalidToken('this token is not known here')
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

/** What verifies is 10 MiB, which only those who have issuers load. */
async function verifierOf(issuers: readonly OidcConfig[], options: IssuerOptions): Promise<Verifier> {
  return new (await import('./jwt.ts')).Verifier(issuers, options)
}

function digest(token: string): string {
  return createHash('sha256').update(token).digest('base64')
}
